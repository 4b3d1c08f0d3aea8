"""How far an import is: a live line, and a line for each tenth."""

import time

from kerasmi.reporter import Reporter

_MESSAGES = 10


class Progress:
    """Tells of images done: a live line, and a line for each tenth."""

    def __init__(self, reporter: Reporter):
        self._reporter = reporter
        self._total = self._done = self._tenth = 0
        self._since = time.monotonic()

    def start(self, total: int, before: int) -> None:
        """Begins with `total` images; `before` were done earlier."""
        self._total = total
        detail = f"{before:,} done before" if before else ""
        self._reporter.start("import", total, "image", detail)
        self._since = time.monotonic()

    def advance(self) -> None:
        """One more image is done."""
        self._done += 1
        seconds = max(time.monotonic() - self._since, 1e-3)
        speed = self._done / seconds
        self._reporter.advance(1, images_per_second=speed)
        if self._done * _MESSAGES // self._total > self._tenth:
            self._tenth = self._done * _MESSAGES // self._total
            left = round((self._total - self._done) / speed)
            self._reporter.message(
                f"import  {self._tenth * 100 // _MESSAGES}%  "
                f"{speed:.0f} images/s  {left // 60}:{left % 60:02} left"
            )

    def finish(self) -> None:
        """All are done."""
        self._reporter.finish()
