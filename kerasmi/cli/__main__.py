"""`python -m kerasmi.cli`."""

from kerasmi.cli import main

main(prog_name="kerasmi")
