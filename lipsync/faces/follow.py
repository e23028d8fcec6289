"""Follow one person's face through a file: where it is, how the head is turned, where its window lies, frame by frame.

One pass; only landmarks are kept, about 3 kB a frame. Every array has one row for every frame of the file, NaN where
the face was not seen, so frames never shift against what is known of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from lipsync.config import WindowConfig
from lipsync.errors import MediaError, NoFaceError
from lipsync.faces.align import (
    MOUTH,
    MOUTH_POINTS,
    HeadPose,
    apply_transform,
    fit_pose,
    stack_landmarks,
    to_frame,
    to_head,
    window_transforms,
)
from lipsync.faces.choose import Placed, choose_tracks
from lipsync.faces.detect import FaceDetector
from lipsync.faces.track import Tracker
from lipsync.media import probe, read_frames
from lipsync.progress import Progress, Silent
from lipsync.types import VideoInfo


@dataclass(frozen=True)
class Followed:
    """One person's face in a file of F frames.

    cuts: the first frame of each shot but the first. track: number of the track a frame belongs to, −1 for none.
    transforms (F, 2, 3) frame → window; mouth (F, 31, 3) head units; points (F, 31, 2) window px. covered (F,): how
    likely something hides the mouth, lips (F, 4, 3) their colours, NaN where it was not looked at; None: nowhere.
    """

    info: VideoInfo
    times_s: np.ndarray
    pts: np.ndarray
    cuts: frozenset[int]
    track: np.ndarray
    pose: HeadPose
    transforms: np.ndarray
    mouth: np.ndarray
    points: np.ndarray
    covered: np.ndarray | None = field(default=None, kw_only=True)
    lips: np.ndarray | None = field(default=None, kw_only=True)

    def __len__(self) -> int:
        return len(self.times_s)

    @property
    def seen(self) -> np.ndarray:
        """Where the face was found: bool (F,)."""
        return np.isfinite(self.pose.scale)

    def mouth_px(self) -> np.ndarray:
        """The mouth's points in the pictures: (F, 31, 2) px."""
        return to_frame(self.mouth, self.pose)[..., :2]


def follow_face(
    path: Path,
    detector: FaceDetector,
    window: WindowConfig,
    *,
    face: str = "",
    photo_most_px: int = 1920,
    end_s: float | None = None,
    progress: Progress | None = None,
) -> Followed:
    """Read a video or photo once.

    Args:
        face: whose, see choose.py.
        photo_most_px: a larger photo is worked on at this side.
        end_s: what is shown from then on is not looked at, as if the file ended there; None: all is.

    Raises:
        NoFaceError: no face, or several and no choice.
        MediaError: not a video or picture, or damaged.
    """
    progress, info = progress or Silent(), fitted(probe(path), photo_most_px)
    detector.reset()
    tracker, pts = Tracker(detector), []
    frames = info.frames if end_s is None else min(info.frames, round(end_s * info.frame_rate))
    progress.start(f"finding the face in {Path(path).name}", frames or None, "frames")
    for frame in read_frames(path, end_s=end_s):
        tracker.update(replace(frame, image=fit(frame.image, info)))
        pts.append(frame.pts if frame.pts is not None else round(Fraction(frame.time_s) / info.time_base))
        progress.advance()
    progress.done()
    if not pts and end_s is not None:
        raise NoFaceError(f"{path}: shows no picture in its first {end_s:g} s")
    if not pts:
        raise MediaError(f"{path}: holds no picture that can be decoded")
    tracks = choose_tracks(tracker.finish(), face, Path(path))
    return place_tracks(info, np.array(tracker.times_s), np.array(pts), frozenset(tracker.cuts), tracks, window)


def place_tracks(
    info: VideoInfo,
    times_s: np.ndarray,
    pts: np.ndarray,
    cuts: frozenset[int],
    tracks: list[Placed],
    window: WindowConfig,
) -> Followed:
    """Poses and windows of the chosen tracks in a row of frames; `tracks` count their frames from the row's first."""
    frames = len(times_s)
    pose = HeadPose(np.full((frames, 3, 3), np.nan), np.full(frames, np.nan), np.full((frames, 3), np.nan))
    transforms = np.full((frames, 2, 3), np.nan)
    mouth, points = np.full((frames, MOUTH_POINTS, 3), np.nan), np.full((frames, MOUTH_POINTS, 2), np.nan, np.float32)
    number, covered, lips = np.full(frames, -1), np.full(frames, np.nan), np.full((frames, 4, 3), np.nan)
    for k, (first, track) in enumerate(tracks):
        part = slice(first, first + len(track.faces))
        landmarks = stack_landmarks(track)
        own = fit_pose(landmarks)
        pose.rotation[part], pose.scale[part], pose.translation[part] = own.rotation, own.scale, own.translation
        transforms[part] = window_transforms(own, window)
        mouth[part] = to_head(landmarks[:, MOUTH], own)
        points[part] = apply_transform(landmarks[:, MOUTH], transforms[part])
        number[part] = k
        covered[part] = [np.nan if face is None else face.covered for face in track.faces]
        for row, face in enumerate(track.faces, first):
            lips[row] = np.nan if face is None or face.lips is None else face.lips
    looked = {"covered": covered, "lips": lips} if np.isfinite(covered).any() else {}
    return Followed(info, times_s, pts, cuts, number, pose, transforms, mouth, points, **looked)


def fitted(info: VideoInfo, most_px: int) -> VideoInfo:
    """A photo is worked on at most this large and at even sides; a video stays as it is."""
    if not info.is_still:
        return info
    scale = min(1.0, most_px / max(info.width, info.height))
    return replace(info, width=2 * max(1, int(info.width * scale / 2)), height=2 * max(1, int(info.height * scale / 2)))


def fit(image: np.ndarray, info: VideoInfo) -> np.ndarray:
    """A picture at the size that `info` says, for photos that were made smaller."""
    if image.shape[:2] == (info.height, info.width) or not info.is_still:
        return image
    return cv2.resize(image, (info.width, info.height), interpolation=cv2.INTER_AREA)


def read_stretch(known: Followed, first: int, last: int) -> Iterator[np.ndarray]:
    """The pictures of frames first ≤ index < last, in order, read again.

    Raises:
        MediaError: the file gives another number of pictures than in the first pass.
    """
    start_s = float(known.times_s[first]) if first else 0.0
    end_s = float(known.times_s[last]) if last < len(known) else None
    at = first
    for frame in read_frames(known.info.path, start_s=start_s, end_s=end_s):
        if frame.pts is not None and not known.info.is_still and frame.pts < known.pts[first]:
            continue
        if at < last:
            yield fit(frame.image, known.info)
        at += 1
    if at != last:
        raise MediaError(
            f"{known.info.path}: found {at - first} pictures from {start_s:.3f} s on, expected {last - first}; "
            "did the file change while it was read?"
        )
