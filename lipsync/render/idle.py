"""Where lips are left alone: nothing is to be said there, and nothing to be taken away.

A position needs a new mouth where the wanted one moves or is open, or where the template's own is open; _AROUND_S
before and after such a position. What is left is idle if it lasts _LEAST_S: there the template's own resting mouth
stays as it is, and the renderer fades in and out.

A part of a render knows from the sound what is wanted within AROUND_PART_S beyond its ends, so that two parts that meet
decide alike there. Where that is not told, as in a shot between cuts, the ends count as needing a mouth.
"""

import numpy as np

from lipsync.faces.align import MOUTH, OUTER_LIP, mouth_opening
from lipsync.faces.template import HEAD
from lipsync.model.shape import ShapeSpace
from lipsync.render.plan import Plan

IDLE = "nothing is said"  # why such a frame passes through
_OPEN, _SPEED = 0.025, 0.08  # beyond rest, inter-ocular distances; of the lips, a second
_AROUND_S, _LEAST_S = 0.2, 0.6
AROUND_PART_S = _LEAST_S + 2 * _AROUND_S


def with_surroundings(times_s: np.ndarray, step_s: float) -> tuple[np.ndarray, slice]:
    """A part's times with those around it that count for it, (N,), and which are its own."""
    beyond_s = np.arange(1, np.ceil(AROUND_PART_S / step_s) + 1) * step_s
    wide_s = np.concatenate([times_s[0] - beyond_s[::-1], times_s, times_s[-1] + beyond_s])
    return wide_s, slice(len(beyond_s), len(beyond_s) + len(times_s))


def speaking_times(
    space: ShapeSpace, shapes: np.ndarray, times_s: np.ndarray, own: slice, opening: float = 1.0
) -> np.ndarray:
    """When a wanted mouth of shapes (N, K) at times (N,) is open or moves, whatever the template shows: (M,).

    Of what lies outside the `own` times, only the nearest at either end: a part depends on no more of its neighbours.
    """
    rest = HEAD[MOUTH]
    aside = (space.decode(shapes, rest) - rest) * opening
    step = np.linalg.norm(np.diff(aside[:, OUTER_LIP.start :], axis=0), axis=-1).mean(-1)
    moves = np.append(step / np.maximum(np.diff(times_s), 1e-3) > _SPEED, False)
    opened = mouth_opening(rest + aside) - mouth_opening(rest) > _OPEN
    speaks = np.flatnonzero(opened | moves | np.append(False, moves[:-1]))
    low, high = np.searchsorted(speaks, [own.start, own.stop])
    return times_s[speaks[max(0, low - 1) : high + 1]]


def idle_positions(
    plan: Plan, frames: np.ndarray, times_s: np.ndarray, points: np.ndarray, spoken_s: np.ndarray | None = None
) -> np.ndarray:
    """Which positions of a sequence need no new mouth: bool (N,).

    Args:
        frames: (N,) template frames.
        times_s: (N,).
        points: (N, 31, 2) window px, the mouth that is wanted; NaN where none can be rendered.
        spoken_s: (M,) when the wanted mouth speaks, in the sequence and beyond its ends; None: not known there.
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
    known_s = times_s[[0, -1]] if spoken_s is None else np.concatenate([[-np.inf, np.inf], spoken_s])
    marks_s = np.sort(np.concatenate([times_s[needed], known_s]))
    after = np.searchsorted(marks_s, times_s).clip(1, len(marks_s) - 1)
    near_s = np.minimum(np.abs(times_s - marks_s[after - 1]), np.abs(marks_s[after] - times_s))
    idle = able & (near_s > _AROUND_S)
    for first, last in np.flatnonzero(np.diff(np.concatenate([[0], idle.astype(int), [0]]))).reshape(-1, 2):
        from_s = marks_s[after[0] - 1] + _AROUND_S if first == 0 else times_s[first]
        to_s = marks_s[after[-1]] - _AROUND_S if last == len(idle) else times_s[last - 1]
        if to_s - from_s < _LEAST_S:
            idle[first:last] = False
    return idle
