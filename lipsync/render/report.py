"""What a render was, as a page for people: one HTML file, everything inside, nothing fetched, no script.

Sync is measured on the finished file, not taken from what was asked for: the mouth's opening as landmarks see it, in
distances of the eyes, beside the opening that the shape model hears in the sound; by phoneme where those are known.
Pictures are the result's own, and beside them, where the source is at hand frame by frame, the source and what differs.
"""

import base64
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path

import cv2
import numpy as np

from lipsync.config import RenderConfig, WindowConfig
from lipsync.errors import MediaError
from lipsync.faces.align import mouth_opening
from lipsync.faces.detect import FaceDetector, open_detector
from lipsync.faces.follow import Followed, follow_face
from lipsync.media import read_frames
from lipsync.model.base import Base
from lipsync.model.shape import find_neutral
from lipsync.progress import Progress
from lipsync.render.generate import Heard, HeardFile, listen, speech_shapes
from lipsync.render.report_page import draw_page
from lipsync.render.result import RenderResult
from lipsync.sync.metrics import mask_corners, opening_series
from lipsync.sync.offset import correlation
from lipsync.types import Timed, VideoInfo

PICTURES = 4
PICTURE_PX = 300  # height of a picture on the page
AMPLIFY = 8  # how much stronger than it is a difference is shown
PART_FRAMES = 500  # for which the sound is heard at a time
LONGEST_S = 1200.0  # of a longer video no face is followed and no sync shown


@dataclass(frozen=True)
class Sync:
    """The mouth in the finished file: times_s, seen, heard (F,), openings in distances of the eyes, NaN: unknown.

    words, phonemes: what was said when, on the same clock; empty where that is not known.
    """

    times_s: np.ndarray
    seen: np.ndarray
    heard: np.ndarray
    words: list[Timed] = field(default_factory=list)
    phonemes: list[Timed] = field(default_factory=list)

    @property
    def correlation(self) -> float:
        """Of what is seen with what is heard; NaN: unknown, or nothing varies."""
        both = np.isfinite(self.seen) & np.isfinite(self.heard)
        return correlation(self.seen[both], self.heard[both]) if both.sum() > 2 else float("nan")

    def by_phoneme(self) -> list[tuple[str, int, float, float]]:
        """Phoneme, how often it was seen, mean opening seen and heard in it; the most closed first."""
        found: dict[str, list[np.ndarray]] = {}
        for phoneme in self.phonemes:
            inside = phoneme.on_lips(self.times_s) & np.isfinite(self.seen) & np.isfinite(self.heard)
            if inside.any():
                found.setdefault(phoneme.text, []).append(
                    np.array([self.seen[inside].mean(), self.heard[inside].mean()])
                )
        means = {text: np.mean(rows, axis=0) for text, rows in found.items()}
        rows = [(text, len(found[text]), float(mean[0]), float(mean[1])) for text, mean in means.items()]
        return sorted(rows, key=lambda row: row[3])


@dataclass(frozen=True)
class Shown:
    """One moment: pictures by title, JPEG in base64."""

    time_s: float
    pictures: dict[str, str]


def write_report(
    path: Path,
    result: RenderResult,
    config: RenderConfig,
    base: Base,
    *,
    words: Sequence[Timed] = (),
    phonemes: Sequence[Timed] = (),
    source: Path | None = None,
    progress: Progress | None = None,
    detector: FaceDetector | None = None,
) -> None:
    """Look at a finished render and write its page; it appears when it is whole.

    Args:
        result: of the render; its `out` is read.
        words, phonemes: what was said when, on the clock of the first picture; none where that is not known.
        source: the video that was dubbed, frame by frame; None where frames do not correspond.

    Raises:
        MediaError: the output cannot be read. NoFaceError: it shows no face.
    """
    followed, sync = None, None
    if result.duration_s <= LONGEST_S:
        detector = detector or open_detector(config.detector)
        face = config.face or "largest"
        followed = follow_face(Path(result.out), detector, WindowConfig(), face=face, progress=progress)
        sync = measure_sync(followed, base, words, phonemes)
    settings = {name: value for name, value in vars(config).items() if not is_dataclass(value)}
    shown = show_frames(Path(result.out), followed, source, {frame.frame for frame in result.passed_through})
    part = path.with_name(path.name + ".part")
    part.write_text(draw_page(asdict(result), settings, sync, shown), encoding="utf-8")
    part.replace(path)


