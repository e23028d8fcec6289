"""Where lips are left alone: nothing is to be said there, and nothing to be taken away.

A position needs a new mouth where the wanted one moves or is open, or where the template's own is open; _AROUND_S
before and after such a position; and at the ends of a part, whose neighbours it does not know. What is left is idle if
it lasts _LEAST_S: there the template's own resting mouth stays as it is, and the renderer fades in and out.
"""

import numpy as np

from lipsync.faces.align import OUTER_LIP, mouth_opening
from lipsync.render.plan import Plan

IDLE = "nothing is said"  # why such a frame passes through
_OPEN, _SPEED = 0.025, 0.08  # beyond rest, inter-ocular distances; of the lips, a second
_AROUND_S, _LEAST_S = 0.2, 0.6


def idle_positions(plan: Plan, frames: np.ndarray, times_s: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Which positions of a sequence need no new mouth: bool (N,).

    Args:
        frames: (N,) template frames.
        times_s: (N,).
        points: (N, 31, 2) window px, the mouth that is wanted; NaN where none can be rendered.
    """
    able = plan.able[frames]
    if able.sum() < 2:
        return np.zeros(len(frames), bool)
    seen = frames[able]
    zoom = float(np.median(np.linalg.norm(plan.transforms[seen, 0, :2], axis=1)))
    unit = zoom * float(np.median(plan.pose.scale[seen]))  # an inter-ocular distance in window px
    rest = plan.window_points(plan.neutral[frames], frames)
    with np.errstate(invalid="ignore"):
        opening = np.fmax(mouth_opening(points), mouth_opening(plan.points[frames])) - mouth_opening(rest)
        aside = (points - rest)[:, OUTER_LIP.start :]
        step = np.linalg.norm(np.diff(aside, axis=0), axis=-1).mean(-1) / np.maximum(np.diff(times_s), 1e-3)
        moves = np.append(step > _SPEED * unit, False)
        needed = able & ((opening > _OPEN * unit) | moves | np.append(False, moves[:-1]))
    marks_s = np.concatenate([times_s[needed], times_s[[0, -1]]])
    marks_s.sort()
    after = np.searchsorted(marks_s, times_s).clip(1, len(marks_s) - 1)
    near_s = np.minimum(np.abs(times_s - marks_s[after - 1]), np.abs(marks_s[after] - times_s))
    idle = able & (near_s > _AROUND_S)
    for first, last in np.flatnonzero(np.diff(np.concatenate([[0], idle.astype(int), [0]]))).reshape(-1, 2):
        if times_s[last - 1] - times_s[first] < _LEAST_S:
            idle[first:last] = False
    return idle
