"""First pass over a template: where the face is, which frames can be done, what the person looks like.

A frame is rendered or passes through unchanged with a reason; neither shifts its neighbours nor stops the job. Only
landmarks are kept, about 3 kB a frame; pictures are not. The references are a few windows of the same person, spread
over the openings of the mouth, read again at their times.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from lipsync.config import RenderConfig, WindowConfig
from lipsync.errors import MediaError, NoFaceError
from lipsync.faces.align import (
    MOUTH,
    MOUTH_POINTS,
    HeadPose,
    apply_transform,
    crop_window,
    fit_pose,
    mouth_opening,
    stack_landmarks,
    to_frame,
    to_head,
    window_transforms,
)
from lipsync.faces.choose import Placed, choose_tracks
from lipsync.faces.detect import FaceDetector, open_detector
from lipsync.faces.track import Tracker
from lipsync.media import probe, read_frames
from lipsync.model.shape import find_neutral
from lipsync.progress import Progress, Silent
from lipsync.types import VideoInfo

POOL = 8  # reference windows kept, of which a chunk sees the four that suit it
LEAST_OWN_FRAMES = 25  # a track with fewer usable frames borrows the neutral mouth of all


@dataclass(frozen=True)
class References:
    """Windows of the person, uint8 (R, S, S, 3); their points (R, 31, 2) px, frames (R,) and mouth openings (R,)."""

    windows: np.ndarray
    points: np.ndarray
    frames: np.ndarray
    opening: np.ndarray


@dataclass(frozen=True)
class Plan:
    """What is known of a template before anything is generated; arrays have one row for every frame of it.

    reasons: "" where the frame is rendered. shot: number of the chosen track a frame belongs to, −1 for none.
    pose, transforms, mouth (head units), points (window px) are NaN where no face was seen; neutral (F, 31, 3).
    """

    info: VideoInfo
    times_s: np.ndarray
    pts: np.ndarray
    cuts: frozenset[int]
    reasons: list[str]
    shot: np.ndarray
    pose: HeadPose
    transforms: np.ndarray
    mouth: np.ndarray
    points: np.ndarray
    neutral: np.ndarray

    def __len__(self) -> int:
        return len(self.times_s)

    def window_points(self, mouth: np.ndarray, frames: np.ndarray) -> np.ndarray:
        """Mouths (N, 31, 3) in head units as points of the windows of template frames (N,): (N, 31, 2)."""
        return apply_transform(to_frame(mouth, self.pose[frames]), self.transforms[frames])

    def joined(self, a: int, b: int) -> bool:
        """Whether template frame b can follow a without a jump: the same or the next (or last), no cut between."""
        return a == b or (abs(a - b) == 1 and max(a, b) not in self.cuts)


def make_plan(
    video: Path,
    config: RenderConfig,
    size_px: int,
    progress: Progress | None = None,
    detector: FaceDetector | None = None,
) -> Plan:
    """Read the template once.

    Args:
        video: a video or a photo.
        size_px: side of the pixel model's window.
        detector: instead of the one that `config` names.

    Raises:
        NoFaceError: no face, no frame that can be done (says why), or several faces and no choice.
        MediaError: not a video or picture.
    """
    progress, detector = progress or Silent(), detector or open_detector(config.detector)
    info = _fitted(probe(video), config.photo_most_px)
    detector.reset()
    tracker, pts = Tracker(detector), []
    progress.start("finding the face", info.frames or None, "frames")
    for frame in read_frames(video):
        tracker.update(replace(frame, image=_fit(frame.image, info)))
        pts.append(frame.pts if frame.pts is not None else round(Fraction(frame.time_s) / info.time_base))
        progress.advance()
    progress.done()
    if not pts:
        raise MediaError(f"{video}: holds no picture that can be decoded")
    tracks = choose_tracks(tracker.finish(), config.face, Path(video))
    window = replace(config.window, size_px=size_px)
    plan = _fill(info, np.array(tracker.times_s), np.array(pts), frozenset(tracker.cuts), tracks, window, config)
    if all(plan.reasons):
        why = ", ".join(sorted(set(plan.reasons)))
        raise NoFaceError(f"{video}: no frame can be done ({why}); use a video with a larger face, seen from the front")
    return plan


def _fitted(info: VideoInfo, most_px: int) -> VideoInfo:
    """A photo is worked on at most this large and at even sides; a video stays as it is."""
    if not info.is_still:
        return info
    scale = min(1.0, most_px / max(info.width, info.height))
    return replace(info, width=2 * max(1, int(info.width * scale / 2)), height=2 * max(1, int(info.height * scale / 2)))


def _fit(image: np.ndarray, info: VideoInfo) -> np.ndarray:
    if image.shape[:2] == (info.height, info.width) or not info.is_still:
        return image
    return cv2.resize(image, (info.width, info.height), interpolation=cv2.INTER_AREA)


def _fill(
    info: VideoInfo,
    times_s: np.ndarray,
    pts: np.ndarray,
    cuts: frozenset[int],
    tracks: list[Placed],
    window: WindowConfig,
    config: RenderConfig,
) -> Plan:
    """Pose, window and verdict of every frame, track by track."""
    frames = len(times_s)
    pose = HeadPose(np.full((frames, 3, 3), np.nan), np.full(frames, np.nan), np.full((frames, 3), np.nan))
    transforms = np.full((frames, 2, 3), np.nan)
    mouth, points = np.full((frames, MOUTH_POINTS, 3), np.nan), np.full((frames, MOUTH_POINTS, 2), np.nan, np.float32)
    shot, reasons = np.full(frames, -1), ["no face"] * frames
    for number, (first, track) in enumerate(tracks):
        part = slice(first, first + len(track.faces))
        landmarks = stack_landmarks(track)
        own = fit_pose(landmarks)
        pose.rotation[part], pose.scale[part], pose.translation[part] = own.rotation, own.scale, own.translation
        transforms[part] = window_transforms(own, window)
        mouth[part] = to_head(landmarks[:, MOUTH], own)
        points[part] = apply_transform(landmarks[:, MOUTH], transforms[part])
        shot[part] = number
        reasons[part] = _reasons(own, landmarks, info, config)
    able = np.array([reason == "" for reason in reasons])
    neutral = _neutrals(mouth, shot, able)
    return Plan(info, times_s, pts, cuts, reasons, shot, pose, transforms, mouth, points, neutral)


def _reasons(pose: HeadPose, landmarks: np.ndarray, info: VideoInfo, config: RenderConfig) -> list[str]:
    """Per frame of a track: why it passes through; "" where it is rendered."""
    reasons = []
    centre = landmarks[:, 48:68, :2].mean(1)
    for i, scale in enumerate(pose.scale):
        if not np.isfinite(scale):
            reasons.append("no face")
        elif scale < config.least_inter_ocular_px:
            reasons.append("face too small")
        elif abs(pose.yaw_deg[i]) > config.most_yaw_deg or abs(pose.pitch_deg[i]) > config.most_pitch_deg:
            reasons.append("turned away")
        elif not (0 <= centre[i, 0] < info.width and 0 <= centre[i, 1] < info.height):
            reasons.append("mouth outside the picture")
        else:
            reasons.append("")
    return reasons


def _neutrals(mouth: np.ndarray, shot: np.ndarray, able: np.ndarray) -> np.ndarray:
    """The resting mouth for each frame: of its own track where that shows enough, else of all: (F, 31, 3)."""
    if not able.any():
        return np.full_like(mouth, np.nan)
    out = np.repeat(find_neutral(mouth[able])[None], len(mouth), 0)
    for number in range(int(shot.max()) + 1):
        own = able & (shot == number)
        if own.sum() >= LEAST_OWN_FRAMES:
            out[shot == number] = find_neutral(mouth[own])
    return out


def reference_frames(plan: Plan, count: int = POOL) -> np.ndarray:
    """Up to `count` renderable frames, even over the ranks of mouth opening, and within a rank the most frontal."""
    able = np.flatnonzero([reason == "" for reason in plan.reasons])
    order = able[np.argsort(mouth_opening(plan.mouth[able]), kind="stable")]
    turn = np.abs(plan.pose.yaw_deg) + np.abs(plan.pose.pitch_deg)
    bins = [part for part in np.array_split(order, min(count, len(order))) if len(part)]
    return np.array([part[np.argmin(turn[part])] for part in bins])


def read_references(plan: Plan, size_px: int, count: int = POOL) -> References:
    """Read the reference windows at their times. Raises MediaError when the file no longer holds them."""
    frames = reference_frames(plan, count)
    windows = np.empty((len(frames), size_px, size_px, 3), np.uint8)
    for row in np.argsort(frames):
        index = int(frames[row])
        image = next(read_stretch(plan, index, index + 1))
        windows[row] = crop_window(image, plan.transforms[index], size_px)
    return References(windows, plan.points[frames], frames, mouth_opening(plan.mouth[frames]))


def read_stretch(plan: Plan, first: int, last: int) -> Iterator[np.ndarray]:
    """The pictures of template frames first ≤ index < last, in order.

    Raises:
        MediaError: the file gives another number of pictures than in the first pass.
    """
    start_s = float(plan.times_s[first]) if first else 0.0
    end_s = float(plan.times_s[last]) if last < len(plan) else None
    expected = first
    for frame in read_frames(plan.info.path, start_s=start_s, end_s=end_s):
        if frame.pts is not None and not plan.info.is_still and frame.pts < plan.pts[first]:
            continue
        if expected < last:
            yield _fit(frame.image, plan.info)
        expected += 1
    if expected != last:
        raise MediaError(
            f"{plan.info.path}: found {expected - first} pictures from {start_s:.3f} s on, expected {last - first}; "
            "did the file change while it was read?"
        )
