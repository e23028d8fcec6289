"""Which of the faces on screen is meant: one track at a time, chosen shot by shot.

Tracks that are seen at the same time are rivals. Where a track has rivals of comparable size (their boxes' widths
within LEAST_RATIO), somebody has to choose; elsewhere the larger one is meant and needs no choice.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lipsync.errors import ConfigError, NoFaceError
from lipsync.types import Track

LEAST_RATIO = 0.6
LEAST_SEEN_FRAMES = 3
CHOICES = "largest, left, right, or 0, 1, 2 … counted from the left"

Placed = tuple[int, Track]  # index of the track's first frame, track


def choose_tracks(tracks: Sequence[Placed], face: str, path: Path) -> list[Placed]:
    """The tracks to work on, in order of time; no two of them are seen in the same frame.

    Args:
        tracks: as `Tracker.finish` gives them.
        face: "" (must be clear), "largest", "left", "right", or a number counted from the left.
        path: named in errors.

    Raises:
        NoFaceError: no face anywhere, or two comparable ones and no choice.
        ConfigError: `face` is none of the choices.
    """
    if face not in ("", "largest", "left", "right") and not face.isdigit():
        raise ConfigError(f"face: expected {CHOICES}; found {face!r}")
    able = [item for item in tracks if item[1].seen.sum() >= LEAST_SEEN_FRAMES]
    able = able or list(tracks)
    if not able:
        raise NoFaceError(f"{path}: no face was found; use a video in which a face is seen from the front")
    chosen = [item for item in able if _is_meant(item, able, face, path)]
    if not chosen:
        raise NoFaceError(f"{path}: there is no face number {face}; choose the face: {CHOICES}")
    return _one_at_a_time(chosen)


def _is_meant(item: Placed, tracks: Sequence[Placed], face: str, path: Path) -> bool:
    """Whether `item` wins against every rival that is seen together with it."""
    width = _width_px(item)
    together = [other for other in tracks if other is not item and _overlap(item, other)]
    rivals = [other for other in together if _width_px(other) >= LEAST_RATIO * width]
    larger = [other for other in together if _width_px(other) > width]
    if any(width < LEAST_RATIO * _width_px(other) for other in larger):
        return False
    if not rivals:
        return True
    if not face:
        at_s = max(item[1].times_s[0], rivals[0][1].times_s[0])
        raise NoFaceError(
            f"{path}: {1 + len(rivals)} faces of about the same size are on screen at {at_s:.2f} s; "
            f"say whose mouth is meant by face: {CHOICES}"
        )
    if face == "largest":
        return not larger
    left = sum(_centre_px(other) < _centre_px(item) for other in rivals)
    return left == {"left": 0, "right": len(rivals)}.get(face, int(face) if face.isdigit() else -1)


def _one_at_a_time(tracks: Sequence[Placed]) -> list[Placed]:
    """Drop what still overlaps (a face lost and found by another track): the longer seen stays."""
    kept: list[Placed] = []
    for item in sorted(tracks, key=lambda t: -int(t[1].seen.sum())):
        if not any(_overlap(item, other) for other in kept):
            kept.append(item)
    return sorted(kept, key=lambda t: t[0])


def _overlap(a: Placed, b: Placed) -> bool:
    return a[0] < b[0] + len(b[1].faces) and b[0] < a[0] + len(a[1].faces)


def _boxes(item: Placed) -> np.ndarray:
    return np.array([face.box_px for face in item[1].faces if face is not None])


def _width_px(item: Placed) -> float:
    boxes = _boxes(item)
    return float(np.median(boxes[:, 2] - boxes[:, 0]))


def _centre_px(item: Placed) -> float:
    boxes = _boxes(item)
    return float(np.median(boxes[:, 2] + boxes[:, 0]) / 2)
