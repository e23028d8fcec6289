"""Who does the work: this process, several on this machine, or a Ray cluster. All give the same.

A task is a function of this package, task(tools, item); its results are what it returns and what it writes below the
dataset folder, whole or not at all. So it can be done anywhere, in any order, and again.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from multiprocessing import get_context
from typing import Any, Protocol, TypeVar

import cv2
import torch

from data_prep.speaker import SyncJudge, open_judge
from lipsync.config import PrepareConfig
from lipsync.errors import ConfigError, DatasetError, LipsyncError
from lipsync.faces.detect import FaceDetector, open_detector

ENGINES = ("local", "ray")
_LOOK_EVERY_S = 0.5

T = TypeVar("T")
R = TypeVar("R")


def _unheard(_: float) -> None:
    """Nobody listens to how far a task is."""


@dataclass
class Tools:
    """What tasks work with; the detector and the judge that `config` names are opened where they are first used.

    `reach` takes the share of the running task that is done; it may raise Cancelled. Only where there is one process.
    """

    config: PrepareConfig
    given_detector: FaceDetector | None = None
    given_judge: SyncJudge | None = None
    reach: Callable[[float], None] = field(default=_unheard, repr=False)

    @cached_property
    def detector(self) -> FaceDetector:
        """Finds faces."""
        return self.given_detector or open_detector(self.config.detector)

    @cached_property
    def judge(self) -> SyncJudge:
        """Hears how far a mouth would open."""
        return self.given_judge or open_judge()


@contextmanager
def one_thread() -> Iterator[None]:
    """Networks run in one thread inside.

    Those of preparing are small: where another program or process has the second core, their threads wait for one
    another most of the time (the LSTM of voice activity took 20 s for 40 s of sound, and takes 0.1 s in one thread).
    """
    threads, pictures = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        cv2.setNumThreads(pictures)


class Engine(Protocol):
    """Does one task for many items."""

    def run(self, task: Callable[[Tools, T], R], items: Sequence[T]) -> Iterator[tuple[int, R]]:
        """(place in items, result) of every item, in the order in which they are done; may be called again."""
        ...

    def close(self) -> None:
        """End what was started for it."""
        ...


class Alone:
    """Everything in this process, one after the other."""

    def __init__(self, tools: Tools) -> None:
        self.tools = tools

    def run(self, task: Callable[[Tools, T], R], items: Sequence[T]) -> Iterator[tuple[int, R]]:
        """See Engine."""
        for place, item in enumerate(items):
            with one_thread():
                result = task(self.tools, item)
            yield place, result

    def close(self) -> None:
        """Nothing was started."""


class Processes:
    """Several processes on this machine, which end when this one does, however it ends."""

    def __init__(self, tools: Tools, workers: int) -> None:
        self.workers = workers
        context = get_context("spawn")
        self._stop = context.Event()
        self._pool = ProcessPoolExecutor(workers, context, _begin, (_portable(tools), os.getpid(), self._stop))

    def run(self, task: Callable[[Tools, T], R], items: Sequence[T]) -> Iterator[tuple[int, R]]:
        """See Engine. Raises DatasetError when a process dies."""
        try:
            places = {self._pool.submit(_call, task, item): place for place, item in enumerate(items)}
            for done in as_completed(places):
                yield places[done], done.result()
        except BrokenProcessPool as error:
            raise DatasetError(
                f"one of {self.workers} processes was killed, perhaps for want of memory; run again with fewer "
                "--workers: what was done is kept"
            ) from error

    def close(self) -> None:
        """End the processes, and what they are at."""
        self._stop.set()
        self._pool.shutdown(cancel_futures=True)


class RayCluster:
    """The workers of a Ray cluster that see the footage and the dataset under the same paths.

    The cluster is that of RAY_ADDRESS, else one of `workers` processes on this machine, ended afterwards. A task whose
    worker dies is done again elsewhere. A local one does not come up on a machine so busy that Ray's agents need more
    than the 15 s that Ray 2.60 gives them, which cannot be changed (ray-project/ray, issue 65983): it took 7 s here,
    and failed at a load of ten times the cores.
    """

    def __init__(self, tools: Tools, workers: int) -> None:
        self.tools, self.workers, self._own = _portable(tools), workers, False

    def run(self, task: Callable[[Tools, T], R], items: Sequence[T]) -> Iterator[tuple[int, R]]:
        """See Engine.

        Raises:
            ConfigError: Ray is not installed here, or this project not on the cluster's machines.
            DatasetError: a task keeps losing its worker. LipsyncError: what the task raised.
        """
        try:
            import ray
        except ImportError as error:
            raise ConfigError("engine 'ray' needs Ray; install it with: pip install 'lipsync[ray]'") from error
        if not ray.is_initialized():
            self._own = True
            local = {"num_cpus": self.workers, "include_dashboard": False, "_system_config": {"worker_niceness": 0}}
            ray.init(log_to_driver=False, logging_level="ERROR", **({} if os.environ.get("RAY_ADDRESS") else local))
        call = ray.remote(num_cpus=1, max_retries=3)(_call_there)
        tools = ray.put(self.tools)
        waiting = {call.remote(tools, task, item): place for place, item in enumerate(items)}
        try:
            while waiting:
                ready, _ = ray.wait(list(waiting))
                for reference in ready:
                    yield waiting.pop(reference), ray.get(reference)
        except ray.exceptions.WorkerCrashedError as error:
            raise DatasetError("a task lost its Ray worker again and again; what was done is kept") from error
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, LipsyncError):
                raise error.cause from error
            if isinstance(error.cause, ray.exceptions.RaySystemError):
                raise ConfigError(f"a Ray worker cannot do the work; install lipsync there, too: {error}") from error
            raise
        finally:
            for reference in waiting:
                ray.cancel(reference, force=True)

    def close(self) -> None:
        """Leave the cluster that was joined or started here."""
        if self._own:
            import ray

            ray.shutdown()


def open_engine(name: str, tools: Tools, workers: int) -> Engine:
    """The engine of that name with so many processes. Raises ConfigError for an unknown one."""
    if name not in ENGINES:
        raise ConfigError(f"no engine is called {name!r}; there are: {', '.join(ENGINES)}")
    if name == "ray":
        return RayCluster(tools, workers)
    return Processes(tools, workers) if workers > 1 else Alone(tools)


def _portable(tools: Tools) -> Tools:
    return Tools(tools.config, tools.given_detector, tools.given_judge)  # without what is open, and who listens


_TOOLS: dict[int, Tools] = {}  # of a worker process, by hash of its settings


def _begin(tools: Tools, parent: int, stop: Any) -> None:
    """A worker process starts: keep its tools, and end with its parent."""
    _TOOLS[0] = tools

    def follow() -> None:
        while os.getppid() == parent and not stop.is_set():
            time.sleep(_LOOK_EVERY_S)
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _call(task: Callable[[Tools, T], R], item: T) -> R:
    with one_thread():
        return task(_TOOLS[0], item)


def _call_there(tools: Tools, task: Callable[[Tools, T], R], item: T) -> R:
    """On a Ray worker: the tools of the first task with these settings stay open for the next."""
    key = hash((tools.config, type(tools.given_detector), type(tools.given_judge)))
    with one_thread():
        return task(_TOOLS.setdefault(key, tools), item)
