"""Placing sentences: for any slots, gaps and lengths nothing overlaps or drifts, and limits hold or are reported."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipsync.speech.fit import TOLERANCE_S, FitConfig, Slot, disjoint, place

LIMITS = FitConfig()
ALONE = Slot(1.0, 3.0)


def one(length_s, slot=ALONE, end_s=10.0, after=()):
    return place([slot, *after], [length_s, *[1.0 for _ in after]], end_s)[0]


def test_a_little_long_is_spoken_faster_and_ends_with_its_slot():
    placed = one(2.3)
    assert (placed.start_s, placed.end_s) == (1.0, 3.0) and placed.rate == pytest.approx(1.15)
    assert placed.in_slot and placed.borrowed_s == 0


def test_short_is_slowed_down_no_further_than_natural_and_then_followed_by_silence():
    assert one(1.8).end_s == pytest.approx(3.0)
    placed = one(1.0)
    assert placed.rate == pytest.approx(LIMITS.slowest) and placed.end_s == pytest.approx(1.0 + 1.0 / LIMITS.slowest)


def test_long_borrows_silence_at_a_comfortable_rate():
    placed = one(3.0)
    assert placed.rate == pytest.approx(LIMITS.comfortable)
    assert placed.borrowed_s == pytest.approx(0.5) and placed.missing_s == 0


def test_a_breath_is_left_before_the_next():
    placed = one(3.0, after=[Slot(3.4, 5.0)])
    assert placed.end_s == pytest.approx(3.4 - LIMITS.breath_s)
    assert LIMITS.comfortable < placed.rate <= LIMITS.fastest


def test_what_cannot_fit_says_how_many_seconds_are_missing():
    placed = one(4.2, after=[Slot(3.0, 5.0)])
    assert placed.missing_s == pytest.approx(4.2 / LIMITS.fastest - 2.0)
    assert (
        placed.end_s == 3.0 and placed.rate == pytest.approx(LIMITS.hardest) and placed.kept == pytest.approx(4 / 4.2)
    )


def test_the_end_of_the_video_is_the_end():
    assert one(3.0, slot=Slot(8.0, 12.0), end_s=9.0).end_s == 9.0
    assert one(3.0, slot=Slot(11.0, 12.0), end_s=9.0).duration_s == 0


def test_subtitles_that_overlap_a_little_are_trimmed_and_stay_at_their_starts():
    slots = [Slot(k * 2.0, k * 2.0 + 2.3) for k in range(10)]
    placed = place(slots, [1.9] * 10, 30.0)
    assert [p.start_s for p in placed] == [s.start_s for s in slots]
    assert all(p.moved_s == 0 and p.in_slot for p in placed)


def test_slots_at_the_same_time_are_shared_by_need():
    rooms = disjoint([Slot(0, 3), Slot(0, 3), Slot(5, 6)], [2.0, 1.0, 1.0], 10.0)
    assert [(r.start_s, r.end_s) for r in rooms] == [(0, 2), (2, 3), (5, 6)]
    assert place([Slot(0, 3), Slot(0, 3)], [2.0, 1.0], 10.0)[1].moved_s == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("slots", "lengths"),
    [([Slot(0, 1)], []), ([Slot(2, 3), Slot(0, 1)], [1, 1]), ([Slot(1, 1)], [1]), ([Slot(0, 1)], [0.0])],
)
def test_bad_input(slots, lengths):
    with pytest.raises(ValueError, match=r"slot"):
        place(slots, lengths, 10.0)


@st.composite
def tasks(draw):
    """Slots with gaps, touching, overlapping, nested and equal ones; lengths of any size; the video's end anywhere."""
    at, slots = 0.0, []
    for _ in range(draw(st.integers(1, 12))):
        at = max(0.0, at + draw(st.floats(-3.0, 3.0)) * draw(st.sampled_from([0, 1])))
        length = draw(st.floats(0.01, 6.0))
        slots.append(Slot(at, at + length))
        at += length
    slots.sort(key=lambda slot: slot.start_s)
    lengths = draw(st.lists(st.floats(0.02, 12.0), min_size=len(slots), max_size=len(slots)))
    return slots, lengths, draw(st.floats(0.5, 60.0))


@settings(max_examples=200, deadline=None)
@given(tasks())
def test_never_over_one_another_never_early_never_too_fast(task):
    slots, lengths, end_s = task
    placed = place(slots, lengths, end_s)
    edge = 0.0
    for p, natural_s in zip(placed, lengths, strict=True):
        assert edge - 1e-9 <= p.start_s <= p.end_s + 1e-9 and p.end_s <= end_s + 1e-9
        assert p.start_s >= min(p.slot.start_s, end_s) - 1e-9
        assert LIMITS.slowest - 1e-9 <= p.rate <= LIMITS.hardest + 1e-9
        assert p.rate * p.duration_s == pytest.approx(p.kept * natural_s) or p.duration_s == 0
        if p.missing_s == 0:
            assert p.kept == 1 and p.rate <= LIMITS.fastest + 1e-6
        else:
            assert p.missing_s == pytest.approx(natural_s / LIMITS.fastest - p.duration_s)
        edge = p.end_s


@settings(max_examples=100, deadline=None)
@given(tasks())
def test_a_slot_that_no_other_covers_keeps_its_start_however_the_rest_overflows(task):
    slots, lengths, end_s = task
    for k, p in enumerate(place(slots, lengths, end_s)):
        before = max((s.end_s for s in slots[:k]), default=0.0)
        if before <= slots[k].start_s < end_s:
            assert p.moved_s == 0
            fits = lengths[k] <= LIMITS.comfortable * (slots[k].end_s - slots[k].start_s)
            following = min((s.start_s for s in slots[k + 1 :]), default=end_s)
            if fits and slots[k].end_s <= min(following, end_s):
                assert p.in_slot and p.end_s <= p.slot.end_s + TOLERANCE_S
