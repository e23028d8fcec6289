"""Working ahead: order, errors, bounds, stopping."""

import sys
import time

import pytest

from lipsync.render.overlap import Ahead, take_short_turns


def test_working_ahead_keeps_order_carries_errors_and_stops():
    assert list(Ahead(iter(range(100)), 3)) == list(range(100))

    def failing():
        yield 1
        raise ValueError("planted")

    ahead = Ahead(failing(), 2)
    assert next(ahead) == 1
    for _ in range(2):  # again and again
        with pytest.raises(ValueError, match="planted"):
            next(ahead)
    taken = []

    def endless():
        k = 0
        while True:
            taken.append(k)
            yield k
            k += 1

    ahead = Ahead(endless(), 2)
    assert next(ahead) == 0
    time.sleep(0.2)
    assert len(taken) <= 5  # bounded
    ahead.close()
    count = len(taken)
    time.sleep(0.1)
    assert len(taken) == count


def test_threads_take_short_turns():
    before = sys.getswitchinterval()
    take_short_turns.cache_clear()
    try:
        sys.setswitchinterval(0.005)
        take_short_turns()
        assert sys.getswitchinterval() < 0.001
    finally:
        sys.setswitchinterval(before)
