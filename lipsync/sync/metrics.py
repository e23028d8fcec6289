"""How well a video's mouth does: against a reference video, against its sound, and how sharp it is.

    opening(t)   = distance of the inner lips / distance of the eyes
    correlation  = Pearson's r of the openings of video and reference at the same times
    distance     = mean |Δ_video − Δ_reference| over the lips' points,  Δ = mouth − own resting mouth, inter-ocular = 1
    sharpness    = mean |∇²Y| of the mouth in the picture's own pixels / the same of the reference
    offset       = lag in frames at which the opening heard (by the shape model) best explains the opening seen
    judge_…      = offset, confidence and score by the scoring sync judge (judge.py), which took no part in training

Every number is None with a reason where it cannot be found; a failure is never a 0. Differences are taken from decoded
files, so they contain what two encoders changed: a render's own report has the difference before encoding.
"""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lipsync.config import WindowConfig
from lipsync.errors import CheckpointError, LipsyncError, SpeechError
from lipsync.faces.align import OUTER_LIP, crop_window, mouth_opening
from lipsync.faces.detect import FaceDetector, open_detector
from lipsync.faces.follow import Followed, follow_face, read_stretch
from lipsync.media import read_sound
from lipsync.model.base import Base, load_base
from lipsync.model.shape import find_neutral
from lipsync.model.speech_to_shape import ShapeModel, predict_shape
from lipsync.progress import Progress, Silent
from lipsync.speech.features import MEL_RATE_HZ, level, log_mel, speech_activity
from lipsync.sync.judge import crop_mouths, judge_sync, load_judge
from lipsync.sync.offset import correlation, find_offset
from lipsync.types import Sound

LEAST_FRAMES = 8
REACH_S = 0.4
JUDGED = ("judge_offset_frames", "judge_confidence", "judge_score")
UNITS = {
    "seen_share": "",
    "opening_mean": "eye distances",
    "opening_spread": "eye distances",
    "opening_correlation": "",
    "opening_spread_ratio": "",
    "landmark_distance": "eye distances",
    "mouth_sharpness": "grey levels",
    "mouth_sharpness_ratio": "",
    "silent_opening": "eye distances",
    "offset_frames": "frames, + sound late",
    "offset_score": "",
    "offset_margin": "",
    "heard_correlation": "",
    "judge_offset_frames": "frames at 25/s, + sound late",
    "judge_confidence": "",
    "judge_score": "",
    "outside_largest_after_encoding": "grey levels",
    "outside_mean_after_encoding": "grey levels",
}
CROPS_AT_ONCE = 250


@dataclass(frozen=True)
class Evaluation:
    """Numbers by the names in UNITS; what is None has its reason in `missing`."""

    video: str
    reference: str | None
    frames: int
    values: dict[str, float | None]
    missing: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values: the numbers at the top level, then why some are missing."""
        plain = asdict(self)
        return (
            {name: plain[name] for name in ("video", "reference", "frames")} | self.values | {"missing": self.missing}
        )

    def rows(self) -> list[tuple[str, str, str]]:
        """(name, number or –, unit or reason) for a table."""
        out = []
        for name, value in self.values.items():
            known = value is not None
            out.append(
                (name.replace("_", " "), f"{value:.4g}" if known else "–", UNITS[name] if known else self.missing[name])
            )
        return out

    def __str__(self) -> str:
        rows = self.rows()
        wide = max(len(row[0]) for row in rows)
        return "\n".join(f"{name:<{wide}}  {value:>8}  {note}".rstrip() for name, value, note in rows)


def evaluate(
    video: Path,
    reference: Path | None = None,
    sound: Path | Sound | None = None,
    base: Base | None = None,
    progress: Progress | None = None,
    *,
    face: str = "largest",
    detector: FaceDetector | None = None,
) -> Evaluation:
    """Measure a video.

    Args:
        video: what is judged.
        reference: a video whose mouth it should match, frame by frame in time from the first picture on.
        sound: what it should be in sync with; None: its own sound.
        base: whose shape model listens; None: the default base where it is installed.
        detector: instead of the default one.

    Raises:
        NoFaceError: no face in the video or the reference. MediaError: one of the files is not media.
    """
    progress, detector = progress or Silent(), detector or open_detector()
    own = follow_face(video, detector, WindowConfig(), face=face, progress=progress)
    other = (
        None if reference is None else follow_face(reference, detector, WindowConfig(), face=face, progress=progress)
    )
    note = _Notes({name: None for name in UNITS})
    _look(own, note)
    _compare(own, other, note)
    _sharpness(own, other, note)
    _outside(own, other, note)
    heard = sound if isinstance(sound, Sound) else read_sound(sound if sound is not None else video)
    if heard is not None and not isinstance(sound, Sound) and sound is not None:
        heard = replace(heard, start_s=heard.start_s + float(own.times_s[0]))
    _listen(own, heard, base, note)
    return Evaluation(str(video), None if reference is None else str(reference), len(own), note.values, note.missing)


@dataclass
class _Notes:
    """Numbers and reasons as they are found."""

    values: dict[str, float | None]
    missing: dict[str, str] = field(default_factory=dict)

    def put(self, **found: float) -> None:
        """Note numbers; one that is not finite is missing."""
        for name, value in found.items():
            if np.isfinite(value):
                self.values[name] = round(float(value), 5)
            else:
                self.missing[name] = "not defined: nothing varies"

    def lack(self, reason: str, *names: str) -> None:
        """Note why numbers are missing."""
        self.missing |= dict.fromkeys(names, reason)


def opening_series(known: Followed) -> np.ndarray:
    """Inner-lip distance in inter-ocular distances: (F,), NaN where the face was not seen."""
    return mouth_opening(known.mouth)


def _look(own: Followed, note: _Notes) -> None:
    opening = opening_series(own)[own.seen]
    note.put(seen_share=own.seen.mean(), opening_mean=opening.mean(), opening_spread=opening.std())


def match_times(a_s: np.ndarray, b_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frames of a and their partners in b: the nearest in time from either's first frame, at most half a frame away."""
    a_s, b_s = a_s - a_s[0], b_s - b_s[0]
    gap_s = float(np.median(np.diff(a_s))) if len(a_s) > 1 else 0.04
    after = np.clip(np.searchsorted(b_s, a_s), 1, max(len(b_s) - 1, 1))
    nearest = np.where(
        np.abs(b_s[after - 1] - a_s) <= np.abs(b_s[np.minimum(after, len(b_s) - 1)] - a_s), after - 1, after
    )
    nearest = np.minimum(nearest, len(b_s) - 1)
    close = np.abs(b_s[nearest] - a_s) <= 0.5 * gap_s + 1e-6
    return np.flatnonzero(close), nearest[close]


