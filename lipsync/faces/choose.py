"""Which of the faces on screen is meant: one track at a time, chosen shot by shot.

Tracks that are seen at the same time are rivals. Where a track has rivals of comparable size (their boxes' widths
within LEAST_RATIO), somebody has to choose; elsewhere the larger one is meant and needs no choice. A click, a box and
"sync" choose among all that are seen together, small ones too.

    click (x, y):   the least distance to the face's middle, in widths of the face
    box:            the largest intersection over union with the face's usual box
    sync:           max over lags ≤ _LAG_S of corr(opening, loudness) · min(1, spread of the opening / _SPREAD)
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from lipsync.errors import ConfigError, FaceChoiceError, NoFaceError
from lipsync.faces.align import MOUTH, fit_pose, mouth_opening, stack_landmarks, to_head
from lipsync.media import read_sound
from lipsync.types import Sound, Track

LEAST_RATIO = 0.6
LEAST_SEEN_FRAMES = 3
CHOICES = (
    "largest, left, right, a number 0, 1, 2 … counted from the left, sync (whoever speaks), "
    "a place X,Y or a box LEFT,TOP,RIGHT,BOTTOM in pixels"
)
_LAG_S = 0.2
_SPREAD = 0.02  # head units: a mouth that moves less hardly speaks

Placed = tuple[int, Track]  # index of the track's first frame, track


def choose_tracks(tracks: Sequence[Placed], face: str, path: Path) -> list[Placed]:
    """The tracks to work on, in order of time; no two of them are seen in the same frame.

    Args:
        tracks: as `Tracker.finish` gives them.
        face: "" (must be clear), or one of CHOICES.
        path: named in errors; its sound is heard for "sync".

    Raises:
        NoFaceError: no face anywhere; FaceChoiceError: two comparable ones and no choice.
        ConfigError: `face` is none of the choices.
    """
    numbers = _numbers(face)
    if face not in ("", "largest", "left", "right", "sync") and not face.isdigit() and not numbers:
        raise ConfigError(f"face: expected {CHOICES}; found {face!r}")
    able = [item for item in tracks if item[1].seen.sum() >= LEAST_SEEN_FRAMES]
    able = able or list(tracks)
    if not able:
        raise NoFaceError(f"{path}: no face was found; use a video in which a face is seen from the front")
    if face == "sync":
        return _one_at_a_time(_best(able, lambda item: sync_score(item[1], path)))
    if numbers:
        return _one_at_a_time(_best(able, lambda item: _nearness(item, numbers)))
    chosen = [item for item in able if _is_meant(item, able, face, path)]
    if not chosen:
        raise NoFaceError(f"{path}: there is no face number {face}; choose the face: {CHOICES}")
    return _one_at_a_time(chosen)


def _numbers(face: str) -> tuple[float, ...]:
    """The numbers of a place or box; () where it is none. Raises ConfigError for a box inside out."""
    try:
        numbers = tuple(float(part) for part in face.split(","))
    except ValueError:
        return ()
    if len(numbers) == 4 and (numbers[0] >= numbers[2] or numbers[1] >= numbers[3]):
        raise ConfigError(f"face: {face!r} is an empty box; write LEFT,TOP,RIGHT,BOTTOM in pixels")
    return numbers if len(numbers) in (2, 4) else ()


def _best(tracks: list[Placed], score: Callable[[Placed], float]) -> list[Placed]:
    """Those that no track seen at the same time outdoes."""
    scores = [score(item) if any(o is not item and _overlap(item, o) for o in tracks) else 0.0 for item in tracks]
    return [
        item
        for item, own in zip(tracks, scores, strict=True)
        if all(o is item or not _overlap(item, o) or own >= other for o, other in zip(tracks, scores, strict=True))
    ]


def _nearness(item: Placed, numbers: tuple[float, ...]) -> float:
    left, top, right, bottom = (float(v) for v in np.median(_boxes(item), 0))
    if len(numbers) == 2:
        x, y = numbers
        return -float(np.hypot(x - (left + right) / 2, y - (top + bottom) / 2)) / max(right - left, 1.0)
    width = max(0.0, min(right, numbers[2]) - max(left, numbers[0]))
    height = max(0.0, min(bottom, numbers[3]) - max(top, numbers[1]))
    both, own = width * height, (right - left) * (bottom - top)
    return both / (own + (numbers[2] - numbers[0]) * (numbers[3] - numbers[1]) - both)


def sync_score(track: Track, path: Path) -> float:
    """How well a face's mouth goes with the sound of its video, −1…1; 0 where there is no sound."""
    landmarks = stack_landmarks(track)
    opening = mouth_opening(to_head(landmarks[:, MOUTH], fit_pose(landmarks)))
    seen = np.isfinite(opening)
    times_s = track.times_s[seen]
    sound = read_sound(path, start_s=float(times_s[0]) - 1, end_s=float(times_s[-1]) + 1)
    if sound is None or len(times_s) < LEAST_SEEN_FRAMES:
        return 0.0
    return loudness_match(opening[seen], times_s, sound)


def loudness_match(opening: np.ndarray, times_s: np.ndarray, sound: Sound) -> float:
    """See the file. opening (F,) head units at times_s (F,) on the sound's clock."""
    hop = sound.sample_rate_hz // 100
    count = len(sound.samples) // hop
    if count < 10 or opening.std() < 1e-6:
        return 0.0
    power = (sound.samples[: count * hop].reshape(count, hop) ** 2).mean(1)
    level = np.log10(np.convolve(power, np.full(8, 1 / 8), "same") + 1e-6)
    clock_s = sound.start_s + (np.arange(count) + 0.5) / 100
    found = []
    for lag_s in np.arange(-_LAG_S, _LAG_S + 1e-6, 0.04):
        heard = np.interp(times_s + lag_s, clock_s, level)
        if heard.std() > 1e-6:
            found.append(float(np.corrcoef(opening, heard)[0, 1]))
    return max(found, default=0.0) * min(1.0, float(opening.std()) / _SPREAD)


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
        raise FaceChoiceError(
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
