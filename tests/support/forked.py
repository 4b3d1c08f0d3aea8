"""Programs in processes as fresh as new ones, without an import in each.

    python forked.py

reads a JSON list of [code, folder] and prints a list of [status, what it said].
Each program runs in a process forked from this one, which has imported Keras
and run nothing: a process that has run TensorFlow cannot be forked.
"""

import json
import os
import subprocess
import sys
import tempfile
import traceback


def run(*programs):
    """Runs programs one after the other.

    Args:
        *programs: code and the folder to run it in.

    Returns:
        The exit status and the output of each, in order.
    """
    done = subprocess.run(
        [sys.executable, __file__],
        input=json.dumps([(code, str(folder)) for code, folder in programs]),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def _status(code, folder, output):
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    status = 1
    try:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
        os.chdir(folder)
        exec(code, {"__name__": "__main__"})
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def main():
    import keras  # noqa: F401

    # neither this folder nor what was asked for it is a program's
    sys.path.pop(0)
    results = []
    for code, folder in json.load(sys.stdin):
        with tempfile.TemporaryFile("w+") as output:
            status = _status(code, folder, output)
            output.seek(0)
            results.append((status, output.read()))
    print(json.dumps(results))


if __name__ == "__main__":
    main()