def _compare(own: Followed, other: Followed | None, note: _Notes) -> None:
    names = ("opening_correlation", "opening_spread_ratio", "landmark_distance")
    if other is None:
        return note.lack("needs a reference", *names)
    a, b = match_times(own.times_s, other.times_s)
    both = own.seen[a] & other.seen[b]
    a, b = a[both], b[both]
    if len(a) < LEAST_FRAMES:
        return note.lack(f"only {len(a)} frames show both faces", *names)
    seen, true = opening_series(own)[a], opening_series(other)[b]
    delta = own.mouth[a] - find_neutral(own.mouth[own.seen])
    wanted = other.mouth[b] - find_neutral(other.mouth[other.seen])
    lips = slice(OUTER_LIP.start, None)
    distance = np.linalg.norm((delta - wanted)[:, lips, :2], axis=-1).mean()
    note.put(opening_correlation=correlation(seen, true), landmark_distance=distance)
    return note.put(opening_spread_ratio=seen.std() / true.std() if true.std() > 1e-6 else float("nan"))


def mouth_sharpness(known: Followed, most: int = 60) -> float:
    """Mean |∇²Y| in the lips' box in the picture's own pixels, the median over up to `most` frames: grey levels."""
    wanted = np.flatnonzero(known.seen)
    chosen = set(wanted[np.linspace(0, len(wanted) - 1, min(most, len(wanted))).round().astype(int)].tolist())
    lips = known.mouth_px()[:, OUTER_LIP]
    found = []
    for index, image in enumerate(read_stretch(known, 0, len(known))):
        if index not in chosen:
            continue
        low = np.maximum(np.floor(lips[index].min(0)).astype(int) - 1, 0)
        high = np.ceil(lips[index].max(0)).astype(int) + 2
        patch = image[low[1] : high[1], low[0] : high[0]]
        if min(patch.shape[:2]) >= 3:
            luma = cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY).astype(np.float32)
            found.append(float(np.abs(cv2.Laplacian(luma, cv2.CV_32F)[1:-1, 1:-1]).mean()))
    return float(np.median(found)) if found else float("nan")


def _sharpness(own: Followed, other: Followed | None, note: _Notes) -> None:
    sharp = mouth_sharpness(own)
    note.put(mouth_sharpness=sharp)
    if other is None:
        return note.lack("needs a reference", "mouth_sharpness_ratio")
    return note.put(mouth_sharpness_ratio=sharp / max(mouth_sharpness(other), 1e-6))


def _outside(own: Followed, other: Followed | None, note: _Notes) -> None:
    """Differences of decoded pictures outside the mask that a render of the reference would use."""
    names = ("outside_largest_after_encoding", "outside_mean_after_encoding")
    if other is None:
        return note.lack("needs a reference", *names)
    if (own.info.width, own.info.height, len(own)) != (other.info.width, other.info.height, len(other)):
        return note.lack("the reference has another size or number of frames", *names)
    window, largest, total, count = WindowConfig(), 0, 0.0, 0
    pairs = zip(read_stretch(own, 0, len(own)), read_stretch(other, 0, len(other)), strict=True)
    for (a, b), transform in zip(pairs, other.transforms, strict=True):
        difference = cv2.absdiff(a, b).max(2)
        outside = np.ones(difference.shape, np.uint8)
        if np.isfinite(transform).all():
            cv2.fillConvexPoly(outside, mask_corners(transform, window), 0)
        kept = difference[outside > 0]
        if len(kept):
            largest, total, count = max(largest, int(kept.max())), total + float(kept.sum()), count + len(kept)
    return note.put(outside_largest_after_encoding=largest, outside_mean_after_encoding=total / max(count, 1))


