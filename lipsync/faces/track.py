"""Follow each face through a shot: the face of the next frame is the one whose box overlaps most (greedy IoU).

IoU(a, b) = |a ∩ b| / |a ∪ b|. A track that has not been seen for `max_gap_s`, or that meets a cut, is closed.
Every track holds one entry for every frame from its first to its last: frames never shift against their faces.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import cv2
import numpy as np

from lipsync.faces.detect import FaceDetector
from lipsync.types import Face, Frame, Track


def iou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Intersection over union of two boxes (left, top, right, bottom)."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    inter = width * height
    return inter / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter)


def thumbnail(image: np.ndarray) -> np.ndarray:
    """float32 (16, 16, 3): what cut detection compares. Large pictures are halved first, a third of the time."""
    while min(image.shape[:2]) >= 256:
        height, width = (side // 2 for side in image.shape[:2])
        image = cv2.resize(image[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.resize(image, (16, 16), interpolation=cv2.INTER_AREA).astype(np.float32)


def is_cut(before: np.ndarray, after: np.ndarray, threshold: float = 28.0) -> bool:
    """Whether two consecutive thumbnails belong to different shots: mean absolute difference in grey levels."""
    return float(np.abs(before - after).mean()) > threshold


class ShotWatch:
    """Sees pictures in order: their faces, and whether a shot begins; the detector starts afresh where one does."""

    def __init__(self, detector: FaceDetector) -> None:
        self.detector = detector
        self._thumbnail: np.ndarray | None = None

    def see(self, image: np.ndarray) -> tuple[list[Face], bool]:
        """Faces of the next picture, uint8 (H, W, 3), largest first, and whether a shot begins with it."""
        small = thumbnail(image)
        cut = self._thumbnail is not None and is_cut(self._thumbnail, small)
        self._thumbnail = small
        if cut:
            self.detector.reset()
        return self.detector.detect(image), cut


@dataclass
class _Open:
    first: int
    faces: list[Face | None] = field(default_factory=list)
    last_face: Face | None = None
    missed: int = 0


@dataclass
class Tracker:
    """Feed frames in order with `update`; `finish` gives the tracks. Memory: the landmarks of what was fed.

    Args:
        detector: finds the faces.
        max_gap_s: a face that is away for longer starts a new track.
        least_iou: a smaller overlap with the last box is another face.
    """

    detector: FaceDetector
    max_gap_s: float = 1.5
    least_iou: float = 0.2
    times_s: list[float] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    _open: list[_Open] = field(default_factory=list)
    _closed: list[_Open] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin to watch."""
        self._watch = ShotWatch(self.detector)

    def update(self, frame: Frame) -> list[Face]:
        """Take the next frame; returns the faces seen in it."""
        faces, cut = self._watch.see(frame.image)
        self.take(faces, frame.time_s, cut)
        return faces

    def take(self, faces: list[Face], time_s: float, cut: bool) -> None:
        """The same for a frame whose faces are known already; `cut`: a new shot begins with it."""
        if cut:
            self.cuts.append(len(self.times_s))
            self._closed += self._open
            self._open = []
        self._assign(faces, time_s)
        self.times_s.append(time_s)

    def _assign(self, faces: list[Face], time_s: float) -> None:
        left = list(faces)
        for track in sorted(self._open, key=lambda t: t.missed):
            best = max(left, key=lambda f: iou(f.box_px, track.last_face.box_px), default=None)  # type: ignore[union-attr]
            if best is not None and iou(best.box_px, track.last_face.box_px) >= self.least_iou:  # type: ignore[union-attr]
                track.faces.append(best)
                track.last_face, track.missed = best, 0
                left = [face for face in left if face is not best]
            else:
                track.faces.append(None)
                track.missed += 1
        for track in [t for t in self._open if t.missed and self._gap_s(t, time_s) > self.max_gap_s]:
            self._open.remove(track)
            self._closed.append(track)
        self._open += [_Open(len(self.times_s), [face], face) for face in left]

    def _gap_s(self, track: _Open, time_s: float) -> float:
        last_seen = track.first + len(track.faces) - 1 - track.missed
        return time_s - self.times_s[last_seen]

    def finish(self) -> list[tuple[int, Track]]:
        """(index of the first frame, track) for every track, most seen first. Trailing unseen frames are dropped."""
        tracks = []
        for track in self._closed + self._open:
            faces = track.faces[: len(track.faces) - track.missed]
            times = np.array(self.times_s[track.first : track.first + len(faces)])
            tracks.append((track.first, Track(faces, times)))
        return sorted(tracks, key=lambda item: -int(item[1].seen.sum()))


def track_faces(frames: Iterable[Frame], detector: FaceDetector) -> list[tuple[int, Track]]:
    """All tracks of a stream of frames; see Tracker."""
    detector.reset()
    tracker = Tracker(detector)
    for frame in frames:
        tracker.update(frame)
    return tracker.finish()
