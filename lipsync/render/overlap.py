"""Let stages of a pipeline run at the same time: each in a thread of its own, with a bounded queue to the next.

Decoders, encoders, image operations and networks release Python's lock while they work, so threads share cores well.
"""

import ctypes
import gc
import queue
import sys
import threading
from collections.abc import Iterator
from functools import cache
from typing import Generic, TypeVar

T = TypeVar("T")
_TURN_S = 0.0002
# Of glibc's mallopt: what to set, and to what.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_KEPT_BYTES = 1 << 28  # free at the end of the pool: given back only beyond this
_LARGE_BYTES = 1 << 25  # asked for at once: more is mapped on its own (the most that glibc takes for this)


@cache
def share_memory() -> None:
    """Let all threads of this process take memory from one pool, where the C library is glibc; once.

    It gives each thread a pool of its own otherwise, and what one has freed the others cannot use: 50 s of video took
    890 MB at its peak where 10 s took 812 (fewer threads work at once); with one pool 818 and 785.

    What is freed stays in the pool: arrays of more than 128 KB would be mapped and given back one by one, and every
    page of them cleared again by the system: 1,400 page faults and 3 processor ms a window for the network alone.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for what, value in ((_M_ARENA_MAX, 1), (_M_TRIM_THRESHOLD, _KEPT_BYTES), (_M_MMAP_THRESHOLD, _LARGE_BYTES)):
            mallopt(what, value)


def give_back_memory() -> None:
    """Give the system what the pool has free, once a job is done: three dubs at 720p had left 300 MB of it.

    Pictures and their side data hold one another, so they are collected first.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


@cache
def take_short_turns() -> None:
    """Let a thread of this process that waits for Python's lock have it after 0.2 ms, not 5; once, for good.

    A network's thread takes the lock hundreds of times a chunk, between operations of a tenth of a millisecond: 24 s
    of 720p on two cores ran at 0.93 and 1.04 times real time without this, and at 1.07 and 1.18 with it, in turn.
    """
    sys.setswitchinterval(min(_TURN_S, sys.getswitchinterval()))


class Ahead(Generic[T]):
    """An iterator worked through by a thread, at most `most` items ahead of whoever takes them.

    What the thread raises is raised where its items are taken. `close` stops it and waits until it has stopped.
    """

    def __init__(self, items: Iterator[T], most: int) -> None:
        self._items, self._queue = items, queue.Queue[tuple[str, object]](most)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        """Itself."""
        return self

    def __next__(self) -> T:
        """The next item, in order."""
        kind, value = self._queue.get()
        if kind == "item":
            return value  # type: ignore[return-value]
        self._queue.put((kind, value))
        if kind == "error":
            raise value  # type: ignore[misc]
        raise StopIteration

    def close(self) -> None:
        """Stop working ahead."""
        self._stop.set()
        while self._thread.is_alive():
            try:
                self._queue.get(timeout=0.05)
            except queue.Empty:
                continue
        close = getattr(self._items, "close", None)
        if close is not None:
            close()

    def _work(self) -> None:
        try:
            for item in self._items:
                self._put(("item", item))
                if self._stop.is_set():
                    return
        except BaseException as error:  # noqa: BLE001  carried over to the thread that takes the items
            self._put(("error", error))
            return
        self._put(("end", None))

    def _put(self, what: tuple[str, object]) -> None:
        while not self._stop.is_set():
            try:
                self._queue.put(what, timeout=0.05)
                return
            except queue.Full:
                continue
