"""First pass over a template: where the face is, which frames can be done, what the person looks like.

A frame is rendered or passes through unchanged with a reason; neither shifts its neighbours nor stops the job. The
references are a few windows of the same person, spread over the openings of the mouth, read again at their times.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lipsync.config import RenderConfig
from lipsync.errors import MediaError, NoFaceError
from lipsync.faces.align import JAW, OUTER_LIP, apply_transform, crop_window, mouth_opening, to_frame
from lipsync.faces.detect import FaceDetector, open_detector
from lipsync.faces.follow import Followed, fit, follow_face
from lipsync.faces.occlusion import fingered_frames, hidden_stretches
from lipsync.media import read_pictures
from lipsync.model.shape import find_neutral
from lipsync.progress import Progress
from lipsync.render.place import enlarged

POOL = 16  # reference windows kept, of which a chunk sees the few that suit it
MOST_OPENING, CLOSED_OPENING = 0.06, 0.015  # a resting mouth that is wider open than the first is closed to the second
LOWER_LIP = [18, 19, 20, 21, 22, 28, 29, 30]  # of the mouth's 31 points
FINE = 3  # references are also kept at this multiple of the window's resolution
LEAST_OWN_FRAMES = 25  # a track with fewer usable frames borrows the resting mouth of all


@dataclass(frozen=True)
class References:
    """Windows of the person, uint8 (R, S, S, 3); their points (R, 31, 2) px, frames (R,) and mouth openings (R,).

    pose_deg (R, 3) is theirs, template_pose_deg (F, 3) that of every frame of the template: yaw, pitch, roll.
    tracks (R,): whose they are, as the plan counts. fine: the windows at a multiple of their resolution, or empty.
    """

    windows: np.ndarray
    points: np.ndarray
    frames: np.ndarray
    opening: np.ndarray
    pose_deg: np.ndarray
    template_pose_deg: np.ndarray
    tracks: np.ndarray
    fine: np.ndarray


@dataclass(frozen=True)
class Plan(Followed):
    """A followed face with a verdict: `reasons` are "" where a frame is rendered; neutral (F, 31, 3) head units."""

    reasons: list[str]
    neutral: np.ndarray

    @property
    def able(self) -> np.ndarray:
        """Which frames are rendered: bool (F,)."""
        return np.array([reason == "" for reason in self.reasons])

    def window_points(self, mouth: np.ndarray, frames: np.ndarray) -> np.ndarray:
        """Mouths (N, 31, 3) in head units as points of the windows of template frames (N,): (N, 31, 2)."""
        return apply_transform(to_frame(mouth, self.pose[frames]), self.transforms[frames])

    def part(self, rows: slice) -> "Plan":
        """Rows of a plan; cuts are counted from its new first row."""
        cuts = frozenset(cut - rows.start for cut in self.cuts if rows.start < cut < rows.stop)
        names = ("times_s", "pts", "track", "pose", "transforms", "mouth", "points", "reasons", "neutral")
        looked = {
            name: None if (all_rows := getattr(self, name)) is None else all_rows[rows] for name in ("covered", "lips")
        }
        return replace(self, cuts=cuts, **looked, **{name: getattr(self, name)[rows] for name in names})

    def joined(self, a: int, b: int) -> bool:
        """Whether template frame b can follow a without a jump: the same or the next (or last), no cut between."""
        return a == b or (abs(a - b) == 1 and max(a, b) not in self.cuts)


def make_plan(
    video: Path,
    config: RenderConfig,
    size_px: int,
    progress: Progress | None = None,
    detector: FaceDetector | None = None,
    end_s: float | None = None,
) -> Plan:
    """Read the template once.

    Args:
        video: a video or a photo.
        size_px: side of the pixel model's window.
        detector: instead of the one that `config` names.
        end_s: only what is shown before is planned; None: all.

    Raises:
        NoFaceError: no face, no frame that can be done (says why), or several faces and no choice.
        MediaError: not a video or picture.
    """
    known = follow_face(
        video,
        detector or open_detector(config.detector, look=True),
        replace(config.window, size_px=size_px),
        face=config.face,
        photo_most_px=config.photo_most_px,
        end_s=end_s,
        progress=progress,
    )
    reasons = judge_frames(known, config)
    if all(reasons):
        why = ", ".join(sorted(set(reasons)))
        raise NoFaceError(f"{video}: no frame can be done ({why}); use a video with a larger face, seen from the front")
    return Plan(**vars(known), reasons=reasons, neutral=_neutrals(known, np.array([r == "" for r in reasons])))


def judge_frames(known: Followed, config: RenderConfig) -> list[str]:
    """Per frame: why it passes through; "" where it is rendered."""
    lips = known.mouth_px()[:, OUTER_LIP].mean(1)
    pose, width, height = known.pose, known.info.width, known.info.height
    yaw_deg, pitch_deg = np.abs(pose.yaw_deg), np.abs(pose.pitch_deg)
    reasons = []
    hidden = _hidden(known)
    for i in range(len(known)):
        if not np.isfinite(pose.scale[i]):
            reasons.append("no face")
        elif pose.scale[i] < config.least_inter_ocular_px:
            reasons.append("face too small")
        elif yaw_deg[i] > config.most_yaw_deg or pitch_deg[i] > config.most_pitch_deg:
            reasons.append("turned away")
        elif not (0 <= lips[i, 0] < width and 0 <= lips[i, 1] < height):
            reasons.append("mouth outside the picture")
        elif hidden[i]:
            reasons.append("something covers the mouth")
        else:
            reasons.append("")
    return reasons


def _hidden(known: Followed) -> np.ndarray:
    """Where something covers the mouth, or a part of it: bool (F,)."""
    if known.covered is None or known.lips is None:
        return np.zeros(len(known), bool)
    out = hidden_stretches(known.covered)
    for number in np.unique(known.track[known.track >= 0]):
        own = np.flatnonzero(known.track == number)
        out[own] |= fingered_frames(known.covered[own], known.lips[own])
    return out


def _neutrals(known: Followed, able: np.ndarray) -> np.ndarray:
    """The resting mouth for each frame: of its own track where that shows enough, else of all: (F, 31, 3)."""
    out = np.repeat(close_mouth(find_neutral(known.mouth[able]))[None], len(known), 0)
    for number in range(int(known.track.max()) + 1):
        own = able & (known.track == number)
        if own.sum() >= LEAST_OWN_FRAMES:
            out[known.track == number] = close_mouth(find_neutral(known.mouth[own]))
    return out


def close_mouth(neutral: np.ndarray) -> np.ndarray:
    """A resting mouth for footage that never shows one, such as a laughing photo: lower lip and jaw raised: (31, 3)."""
    excess = float(mouth_opening(neutral)) - CLOSED_OPENING
    if excess <= MOST_OPENING - CLOSED_OPENING:
        return neutral
    out = neutral.copy()
    out[LOWER_LIP, 1] -= excess
    out[JAW, 1] -= excess * np.sin(np.linspace(0, np.pi, JAW.stop - JAW.start))
    return out


def reference_frames(plan: Plan, count: int = POOL) -> np.ndarray:
    """Up to `count` renderable frames, even over ranks of mouth opening, every other one the rank's most frontal."""
    able = np.flatnonzero(plan.able)
    turn = np.abs(plan.pose.yaw_deg) + np.abs(plan.pose.pitch_deg)
    return able[spread_over_openings(mouth_opening(plan.mouth[able]), turn[able], count)]


