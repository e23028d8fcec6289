"""One pass over the pictures of a segment: faces, thumbnails for cuts, and cut-outs that windows are made of later.

A window is laid over a face when its track is known from end to end; until then a cut-out around the face is held,
large enough for any window of a head that moves as heads do, and at most HELD_PX a side: memory does not grow with
the size of the picture. Pictures are looked at one by one up to _EVERY_PER_S a second and at a stride beyond, with
straight interpolation between: at 25 a second a stride of 2 puts the mouth's opening off by 0.3 of its standard
deviation (measured), which is too much; 50 a second at a stride of 2 are what 25 a second are, between them a guess.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import cv2
import numpy as np

from data_prep.clips import jpeg
from data_prep.looks import take_look
from data_prep.shots import is_jump, thumbnail
from lipsync.config import WindowConfig
from lipsync.faces.align import fit_pose, to_frame
from lipsync.faces.detect import FaceDetector
from lipsync.faces.track import iou
from lipsync.media.picture import Picture
from lipsync.types import Face

HELD_PX = 288
LOOK_PX = 1280  # faces are looked for in pictures of at most this side
_ROOM = 1.5  # a cut-out is this much wider than the window that the face alone would ask for
_EVERY_PER_S = 24.5
_SAME_FACE_IOU = 0.3
_PICTURE_EVERY_S, _LOOK_EVERY_S = 1.0, 0.5


@dataclass(frozen=True)
class Held:
    """A part of a picture: `image` uint8 (h, w, 3); `to_frame` (2, 3) maps its px to the picture's.

    `edges`: whether it ends at the picture's own left, top, right and bottom edge.
    """

    image: np.ndarray
    to_frame: np.ndarray
    edges: tuple[bool, bool, bool, bool]

    def covers(self, transform: np.ndarray, size_px: int) -> bool:
        """Whether the window of size_px that `transform` (2, 3) cuts from the picture can be cut from this part."""
        matrix = self.map(transform)
        corners = np.array([[0, 0, 1], [size_px, 0, 1], [0, size_px, 1], [size_px, size_px, 1]]) - [0.5, 0.5, 0]
        inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
        low, high = (corners @ inverse.T).min(0), (corners @ inverse.T).max(0)
        height, width = self.image.shape[:2]
        out = (low[0] < -1, low[1] < -1, high[0] > width, high[1] > height)
        return not any(beyond and not edge for beyond, edge in zip(out, self.edges, strict=True))

    def map(self, transform: np.ndarray) -> np.ndarray:
        """Turn frame → window into part → window, float64 (2, 3)."""
        return transform[:, :2] @ self.to_frame + np.array([[0, 0, 1.0]]) * transform[:, 2:]


@dataclass
class Watched:
    """What is known of F pictures in order. `held` and `looks` are by id() of a face in `faces`."""

    times_s: list[float] = field(default_factory=list)
    thumbs: list[np.ndarray] = field(default_factory=list)  # uint8 (16, 16, 3) each
    faces: list[list[Face]] = field(default_factory=list)
    held: dict[int, Held] = field(default_factory=dict)
    looks: dict[int, np.ndarray] = field(default_factory=dict)
    pictures: list[tuple[float, bytes]] = field(default_factory=list)


def stride_of(frame_rate: Fraction) -> int:
    """Every how many pictures faces are looked for."""
    return max(1, int(frame_rate / Fraction(_EVERY_PER_S)))


@dataclass
class Seen:
    """One picture with its thumbnail and its faces, in px of the picture."""

    picture: Picture
    thumb: np.ndarray
    faces: list[Face]
    shown: np.ndarray | None = None

    @property
    def image(self) -> np.ndarray:
        """The whole picture, at most LOOK_PX a side: uint8 (h, w, 3)."""
        if self.shown is None:
            self.shown = self.picture.small(LOOK_PX)
        return self.shown


def watch(seen: Iterable[Seen], window: WindowConfig, least_px: float) -> Watched:
    """Take in pictures in order; faces whose eyes are less than least_px apart are not held."""
    out = Watched()
    picture_s, look_s = -np.inf, -np.inf
    for one in seen:
        time_s = one.picture.time_s
        out.times_s.append(time_s)
        out.thumbs.append(one.thumb)
        out.faces.append(one.faces)
        if time_s - picture_s >= _PICTURE_EVERY_S:
            picture_s = time_s
            out.pictures.append((time_s, jpeg(one.image)))
        look = time_s - look_s >= _LOOK_EVERY_S
        look_s = time_s if look and one.faces else look_s
        for face in one.faces:
            pose = fit_pose(face.landmarks[None].astype(np.float64), 0.0)
            if pose.scale[0] < least_px:
                continue
            centre = to_frame(np.array([[[0.0, window.centre_y, window.centre_z]]]), pose)[0, 0]
            side_px = window.side * float(pose.scale[0]) * _ROOM
            out.held[id(face)] = hold(one.picture, float(centre[0]), float(centre[1]), side_px, one.image)
            if look:
                out.looks[id(face)] = take_look(one.image, face.landmarks / _enlarged(one.picture, one.image))
    return out


def _enlarged(picture: Picture, image: np.ndarray) -> float:
    return picture.size[0] / image.shape[1]


def hold(picture: Picture, x_px: float, y_px: float, side_px: float, shown: np.ndarray | None = None) -> Held:
    """The square around (x_px, y_px), as far as it lies in the picture, made smaller where it exceeds HELD_PX.

    Args:
        shown: the whole picture. Where it was not made smaller, a square larger than HELD_PX is cut from it: that is
            1.2 grey levels darker than converting the square alone, and takes a seventh of the time.
    """
    width, height = picture.size
    left, right = (int(np.clip(round(x_px + s * side_px / 2), 0, width)) for s in (-1, 1))
    top, bottom = (int(np.clip(round(y_px + s * side_px / 2), 0, height)) for s in (-1, 1))
    left, top = min(left, width - 1), min(top, height - 1)
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    edges = (left == 0, top == 0, right == width, bottom == height)
    rows, columns = bottom - top, right - left
    whole = shown is not None and shown.shape[:2] == (height, width) and max(rows, columns) > HELD_PX
    part = shown[top:bottom, left:right] if whole and shown is not None else picture.patch((left, top, right, bottom))
    shrink = min(1.0, HELD_PX / max(rows, columns))
    size = (max(1, round(columns * shrink)), max(1, round(rows * shrink)))
    how = cv2.INTER_LINEAR if shrink > 0.5 else cv2.INTER_AREA  # alike there, in a quarter of the time
    image = cv2.resize(part, size, interpolation=how) if shrink < 1 else part
    x, y = columns / size[0], rows / size[1]
    return Held(image, np.array([[x, 0, left + (x - 1) / 2], [0, y, top + (y - 1) / 2]]), edges)


def find_faces(pictures: Iterable[Picture], detector: FaceDetector, stride: int) -> Iterator[Seen]:
    """Each picture with its faces: found in every stride-th, between them interpolated."""
    detector.reset()
    waiting: list[Seen] = []
    last: np.ndarray | None = None
    known: list[Face] | None = None
    for picture in pictures:
        image = picture.small(LOOK_PX)
        one = Seen(picture, thumbnail(image), [], image)
        if last is not None and is_jump(last, one.thumb):
            for between in waiting:
                yield _found(detector, between)
            waiting, known = [], None
            detector.reset()
        last = one.thumb
        if known is not None and len(waiting) < stride - 1:
            waiting.append(one)
            continue
        _found(detector, one)
        for i, between in enumerate(waiting, 1):
            between.faces = _between(known or [], one.faces, i / (len(waiting) + 1))
            yield between
        yield one
        waiting, known = [], one.faces
    for between in waiting:
        yield _found(detector, between)


def _found(detector: FaceDetector, one: Seen) -> Seen:
    """Fill in the detector's faces, at the precision that they are kept with."""
    scale = np.float32(_enlarged(one.picture, one.image))
    for face in detector.detect(one.image):
        points = (scale * face.landmarks).astype(np.float32)
        one.faces.append(Face(_box(scale * np.array(face.box_px)), points, float(np.float32(face.score))))
    return one


def _box(values: np.ndarray) -> tuple[float, float, float, float]:
    left, top, right, bottom = values.astype(np.float32).tolist()
    return left, top, right, bottom


def _between(before: list[Face], after: list[Face], share: float) -> list[Face]:
    """Faces that are in both pictures, `share` of the way from the first to the second."""
    out, left = [], list(after)
    for face in before:
        then = max(left, key=lambda f: iou(f.box_px, face.box_px), default=None)
        if then is None or iou(then.box_px, face.box_px) < _SAME_FACE_IOU:
            continue
        left = [f for f in left if f is not then]
        box = (1 - share) * np.array(face.box_px) + share * np.array(then.box_px)
        points = (1 - share) * face.landmarks + share * then.landmarks
        out.append(Face(_box(box), points.astype(np.float32), face.score))
    return out