def mask_corners(transform: np.ndarray, window: WindowConfig) -> np.ndarray:
    """The corners of the generated part of a window in its frame: int32 (4, 2) px."""
    size, side = window.size_px, window.mask_side_px
    top = round((window.mask_top - window.centre_y + window.side / 2) / window.side * size)
    left, right, low = side - 0.5, size - side - 0.5, size - 0.5
    inverse = cv2.invertAffineTransform(transform)
    corners = np.array([[left, top - 0.5], [right, top - 0.5], [right, low], [left, low]])
    return np.rint(corners @ inverse[:, :2].T + inverse[:, 2]).astype(np.int32)


def _listen(own: Followed, sound: Sound | None, base: Base | None, note: _Notes) -> None:
    """What sound and mouth have to do with one another."""
    names = ("offset_frames", "offset_score", "offset_margin", "heard_correlation")
    if sound is None:
        return note.lack("no sound", "silent_opening", *JUDGED, *names)
    _silence(own, sound, note)
    _judge(own, sound, note)
    try:
        shape = (base or load_base()).shape
    except CheckpointError as error:
        return note.lack(f"needs the shape model: {error}", *names)
    try:
        return _offset(own, sound, shape, note)
    except LipsyncError as error:
        return note.lack(str(error), *names)


def _silence(own: Followed, sound: Sound, note: _Notes) -> None:
    """How far the mouth is open where nothing is heard, above its resting mouth."""
    active = speech_activity(sound)
    index = np.round((own.times_s - sound.start_s) * MEL_RATE_HZ).astype(int)
    quiet = np.ones(len(own), bool)
    inside = (index >= 0) & (index < len(active))
    quiet[inside] = ~active[index[inside]]
    quiet &= own.seen
    if quiet.sum() < 3:
        return note.lack("the sound is never silent", "silent_opening")
    opening, rest = opening_series(own), mouth_opening(find_neutral(own.mouth[own.seen]))
    return note.put(silent_opening=float(opening[quiet].mean() - rest))


def _offset(own: Followed, sound: Sound, shape: ShapeModel, note: _Notes) -> None:
    """The lag that fits best, over the longest stretch in which the face was seen throughout."""
    first, last = longest_run(own.seen)
    if last - first < LEAST_FRAMES:
        return note.lack(
            f"the face is never seen for {LEAST_FRAMES} frames",
            "offset_frames",
            "offset_score",
            "offset_margin",
            "heard_correlation",
        )
    rate = float(own.info.frame_rate)
    reach = max(2, round(REACH_S * rate))
    count = int((own.times_s[last - 1] - own.times_s[first]) * rate) + 1
    grid_s = own.times_s[first] + np.arange(-reach, count + reach) / rate
    seen = np.interp(grid_s[reach : reach + count], own.times_s[first:last], opening_series(own)[first:last])
    space = shape.space
    coefficients = predict_shape(shape, log_mel(level(sound)), grid_s, None, sound.start_s)
    heard = mouth_opening(space.decode(coefficients, find_neutral(own.mouth[own.seen])))
    found = find_offset(seen, heard, reach, reach)
    note.put(offset_frames=found.frames, offset_score=found.score, offset_margin=found.margin)
    return note.put(heard_correlation=correlation(seen, heard[reach : reach + count]))


def _judge(own: Followed, sound: Sound, note: _Notes) -> None:
    """The scoring judge's view of the longest stretch in which the face was seen throughout."""
    first, last = longest_run(own.seen)
    try:
        judge = load_judge("scorer")
        if last - first < LEAST_FRAMES:
            raise SpeechError(f"the face is never seen for {LEAST_FRAMES} frames")
        crops = _followed_crops(own, first, last, judge.config.size_px)
        found = judge_sync(judge, crops, own.times_s[first:last], log_mel(level(sound)), sound.start_s)
    except LipsyncError as error:
        return note.lack(str(error), *JUDGED)
    return note.put(judge_offset_frames=found.offset_frames, judge_confidence=found.confidence, judge_score=found.score)


def longest_run(seen: np.ndarray) -> tuple[int, int]:
    """First and one past the last frame of the longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], seen, [False]]).astype(int))).reshape(-1, 2)
    if not len(edges):
        return 0, 0
    best = edges[np.argmax(edges[:, 1] - edges[:, 0])]
    return int(best[0]), int(best[1])


def _followed_crops(known: Followed, first: int, last: int, size_px: int, window_px: int = 128) -> np.ndarray:
    """Mouth crops float32 (last − first, s, s) of the frames of a followed face, all of them seen."""
    parts, held = [], []
    for image, transform in zip(read_stretch(known, first, last), known.transforms[first:last], strict=True):
        held.append(crop_window(image, transform, window_px))
        if len(held) == CROPS_AT_ONCE:
            parts.append(crop_mouths(np.stack(held), size_px))
            held = []
    if held:
        parts.append(crop_mouths(np.stack(held), size_px))
    return np.concatenate(parts)
