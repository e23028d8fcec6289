"""Tracks → clips: the parts of a face's track that training can use, and why the rest was dropped.

A clip is one person, seen in every frame, from the front, large enough, with sound. It is written as windows, mouth
landmarks in head units, log-mel and sound (lipsync/training/clipstore.py describes the files).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from lipsync.config import PrepareConfig
from lipsync.faces.align import (
    MOUTH,
    HeadPose,
    apply_transform,
    crop_window,
    fit_pose,
    stack_landmarks,
    to_head,
    window_transforms,
)
from lipsync.media import VideoWriter
from lipsync.speech.features import MEL_RATE_HZ, level, log_mel
from lipsync.training.clipstore import MEL_PAD_S
from lipsync.types import Frame, Sound, Track

_UPSIDE_DOWN_DEG = 135.0
_MEL_EDGE = 2  # mel frames at each end of a slice whose analysis window reaches beyond it


@dataclass(frozen=True)
class Span:
    """Frames `first` to `last` (exclusive) of a file, one face in all of them, with everything a clip needs."""

    first: int
    last: int
    times_s: np.ndarray  # float64 (F,)
    mouth: np.ndarray  # (F, 31, 3), head units
    points: np.ndarray  # (F, 31, 2), window px
    pose: HeadPose
    transforms: np.ndarray  # (F, 2, 3), frame → window

    @property
    def start_s(self) -> float:
        """Time of the first frame."""
        return float(self.times_s[0])

    @property
    def end_s(self) -> float:
        """Time of the last frame."""
        return float(self.times_s[-1])


@dataclass(frozen=True)
class Dropped:
    """A stretch of footage that no clip was made of, and why. `thumbnail`: a picture of it in DATASET/thumbs."""

    start_s: float
    end_s: float
    reason: str
    thumbnail: str = ""


def cut_spans(first: int, track: Track, config: PrepareConfig) -> tuple[list[Span], list[Dropped]]:
    """Split one track, whose first frame is frame `first` of the file, into usable spans of least_s to most_s."""
    landmarks = stack_landmarks(track)
    pose = fit_pose(landmarks)
    transforms = window_transforms(pose, config.window)
    mouth = to_head(landmarks[:, MOUTH], pose)
    points = apply_transform(landmarks[:, MOUTH], transforms)
    reasons = frame_reasons(pose, config)
    spans, dropped = [], []
    for start, stop in runs(reasons):
        times = track.times_s[start:stop]
        length_s = float(times[-1] - times[0])
        if reasons[start] or length_s < config.least_s:
            dropped.append(Dropped(float(times[0]), float(times[-1]), reasons[start] or "too short"))
            continue
        pieces = max(1, int(np.ceil(length_s / config.most_s)))
        edges = np.linspace(start, stop, pieces + 1).astype(int).tolist()
        for a, b in pairwise(edges):
            part = slice(a, b)
            spans.append(
                Span(first + a, first + b, track.times_s[part], mouth[part], points[part], pose[part], transforms[part])
            )
    return spans, dropped


def frame_reasons(pose: HeadPose, config: PrepareConfig) -> list[str]:
    """Per frame: why it cannot be used; '' where it can."""
    reasons = []
    for scale, yaw, pitch, roll in zip(pose.scale, pose.yaw_deg, pose.pitch_deg, pose.roll_deg, strict=True):
        if not np.isfinite(scale):
            reasons.append("no face")
        elif scale < config.least_inter_ocular_px:
            reasons.append("face too small")
        elif abs(yaw) > config.most_yaw_deg or abs(pitch) > config.most_pitch_deg:
            reasons.append("turned away")
        elif abs(roll) > config.most_roll_deg:
            reasons.append("upside down" if abs(roll) > _UPSIDE_DOWN_DEG else "head tilted")
        else:
            reasons.append("")
    return reasons


def runs(labels: list[str]) -> Iterator[tuple[int, int]]:
    """(start, stop) of each run of equal labels, in order; they cover the list."""
    start = 0
    for i in range(1, len(labels) + 1):
        if i == len(labels) or labels[i] != labels[start]:
            yield start, i
            start = i


def uncovered(stretches: Iterable[tuple[float, float]], start_s: float, end_s: float) -> list[tuple[float, float]]:
    """The parts of start_s…end_s that lie in none of the stretches (start, end), in order."""
    gaps, at = [], start_s
    for a, b in sorted(stretches):
        if a > at:
            gaps.append((at, min(a, end_s)))
        at = max(at, b)
        if at >= end_s:
            break
    if at < end_s:
        gaps.append((at, end_s))
    return [(a, b) for a, b in gaps if b > a]


def slice_sound(sound: Sound, start_s: float, end_s: float) -> Sound:
    """The part of a mono sound between two times of the video clock, padded with silence."""
    rate = sound.sample_rate_hz
    first, last = round((start_s - sound.start_s) * rate), round((end_s - sound.start_s) * rate)
    out = np.zeros(max(last - first, 0), np.float32)
    a, b = max(first, 0), min(last, len(sound.samples))
    if b > a:
        out[a - first : b - first] = sound.samples[a:b]
    return Sound(out, rate, start_s)


def slice_mel(sound: Sound, start_s: float, end_s: float, loudness: float) -> np.ndarray:
    """The log-mel from MEL_PAD_S before `start_s` to as much after `end_s`; silence where there is no sound.

    Computed from samples cut at `start_s`, so that frame k lies k/100 s after start_s − MEL_PAD_S to within one
    sample; slicing a mel of the whole file would be off by up to 5 ms.

    Args:
        sound: mono, of the whole file.
        loudness: of the whole file, dB: it is levelled by that.

    Returns:
        float32 (T, 80), T = 1 + 100·(end_s − start_s + 2·MEL_PAD_S), rounded.
    """
    edge_s = _MEL_EDGE / MEL_RATE_HZ
    length = 1 + round((end_s - start_s + 2 * MEL_PAD_S) * MEL_RATE_HZ)
    first_s = start_s - MEL_PAD_S - edge_s
    part = slice_sound(sound, first_s, first_s + (length + 2 * _MEL_EDGE) / MEL_RATE_HZ)
    return log_mel(level(part, loudness))[_MEL_EDGE : _MEL_EDGE + length]


def crop_windows(frames: Iterable[Frame], spans: list[Span], size_px: int) -> Iterator[tuple[Span, np.ndarray]]:
    """One pass over a file's frames: each span with its windows uint8 (F, S, S, 3), as soon as its last was read."""
    waiting = sorted(spans, key=lambda s: s.first)
    open_spans: list[tuple[Span, list[np.ndarray]]] = []
    for frame in frames:
        if not waiting and not open_spans:
            return
        while waiting and waiting[0].first <= frame.index:
            open_spans.append((waiting.pop(0), []))
        for span, windows in open_spans:
            windows.append(crop_window(frame.image, span.transforms[frame.index - span.first], size_px))
        for span, windows in [item for item in open_spans if item[0].last == frame.index + 1]:
            yield span, np.stack(windows)
        open_spans = [item for item in open_spans if item[0].last > frame.index + 1]


def write_windows(path: Path, windows: np.ndarray, frame_rate: Fraction, crf: int) -> None:
    """Windows (F, S, S, 3) as a small silent video of even frame spacing."""
    size_px = windows.shape[1]
    with VideoWriter(path, width=size_px, height=size_px, frame_rate=frame_rate, crf=crf) as writer:
        for window in windows:
            writer.write(window)


def jpeg(image: np.ndarray, most_px: int = 160) -> bytes:
    """A small JPEG of a picture (H, W, 3) RGB whose longer side is at most `most_px`."""
    scale = most_px / max(image.shape[:2])
    if scale < 1:
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
