"""Tracks → clips: the parts of a face's track that training can use, and why the rest was dropped.

A clip is one person, seen in every frame, from the front, large enough, with sound. It is written as windows, mouth
landmarks in head units, log-mel and sound (lipsync/training/clipstore.py describes the files).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

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
from lipsync.media.read import read_frames
from lipsync.media.sound import write_wav
from lipsync.media.write import VideoWriter
from lipsync.speech.features import MEL_RATE_HZ, MEL_SILENCE
from lipsync.training.clipstore import MEL_PAD_S
from lipsync.types import Sound, Track


@dataclass(frozen=True)
class Span:
    """Frames `first` to `last` (exclusive) of a file, one face in all of them, with everything a clip needs."""

    first: int
    last: int
    times_s: np.ndarray
    mouth: np.ndarray
    points: np.ndarray
    pose: HeadPose
    transforms: np.ndarray


@dataclass(frozen=True)
class Dropped:
    """A stretch of footage that no clip was made of, and why."""

    start_s: float
    end_s: float
    reason: str


def cut_spans(first: int, track: Track, config: PrepareConfig) -> tuple[list[Span], list[Dropped]]:
    """Split one track, whose first frame is frame `first` of the file, into usable spans."""
    landmarks = stack_landmarks(track)
    pose = fit_pose(landmarks)
    transforms = window_transforms(pose, config.window)
    mouth = to_head(landmarks[:, MOUTH], pose)
    points = apply_transform(landmarks[:, MOUTH], transforms)
    reasons = _frame_reasons(pose, config)
    spans, dropped = [], []
    for start, stop in _runs(reasons):
        times = track.times_s[start:stop]
        if reasons[start]:
            dropped.append(Dropped(float(times[0]), float(times[-1]), reasons[start]))
        elif times[-1] - times[0] < config.least_s:
            dropped.append(Dropped(float(times[0]), float(times[-1]), "too short"))
        else:
            pieces = max(1, int(np.ceil((times[-1] - times[0]) / config.most_s)))
            edges = np.linspace(start, stop, pieces + 1).astype(int)
            for a, b in zip(edges[:-1], edges[1:], strict=True):
                part = slice(int(a), int(b))
                spans.append(
                    Span(first + part.start, first + part.stop, track.times_s[part], mouth[part], points[part], pose[part], transforms[part])
                )
    return spans, dropped


def _frame_reasons(pose: HeadPose, config: PrepareConfig) -> list[str]:
    """Per frame: why it cannot be used; '' where it can."""
    reasons = []
    for scale, yaw, pitch in zip(pose.scale, pose.yaw_deg, pose.pitch_deg, strict=True):
        if not np.isfinite(scale):
            reasons.append("no face")
        elif scale < config.least_inter_ocular_px:
            reasons.append("face too small")
        elif abs(yaw) > config.most_yaw_deg or abs(pitch) > config.most_pitch_deg:
            reasons.append("turned away")
        else:
            reasons.append("")
    return reasons


def _runs(labels: list[str]) -> Iterator[tuple[int, int]]:
    """(start, stop) of each run of equal labels."""
    start = 0
    for i in range(1, len(labels) + 1):
        if i == len(labels) or labels[i] != labels[start]:
            yield start, i
            start = i


def slice_mel(log_mel: np.ndarray, sound_start_s: float, start_s: float, end_s: float) -> np.ndarray:
    """The mel from MEL_PAD_S before `start_s` to as much after `end_s`; silence where there is no sound."""
    first = round((start_s - MEL_PAD_S - sound_start_s) * MEL_RATE_HZ)
    last = round((end_s + MEL_PAD_S - sound_start_s) * MEL_RATE_HZ) + 1
    out = np.full((last - first, log_mel.shape[1]), MEL_SILENCE, np.float32)
    a, b = max(first, 0), min(last, len(log_mel))
    if b > a:
        out[a - first : b - first] = log_mel[a:b]
    return out


def slice_sound(sound: Sound, start_s: float, end_s: float) -> Sound:
    """The part of a mono sound between two times of the video clock, padded with silence."""
    rate = sound.sample_rate_hz
    first, last = round((start_s - sound.start_s) * rate), round((end_s - sound.start_s) * rate)
    out = np.zeros(max(last - first, 0), np.float32)
    a, b = max(first, 0), min(last, len(sound.samples))
    if b > a:
        out[a - first : b - first] = sound.samples[a:b]
    return Sound(out, rate, 0.0)


def crop_windows(path: Path, spans: list[Span], size_px: int) -> Iterator[tuple[Span, np.ndarray]]:
    """One pass over the file: each span with its windows (F, S, S, 3), as soon as its last frame was read."""
    waiting = sorted(spans, key=lambda s: s.first)
    open_spans: list[tuple[Span, list[np.ndarray]]] = []
    for index, frame in enumerate(read_frames(path, tolerant=True)):
        while waiting and waiting[0].first <= index:
            open_spans.append((waiting.pop(0), []))
        for span, windows in open_spans:
            windows.append(crop_window(frame.image, span.transforms[index - span.first], size_px))
        for span, windows in [item for item in open_spans if item[0].last == index + 1]:
            yield span, np.stack(windows)
        open_spans = [item for item in open_spans if item[0].last > index + 1]
        if not waiting and not open_spans:
            return


def write_clip(folder: Path, name: str, span: Span, windows: np.ndarray, log_mel: np.ndarray, sound: Sound, frame_rate: Fraction, crf: int) -> None:
    """Write the clip's files; `sound` and `log_mel` are the clip's own parts."""
    clips = folder / "clips"
    clips.mkdir(parents=True, exist_ok=True)
    write_windows(clips / f"{name}.mp4", windows, frame_rate, crf)
    angles = np.stack([span.pose.yaw_deg, span.pose.pitch_deg, span.pose.roll_deg], 1)
    arrays = {
        "times_s": span.times_s - span.times_s[0],
        "mouth": span.mouth.astype(np.float16),
        "points": span.points.astype(np.float16),
        "pose_deg": angles.astype(np.float16),
        "log_mel": log_mel.astype(np.float16),
    }
    save_file({key: np.ascontiguousarray(value) for key, value in arrays.items()}, clips / f"{name}.safetensors")
    write_wav(clips / f"{name}.wav", sound)


def write_windows(path: Path, windows: np.ndarray, frame_rate: Fraction, crf: int) -> None:
    """Windows (F, S, S, 3) as a small silent video of even frame spacing."""
    size_px = windows.shape[1]
    with VideoWriter(path, width=size_px, height=size_px, frame_rate=frame_rate, crf=crf) as writer:
        for index, window in enumerate(windows):
            writer.write(window, index / float(frame_rate))