def spread_over_openings(opening: np.ndarray, turn: np.ndarray, count: int) -> np.ndarray:
    """Rows (≤ count) of candidates (N,), even over ranks of opening, every other one the least turned of its rank."""
    order = np.argsort(opening, kind="stable")
    bins = [part for part in np.array_split(order, min(count, len(order))) if len(part)]
    return np.array(
        [part[np.argmin(turn[part])] if i % 2 else part[len(part) // 2] for i, part in enumerate(bins)], int
    )


def read_references(plan: Plan, size_px: int, count: int = POOL) -> References:
    """Read the reference windows, in one go. Raises MediaError when the file no longer holds them."""
    frames = reference_frames(plan, count)
    wanted: dict[int, tuple[np.ndarray, np.ndarray] | None] = dict.fromkeys(int(index) for index in frames)
    last = max(wanted)
    for index, picture in enumerate(read_pictures(plan.info.path)):
        if index in wanted:
            image = fit(picture.rgb(), plan.info)
            transform = plan.transforms[index]
            fine = crop_window(image, enlarged(transform, FINE), FINE * size_px)
            wanted[index] = (crop_window(image, transform, size_px), fine)
        if index >= last:
            break
    if any(found is None for found in wanted.values()):
        raise MediaError(f"{plan.info.path}: shorter than when it was read first; did the file change meanwhile?")
    windows, fine = (np.stack([found[k] for found in wanted.values() if found is not None]) for k in (0, 1))
    pose_deg = np.stack([plan.pose.yaw_deg, plan.pose.pitch_deg, plan.pose.roll_deg], axis=1)
    opening = mouth_opening(plan.mouth[frames])
    return References(
        windows, plan.points[frames], frames, opening, pose_deg[frames], pose_deg, plan.track[frames], fine
    )
