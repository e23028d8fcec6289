"""Turn a coded picture upright as its display matrix says, and back.

A display matrix maps coded coordinates to shown ones, (x', y') = (a·x + c·y, b·x + d·y). Of the turns only right
angles are kept, with or without a mirror: the signs and places of a, b, c, d then say whether the picture is
transposed and which axes are flipped afterwards.

Source: ISO/IEC 14496-12, 6.2.2 (the matrix of a track header); Exif 2.32, 4.6.4 A (tag 0x0112, Orientation).
"""

import re
import struct
from dataclasses import dataclass
from pathlib import Path

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


def orientation_of(frame: VideoFrame, still: Path | None = None) -> Orientation:
    """What the picture's display matrix asks for; upright when it has none.

    PyAV 18 cannot list the side data of a picture that carries EXIF: for a photo (`still`) the orientation is then
    read from the file itself, for a video it is the turn alone.
    """
    try:
        matrices = [bytes(data) for data in frame.side_data if data.type == Type.DISPLAYMATRIX]  # pyright: ignore
    except ValueError:
        return photo_orientation(still) if still is not None else turned(-90 * round(frame.rotation / 90))
    if not matrices:
        return Orientation()
    a, b, _, c, d = np.frombuffer(matrices[0], dtype=np.int32)[:5].tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(transposed=True, flip_x=c < 0, flip_y=b < 0)
    return Orientation(flip_x=a < 0, flip_y=d < 0)


def photo_orientation(path: Path) -> Orientation:
    """The EXIF orientation of a photo; upright when it states none."""
    data = path.read_bytes()
    found = re.search(rb"exif.{0,10}?(II\*\0|MM\0\*)", data, re.DOTALL | re.IGNORECASE)
    if found is None:
        return Orientation()
    tiff, order = data[found.start(1) :], "<" if found[1] == b"II*\0" else ">"
    try:
        (table,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, table)
        for entry in range(count):
            tag, _, _, value = struct.unpack_from(order + "HHIH", tiff, table + 2 + 12 * entry)
            if tag == 0x0112:
                return _EXIF.get(value, Orientation())
    except struct.error:
        pass  # damaged EXIF: shown as it is coded, as viewers do
    return Orientation()


_EXIF = {
    2: Orientation(flip_x=True),
    3: Orientation(flip_x=True, flip_y=True),
    4: Orientation(flip_y=True),
    5: Orientation(transposed=True),
    6: Orientation(transposed=True, flip_x=True),
    7: Orientation(transposed=True, flip_x=True, flip_y=True),
    8: Orientation(transposed=True, flip_y=True),
}
