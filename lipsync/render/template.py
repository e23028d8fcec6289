"""Which pictures of a template are shown when somebody says something: the calmest stretch, forth and back.

A bounced stretch has no jump: of n frames the order is 0, 1, …, n−1, n−2, …, 1, 0, 1, …, and each step takes as long
as it took in the template. What can be seen of a turn is that all motion reverses at once, so stretches begin and end
where the head is nearly still. Unrest is the head's speed, of place in inter-ocular distances and of turn in radians a
second, and how far the mouth is open beyond rest; a stretch that must be bounced is worse the shorter it is:

    cost = mean unrest + _TURN/seconds
"""

import numpy as np

from lipsync.faces.align import mouth_opening
from lipsync.render.plan import Plan
from lipsync.render.sequence import Sequence, find_runs

LENGTHS_S = (5.0, 8.0, 12.0, 20.0)  # of the stretches that are tried, beside what the speech needs
SETTLE_S = 0.6  # either end moves inwards by up to this, to where the head is most still
_TURN = 0.3
_OPEN = 1.0  # what an opening of one inter-ocular distance counts beside a speed of one a second


def hold(plan: Plan, length_s: float) -> Sequence:
    """A photo for `length_s`, at its nominal rate."""
    rate = plan.info.frame_rate
    count = max(1, round(length_s * float(rate)))
    times_s = np.arange(count) / float(rate)
    return Sequence(np.zeros(count, int), times_s, np.zeros(count, int))


def bounce(plan: Plan, length_s: float) -> Sequence:
    """The template's calmest stretch forth and back, starting at time 0, until `length_s` is filled."""
    first, last = calm_stretch(plan, length_s)
    base_pts = plan.pts[first:last]
    nominal = max(1, round(1 / (plan.info.frame_rate * plan.info.time_base)))
    tick_s = float(plan.info.time_base)
    steps = np.diff(base_pts) if last - first > 1 else np.array([nominal])
    frames, pts = [0], [0]
    while (pts[-1] + nominal) * tick_s < length_s - 1e-9:
        at, there = fold(len(frames) - 1, last - first), fold(len(frames), last - first)
        frames.append(there)
        pts.append(pts[-1] + int(steps[min(at, there) if at != there else 0]))
    ticks = np.array(pts)
    return Sequence(first + np.array(frames), ticks * tick_s, ticks)


def fold(k: int, count: int) -> int:
    """Position k of 0, 1, …, count−1, count−2, …, 1, 0, 1, …"""
    period = max(1, 2 * (count - 1))
    at = k % period
    return at if at < count else period - at


def calm_stretch(plan: Plan, length_s: float) -> tuple[int, int]:
    """Template frames first ≤ i < last to show for `length_s`: all can be done, without a cut, and it is calm there."""
    rate = float(plan.info.frame_rate)
    speed, rest = head_speed(plan), unrest(plan)
    found: list[tuple[float, int, int]] = []
    for run in find_runs(plan, np.arange(len(plan))):
        most = min(run.last - run.first, round(length_s * rate) + 1)
        for count in sorted({most, *(n for n in (round(s * rate) for s in LENGTHS_S) if n < most)}):
            bounced = (count - 1) / rate < length_s - 1e-6
            first = run.first + _calmest(rest[run.first : run.last], count)
            last = first + count
            if bounced:
                first, last = _settled(speed, first, last, round(min(SETTLE_S * rate, count / 8)))
            seconds = max(last - first, 1) / rate
            found.append((float(rest[first:last].mean()) + bounced * _TURN / seconds, first, last))
    _, first, last = min(found)
    return first, last


def head_speed(plan: Plan) -> np.ndarray:
    """How fast the head moves from frame to frame: (F,), per second; of the first frame, that of the second."""
    if len(plan) < 2:
        return np.zeros(len(plan))
    scale = np.nanmedian(plan.pose.scale)
    moved = np.linalg.norm(np.diff(plan.pose.translation[:, :2], axis=0), axis=1) / scale
    turned = np.linalg.norm(np.diff(plan.pose.rotation, axis=0), axis=(1, 2)) / np.sqrt(2)
    speed = (moved + turned) / np.maximum(np.diff(plan.times_s), 1e-3)
    return np.append(speed[:1], speed)


def unrest(plan: Plan) -> np.ndarray:
    """What a calm stretch has little of: (F,), see the file; 0 where no face was seen."""
    opening = mouth_opening(plan.mouth) - mouth_opening(plan.neutral)
    return np.nan_to_num(head_speed(plan) + _OPEN * np.maximum(0, opening))


def _calmest(rest: np.ndarray, count: int) -> int:
    """Where the window of `count` frames with the least unrest begins."""
    sums = np.cumsum(np.append(0.0, rest))
    return int(np.argmin(sums[count:] - sums[:-count]))


def _settled(speed: np.ndarray, first: int, last: int, reach: int) -> tuple[int, int]:
    """Either end moved inwards by up to `reach` frames, to where the head is most still."""
    if reach < 1 or last - first < 4 * reach:
        return first, last
    head, tail = speed[first + 1 : first + 1 + reach], speed[last - reach : last]
    return first + int(np.nan_to_num(head, nan=np.inf).argmin()), last - reach + int(
        np.nan_to_num(tail, nan=np.inf).argmin()
    ) + 1
