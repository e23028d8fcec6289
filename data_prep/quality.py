"""How good a clip is to learn from: sharpness, light, motion, repeated frames, and one score.

    sharpness  = mean |∇²Y| of the windows                      grey levels; blur and compression take it away
    repeated   = share of frames i with d_i < ¼·min(d_{i−1}, d_{i+1}),   d_i = mean |Y_i − Y_{i−1}|
                 ½ when every second d is less than ¾ of the others on average
    frozen     = longest time in which every d_i is under a fraction of a grey level
    score      = (size · sharp · frontal · speech)^¼, each from 0 to 1

Y is the windows' luma (ITU-R BT.601 weights), 0 to 255. A repeated frame is one that stands still between two that
move: every second one when 15 frames a second were doubled to 30, every fifth in 24 → 30.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from data_prep.clips import Span
from lipsync.config import PrepareConfig
from lipsync.faces.align import mouth_opening
from lipsync.faces.occlusion import hidden_frames

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_GOOD_INTER_OCULAR_PX = 64.0  # a window of 128 px is then not enlarged
_GOOD_SHARPNESS = 4.0
_FLAGGED = 2 / 3
# Windows are steadied over time: one of a repeated picture is not quite the one before. Real clips: 0.89 to 0.99;
# doubled: 0.47, 0.63.
_ALTERNATING, _LEAST_PAIRS = 0.75, 45
_OPEN, _WIDE = (0.02, 0.06, 0.12, 0.2), (-0.08, 0.08)  # head units; width from what is usual


def sharpness(windows: np.ndarray) -> float:
    """Mean absolute Laplacian of the luma of eight of the windows (F, S, S, 3), grey levels."""
    luma = windows[:: max(1, len(windows) // 8)].astype(np.float32) @ _LUMA
    across = luma[:, 1:-1, :-2] + luma[:, 1:-1, 2:]
    down = luma[:, :-2, 1:-1] + luma[:, 2:, 1:-1]
    return float(np.abs(4 * luma[:, 1:-1, 1:-1] - across - down).mean())


def brightness(windows: np.ndarray) -> float:
    """Mean luma of the windows (F, S, S, 3), grey levels 0 to 255."""
    return float((windows[:: max(1, len(windows) // 8)].astype(np.float32) @ _LUMA).mean())


def repeated_share(windows: np.ndarray) -> float:
    """Share of frames that repeat the one before while their neighbours move; 0 for fewer than four frames."""
    if len(windows) < 4:
        return 0.0
    moved = np.array([np.abs(b.astype(np.int16) - a.astype(np.int16)).mean() for a, b in pairwise(windows)])
    lone = moved[1:-1] < 0.25 * np.minimum(moved[:-2], moved[2:])
    halves = moved[0::2].mean(), moved[1::2].mean()
    doubled = len(moved) >= _LEAST_PAIRS and min(halves) < _ALTERNATING * max(halves)
    return max(float(lone.mean()), 0.5 if doubled else 0.0)


def frozen_s(windows: np.ndarray, frame_rate: float, least_change: float) -> float:
    """The longest time, in seconds, in which no window (F, S, S, 3) changes by `least_change` grey levels."""
    moved = [np.abs(b[::2, ::2].astype(np.int16) - a[::2, ::2]).mean() for a, b in pairwise(windows)]
    longest = run = 0
    for change in moved:
        run = run + 1 if change < least_change else 0
        longest = max(longest, run)
    return longest / frame_rate


def mouth_motion(span: Span) -> float:
    """Standard deviation of the inner lips' distance, head units."""
    return float(mouth_opening(span.mouth).std())


def usual_width(mouths: Sequence[np.ndarray]) -> float:
    """The median over clips of the median distance of the mouth's corners, head units; mouths (F, 31, 3) each."""
    return float(np.median([np.median(_widths(mouth)) for mouth in mouths])) if len(mouths) else 0.0


def _widths(mouth: np.ndarray) -> np.ndarray:
    return np.linalg.norm(mouth[:, 17, :2] - mouth[:, 11, :2], axis=1)


def mouth_shapes(mouth: np.ndarray, usual: float) -> np.ndarray:
    """Which of 15 kinds of shape each mouth (F, 31, 3) has: 3 · (how open, 0 to 4) + (narrow 0, usual 1, wide 2)."""
    return 3 * np.digitize(mouth_opening(mouth), _OPEN) + np.digitize(_widths(mouth) - usual, _WIDE)


def head_motion(span: Span) -> float:
    """Standard deviation of the head's place in the picture, head units."""
    place = span.pose.translation[:, :2] / np.median(span.pose.scale)
    return float(np.linalg.norm(place.std(0)))


def span_reason(span: Span, speech_share: float, config: PrepareConfig) -> str:
    """Why a span cannot be used, as far as landmarks and sound tell; '' when it can."""
    if speech_share < config.least_speech_share:
        return "no speech"
    if mouth_motion(span) < config.least_mouth_motion:
        return "still picture" if head_motion(span) < config.least_head_motion else "mouth does not move"
    return ""


def window_reason(windows: np.ndarray, config: PrepareConfig, frame_rate: float = 25.0) -> str:
    """Why a span's windows (F, S, S, 3) cannot be used; '' when they can."""
    if brightness(windows) < config.least_brightness:
        return "too dark"
    if sharpness(windows) < config.least_sharpness:
        return "blurred"
    if repeated_share(windows) > config.most_repeated_share:
        return "repeated frames"
    if frozen_s(windows, frame_rate, config.checks.frozen_grey_levels) > config.checks.most_frozen_s:
        return "still picture"
    return ""


def hidden_reason(windows: np.ndarray, config: PrepareConfig) -> str:
    """What hides the mouth in too many of the windows (F, S, S, 3) of a real face; '' when nothing does."""
    covered, text = hidden_frames(windows)
    if covered.mean() > config.checks.most_hidden_share:
        return "mouth covered"
    return "text over the mouth" if text.mean() > config.checks.most_hidden_share else ""


def clip_score(span: Span, sharp: float, speech_share: float, flags: tuple[str, ...] = ()) -> float:
    """One number from 0 to 1 for how much a clip teaches; see the file's opening. Each flag takes a third off."""
    size = min(1.0, float(np.median(span.pose.scale)) / _GOOD_INTER_OCULAR_PX)
    away_deg = float(np.median(np.hypot(span.pose.yaw_deg, span.pose.pitch_deg)))
    frontal = max(0.0, 1.0 - away_deg / 60.0)
    parts = (size, min(1.0, sharp / _GOOD_SHARPNESS), frontal, min(1.0, speech_share / 0.6))
    return float(np.prod(parts) ** 0.25) * _FLAGGED ** len(flags)
