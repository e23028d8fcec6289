"""Long work in the background: one at a time, in order, each with progress, a way to stop it, and its end kept.

A job lives in the process, not in a page: closing or reloading the page neither stops nor forgets it.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from lipsync.errors import Cancelled, LipsyncError, UsageError
from lipsync.progress import Cancellable, Progress, StageClock, format_s

WAITING, RUNNING, DONE, FAILED, CANCELLED = "waiting", "running", "done", "failed", "cancelled"
MOST_KEPT = 100


@dataclass(frozen=True)
class Snapshot:
    """A job at one moment. `share` done of the stage is 0–1 or None while unknown; `finished` holds earlier stages."""

    id: str
    title: str
    state: str
    stage: str = ""
    share: float | None = None
    left_s: float | None = None
    note: str = ""
    finished: tuple[str, ...] = ()
    readings: tuple[tuple[float, str], ...] = ()  # (units done, note) of the stage, thinned out
    error: str = ""

    @property
    def over(self) -> bool:
        """Whether nothing more will change."""
        return self.state in (DONE, FAILED, CANCELLED)


class JobProgress:
    """A Progress that another thread may look at."""

    def __init__(self, most_readings: int = 200) -> None:
        self._lock = threading.Lock()
        self._clock: StageClock | None = None
        self._note = ""
        self._finished: list[str] = []
        self._readings: list[tuple[float, str]] = []
        self._most, self._every, self._count = most_readings, 1, 0

    def start(self, stage: str, total: float | None = None, unit: str = "") -> None:
        """A new stage."""
        with self._lock:
            self._clock, self._note = StageClock(stage, total, unit), ""
            self._readings, self._every, self._count = [], 1, 0

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        """Count on; every reading is kept until there are many, then every second one, and so on."""
        with self._lock:
            if self._clock is None:
                return
            self._clock.amount += amount
            self._note = note
            self._count += 1
            if note and self._count % self._every == 0:
                self._readings.append((self._clock.amount, note))
            if len(self._readings) >= self._most:
                self._readings, self._every = self._readings[::2], self._every * 2

    def done(self, note: str = "") -> None:
        """The stage is finished."""
        with self._lock:
            if self._clock is not None:
                took = format_s(self._clock.elapsed_s)
                self._finished.append(f"{self._clock.stage}: {took}{', ' if note else ''}{note}")
                self._clock, self._note = None, ""

    def fields(self) -> dict[str, Any]:
        """The progress fields of a Snapshot."""
        with self._lock:
            kept = {"finished": tuple(self._finished), "readings": tuple(self._readings), "note": self._note}
            clock = self._clock
            if clock is None:
                return kept
            share = min(1.0, clock.amount / clock.total) if clock.total else None
            return kept | {"stage": clock.stage, "share": share, "left_s": clock.left_s}


@dataclass(frozen=True)
class _Job:
    id: str
    title: str
    key: str
    progress: JobProgress
    switch: Cancellable
    future: Future[Any]


class Jobs:
    """Runs jobs one after another in a thread of its own."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lipsync-job")
        self._jobs: dict[str, _Job] = {}
        self._lock = threading.Lock()

    def submit(self, title: str, work: Callable[[Progress], Any], key: str = "") -> str:
        """Queue `work`, which gets a Progress. Returns the job's id.

        Args:
            title: for people.
            work: runs in the job thread; raises Cancelled out of its progress when stopped.
            key: jobs that must not run twice share one.

        Raises:
            UsageError: a job with this key is waiting or running.
        """
        with self._lock:
            busy = [job for job in self._jobs.values() if key and job.key == key and not job.future.done()]
            if busy:
                raise UsageError(f"{busy[0].title}: already under way; wait for it or stop it first")
            progress = JobProgress()
            switch = Cancellable(progress)
            job = _Job(secrets.token_hex(6), title, key, progress, switch, self._pool.submit(work, switch))
            job.future.add_done_callback(_log_surprise)
            self._jobs[job.id] = job
            for old in [j.id for j in self._jobs.values() if j.future.done()][:-MOST_KEPT]:
                del self._jobs[old]
        return job.id

    def snapshot(self, job_id: str) -> Snapshot:
        """The job now. Raises UsageError when there is none."""
        job = self._get(job_id)
        state, error = _state(job.future)
        return Snapshot(job.id, job.title, state, error=error, **job.progress.fields())

    def result(self, job_id: str) -> Any:
        """What the finished job returned. Raises what it raised, or UsageError while it is not over."""
        job = self._get(job_id)
        if not job.future.done():
            raise UsageError(f"{job.title}: not finished yet")
        if job.future.cancelled():
            raise Cancelled(f"{job.title}: was stopped before it began")
        return job.future.result()

    def latest(self, key: str) -> str | None:
        """The id of the last job with that key."""
        with self._lock:
            ids = [job.id for job in self._jobs.values() if job.key == key]
        return ids[-1] if ids else None

    def cancel(self, job_id: str) -> None:
        """Stop a job: at once when it waits, at its next report when it runs."""
        job = self._get(job_id)
        job.future.cancel()
        job.switch.cancel()

    def wait(self, job_id: str, timeout_s: float = 60.0) -> Snapshot:
        """The job when it is over, or after `timeout_s`."""
        end_s = time.monotonic() + timeout_s
        while not (snapshot := self.snapshot(job_id)).over and time.monotonic() < end_s:
            time.sleep(0.01)
        return snapshot

    def close(self) -> None:
        """Stop everything; the running job ends at its next report."""
        with self._lock:
            for job in self._jobs.values():
                job.switch.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _get(self, job_id: str) -> _Job:
        with self._lock:
            if job_id not in self._jobs:
                raise UsageError(f"there is no job {job_id!r}; it ended before the program was last started")
            return self._jobs[job_id]


def _state(future: Future[Any]) -> tuple[str, str]:
    """State and error text. An error that is none of ours is named with its type."""
    if future.cancelled():
        return CANCELLED, ""
    if not future.done():
        return (RUNNING if future.running() else WAITING), ""
    error = future.exception()
    if error is None:
        return DONE, ""
    if isinstance(error, Cancelled):
        return CANCELLED, str(error)
    return FAILED, str(error) if isinstance(error, LipsyncError) else f"unexpected {type(error).__name__}: {error}"


def _log_surprise(future: Future[Any]) -> None:
    """An error that is a fault of the program goes to its log, with where it happened."""
    error = None if future.cancelled() else future.exception()
    if error is not None and not isinstance(error, LipsyncError):
        logging.getLogger("lipsync").error("a job failed unexpectedly", exc_info=error)
