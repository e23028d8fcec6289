"""Progress is an argument: library code reports stages and amounts; terminal, app and server each show them."""

import sys
import time
from typing import Protocol, TextIO

from lipsync.errors import Cancelled


class Progress(Protocol):
    """Receives what a long job does. `advance` may raise Cancelled: that is how a job is stopped."""

    def start(self, stage: str, total: float | None = None, unit: str = "") -> None:
        """A new stage begins; `total` is in `unit`s, None when unknown."""
        ...

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        """`amount` more units are done; `note` is a short reading such as a loss."""
        ...

    def done(self, note: str = "") -> None:
        """The stage is finished."""
        ...


class Silent:
    """Shows nothing."""

    def start(self, stage: str, total: float | None = None, unit: str = "") -> None:
        """Ignore."""

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        """Ignore."""

    def done(self, note: str = "") -> None:
        """Ignore."""


class StageClock:
    """Amount done and time left of one stage: elapsed · (total − done) / done."""

    def __init__(self, stage: str, total: float | None, unit: str) -> None:
        self.stage, self.total, self.unit = stage, total, unit
        self.amount = 0.0
        self.begun_s = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the stage began."""
        return time.monotonic() - self.begun_s

    @property
    def left_s(self) -> float | None:
        """Seconds left at the mean speed so far, None while unknown."""
        if not self.total or self.amount <= 0:
            return None
        return max(0.0, self.elapsed_s * (self.total - self.amount) / self.amount)

    def line(self, note: str = "") -> str:
        """One line of text for people."""
        if self.total:
            percent = min(100.0, 100 * self.amount / self.total)
            left = "" if self.left_s is None else f", {format_s(self.left_s)} left"
            text = f"{self.stage}: {percent:3.0f} %{left}"
        else:
            text = f"{self.stage}: {self.amount:.0f} {self.unit}".rstrip()
        return f"{text}  {note}".rstrip()


def format_s(seconds: float) -> str:
    """45 → '45 s', 125 → '2 min 05 s', 7300 → '2 h 01 min'."""
    whole = round(seconds)
    if whole < 90:
        return f"{whole} s"
    if whole < 5400:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class Terminal:
    """Writes progress to a terminal (one line redrawn) or a log (a line every `every_s`)."""

    def __init__(self, out: TextIO | None = None, every_s: float = 10.0) -> None:
        self.out = out or sys.stderr
        self.live = self.out.isatty()
        self.every_s = 0.2 if self.live else every_s
        self.clock: StageClock | None = None
        self.shown_s = 0.0

    def start(self, stage: str, total: float | None = None, unit: str = "") -> None:
        """Begin a line."""
        self.clock = StageClock(stage, total, unit)
        self.shown_s = time.monotonic()
        self._show(self.clock.line() if self.live else f"{stage} …")

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        """Redraw the line when it is time."""
        if self.clock is None:
            return
        self.clock.amount += amount
        if time.monotonic() - self.shown_s >= self.every_s:
            self.shown_s = time.monotonic()
            self._show(self.clock.line(note))

    def done(self, note: str = "") -> None:
        """Finish the line with the time taken."""
        if self.clock is not None:
            self._show(f"{self.clock.stage}: done in {format_s(self.clock.elapsed_s)}  {note}".rstrip(), last=True)
            self.clock = None

    def _show(self, text: str, last: bool = False) -> None:
        if self.live:
            self.out.write(f"\r\x1b[2K{text}" + ("\n" if last else ""))
        else:
            self.out.write(text + "\n")
        self.out.flush()


class Cancellable:
    """Wraps another Progress; after `cancel()` the next report raises Cancelled."""

    def __init__(self, inner: Progress) -> None:
        self.inner = inner
        self.cancelled = False

    def cancel(self) -> None:
        """Ask the job to stop at its next report."""
        self.cancelled = True

    def _check(self) -> None:
        if self.cancelled:
            raise Cancelled("stopped on request; what was finished is kept")

    def start(self, stage: str, total: float | None = None, unit: str = "") -> None:
        """Pass on, or stop."""
        self._check()
        self.inner.start(stage, total, unit)

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        """Pass on, or stop."""
        self._check()
        self.inner.advance(amount, note)

    def done(self, note: str = "") -> None:
        """Pass on."""
        self.inner.done(note)
