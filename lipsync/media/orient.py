"""Turn a coded picture upright as its display matrix says, and back.

A display matrix maps coded coordinates to shown ones, (x', y') = (a·x + c·y, b·x + d·y). Of the turns only right
angles are kept, with or without a mirror: the signs and places of a, b, c, d then say whether the picture is
transposed and which axes are flipped afterwards.

Source: ISO/IEC 14496-12, 6.2.2 (the matrix of a track header).
"""

from dataclasses import dataclass

import numpy as np
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame


@dataclass(frozen=True)
class Orientation:
    """How a coded picture becomes the shown one: transpose, then flip left-right and top-bottom."""

    transposed: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @property
    def rotation(self) -> int:
        """The clockwise turn in degrees (0, 90, 180, 270); of a mirrored picture, the turn under the mirror."""
        if self.transposed:
            return 270 if self.flip_y else 90
        return 180 if self.flip_y else 0

    def upright(self, image: np.ndarray) -> np.ndarray:
        """Coded (H, W, C) → shown: (W, H, C) when transposed. A view."""
        image = image.swapaxes(0, 1) if self.transposed else image
        image = image[:, ::-1] if self.flip_x else image
        return image[::-1] if self.flip_y else image

    def coded(self, image: np.ndarray) -> np.ndarray:
        """Shown → coded, the inverse of `upright`. A view."""
        image = image[::-1] if self.flip_y else image
        image = image[:, ::-1] if self.flip_x else image
        return image.swapaxes(0, 1) if self.transposed else image


def turned(rotation: int) -> Orientation:
    """The orientation of a clockwise turn by 0, 90, 180 or 270 degrees."""
    return {
        0: Orientation(),
        90: Orientation(transposed=True, flip_x=True),
        180: Orientation(flip_x=True, flip_y=True),
        270: Orientation(transposed=True, flip_y=True),
    }[rotation % 360]


def orientation_of(frame: VideoFrame) -> Orientation:
    """What the picture's display matrix asks for; upright when it has none."""
    data = frame.side_data.get(Type.DISPLAYMATRIX)
    if data is None:
        return Orientation()
    a, b, _, c, d = np.frombuffer(bytes(data), dtype=np.int32)[:5].tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(transposed=True, flip_x=c < 0, flip_y=b < 0)
    return Orientation(flip_x=a < 0, flip_y=d < 0)
