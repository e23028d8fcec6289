"""When each new sentence is spoken and how fast, so that it fits where the old one was.

Given slots [a_i, b_i] (when the original was spoken) and natural lengths n_i (the new speech at its normal speed), find
starts s_i and lengths d_i with

    s_i = a_i                                              never early, never late: nothing drifts
    s_i + d_i ≤ s_{i+1}                                    nothing overlaps
    s_i + d_i ≤ b_i + what is borrowed                     it ends where the original did

The rate r_i = n_i / d_i grows in this order until the speech fits: to `comfortable`, which one does not notice; then
silence after the slot is borrowed, all but a breath before the next; then to `fastest`, which still sounds natural.
What does not fit even so is spoken faster yet, up to `hardest`, and then cut, with a warning that says how many seconds
were missing. Speech shorter than its slot is slowed down to `slowest` at most and then followed by silence.

Only where slots lie over one another must a start move: what is left of the slots there is shared by need, and the
placement says by how much it moved.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

TOLERANCE_S = 0.08  # two frames at 25 a second
LEAST_S = 0.2  # of a slot that the next one covers, for it to be used alone


@dataclass(frozen=True)
class FitConfig:
    """How far speech may be changed, as rates relative to the voice's normal speed, and what is left between."""

    slowest: float = 0.85
    comfortable: float = 1.2
    fastest: float = 1.4
    hardest: float = 2.0
    breath_s: float = 0.12
    most_borrowed_s: float = 3.0


@dataclass(frozen=True)
class Slot:
    """When the original is spoken."""

    start_s: float
    end_s: float


@dataclass(frozen=True)
class Placement:
    """Where one segment's speech goes.

    `rate`: natural length by placed length. `borrowed_s`: of the silence after the slot. `missing_s`: by how much it
    would not fit at the fastest natural rate; `kept`: the share of the speech that is heard, 1 unless it was cut;
    `moved_s`: how far its start is from the slot's, 0 unless slots overlap.
    """

    slot: Slot
    start_s: float
    end_s: float
    rate: float
    borrowed_s: float = 0.0
    missing_s: float = 0.0
    kept: float = 1.0
    moved_s: float = 0.0

    @property
    def duration_s(self) -> float:
        """Length of the placed speech; 0 where there is no room at all."""
        return self.end_s - self.start_s

    @property
    def outside_s(self) -> float:
        """How far the speech reaches out of its slot, or starts away from the slot's start."""
        return max(abs(self.start_s - self.slot.start_s), self.end_s - self.slot.end_s, 0.0)

    @property
    def in_slot(self) -> bool:
        """Whether it lies in its slot within TOLERANCE_S."""
        return self.outside_s <= TOLERANCE_S


def place(
    slots: Sequence[Slot], natural_s: Sequence[float], end_s: float, config: FitConfig | None = None
) -> list[Placement]:
    """Place every segment.

    Args:
        slots: in order of their starts.
        natural_s: length of each segment's new speech at normal speed.
        end_s: the end of the video; nothing sounds after it.
        config: the limits.

    Returns:
        One placement a slot, in the same order, none over another.

    Raises:
        ValueError: lengths differ, slots are not in order, or a length is not positive.
    """
    config = config or FitConfig()
    if len(slots) != len(natural_s) or any(a.start_s > b.start_s for a, b in pairwise(slots)):
        raise ValueError(f"expected {len(natural_s)} slots in order of their starts, found {len(slots)}")
    if any(not s.start_s < s.end_s for s in slots) or any(not n > 0 for n in natural_s):
        raise ValueError("every slot must end after it begins, and every speech must have a length")
    rooms = disjoint(slots, natural_s, end_s)
    starts = [room.start_s for room in rooms[1:]] + [end_s]
    placements = []
    for slot, room, needed_s, next_s in zip(slots, rooms, natural_s, starts, strict=True):
        last = next_s == end_s
        free_s = max(0.0, next_s - room.end_s - (0.0 if last else config.breath_s))
        placements.append(_place(slot, room, needed_s, min(free_s, config.most_borrowed_s), config))
    return placements


def _place(slot: Slot, room: Slot, needed_s: float, free_s: float, config: FitConfig) -> Placement:
    own_s = max(0.0, room.end_s - room.start_s)
    most_s = own_s + free_s
    length_s = min(most_s, needed_s / config.slowest, max(own_s, needed_s / config.comfortable))
    missing_s = max(0.0, needed_s / config.fastest - most_s)
    kept = min(1.0, config.hardest * most_s / needed_s)
    rate = kept * needed_s / length_s if length_s > 0 else config.hardest
    borrowed_s, start_s = max(0.0, length_s - own_s), room.start_s
    return Placement(slot, start_s, start_s + length_s, rate, borrowed_s, missing_s, kept, start_s - slot.start_s)


def disjoint(slots: Sequence[Slot], needed_s: Sequence[float], end_s: float) -> list[Slot]:
    """The slots without what lies over one another: in order, none beyond `end_s`; a room may be empty.

    A slot ends where the next begins. Where less than LEAST_S would be left of it, it shares what it has with the next
    ones, up to the first that leaves enough, in proportion to what each needs.
    """
    rooms: list[Slot] = []
    k = 0
    while k < len(slots):
        last = k
        while last + 1 < len(slots) and _crowds(slots, k, last):
            last += 1
        limit = min(end_s, slots[last + 1].start_s if last + 1 < len(slots) else end_s)
        start = min(slots[k].start_s, end_s)
        end = max(start, min(limit, max(slot.end_s for slot in slots[k : last + 1])))
        total = sum(needed_s[k : last + 1])
        at = start
        for i in range(k, last + 1):
            share = at + (end - start) * needed_s[i] / total
            until = min(end, max(share, slots[i + 1].start_s)) if i < last else end
            rooms.append(Slot(at, until))
            at = until
        k = last + 1
    return rooms


def _crowds(slots: Sequence[Slot], first: int, last: int) -> bool:
    """Whether the slot after `last` begins so early that `first … last` have too little room before it."""
    following = slots[last + 1].start_s
    covered = following < max(slot.end_s for slot in slots[first : last + 1])
    return covered and following - slots[first].start_s < LEAST_S * (last - first + 1)