def measure_sync(followed: Followed, base: Base, words: Sequence[Timed] = (), phonemes: Sequence[Timed] = ()) -> Sync:
    """What is seen and heard of the mouth in a finished file; its sound is read part by part."""
    times_s, heard = followed.times_s, np.full(len(followed), np.nan)
    if sound := _heard(followed.info):
        neutral = find_neutral(followed.mouth[followed.seen])
        for first in range(0, len(times_s), PART_FRAMES):
            own_s = times_s[first : first + PART_FRAMES]
            shapes = speech_shapes(base.shape, sound.part(float(own_s[0]), float(own_s[-1])), own_s, base.style)
            heard[first : first + PART_FRAMES] = mouth_opening(base.shape.space.decode(shapes, neutral))
    return Sync(times_s - times_s[0], opening_series(followed), heard, list(words), list(phonemes))


def _heard(info: VideoInfo) -> Heard | HeardFile | None:
    """A finished file's sound; None where it has no stream of it, or not a sample in that."""
    try:
        return listen(info.path) if info.sample_rate_hz else None
    except MediaError:
        return None


def show_frames(out: Path, followed: Followed | None, source: Path | None, passed: set[int]) -> list[Shown]:
    """Some rendered frames, spread over the video: the result, and with a source the source and what differs."""
    if followed is None:
        return []
    able = [int(k) for k in np.flatnonzero(followed.seen) if k not in passed]
    chosen = sorted({able[int(q * (len(able) - 1))] for q in np.linspace(0.1, 0.9, PICTURES)}) if able else []
    before = {} if source is None else _pictures(source, chosen)
    shown = []
    for index, image in _pictures(out, chosen).items():
        pictures, corners = {"result": image}, mask_corners(followed.transforms[index], WindowConfig())
        if index in before and before[index].shape == image.shape:
            apart = np.clip(128 + AMPLIFY * (image.astype(np.int16) - before[index]), 0, 255).astype(np.uint8)
            cv2.polylines(apart, [corners], True, (235, 70, 60), max(1, image.shape[0] // 300))
            pictures = {"source": before[index], "result": image, f"difference × {AMPLIFY}, mask outlined": apart}
        close = _around(corners, image.shape)
        coded = {title: _jpeg(picture) for title, picture in pictures.items()}
        coded |= {f"{title}, close": _jpeg(picture[close]) for title, picture in list(pictures.items())[:2]}
        shown.append(Shown(float(followed.times_s[index] - followed.times_s[0]), coded))
    return shown


def _pictures(video: Path, wanted: list[int]) -> dict[int, np.ndarray]:
    found = {}
    for frame in read_frames(video):
        if frame.index in wanted:
            found[frame.index] = frame.image
        if not wanted or frame.index >= wanted[-1]:
            break
    return found


def _around(corners: np.ndarray, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The part of a picture of `shape` that the mask's corners (4, 2) span."""
    low, high = np.maximum(corners.min(0), 0), corners.max(0) + 1
    return np.s_[low[1] : min(int(high[1]), shape[0]), low[0] : min(int(high[0]), shape[1])]


def _jpeg(image: np.ndarray) -> str:
    """JPEG in base64, at most PICTURE_PX high."""
    scale = PICTURE_PX / image.shape[0]
    if scale < 1:
        size = (max(1, round(image.shape[1] * scale)), PICTURE_PX)
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 88])
    return base64.b64encode(data.tobytes()).decode()
