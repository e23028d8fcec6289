"""Where a window lies in a picture, and what of it the picture's pixels see, for work on a part of either alone.

A transform maps picture → window, u = A·p + b. For the pixels of a box with corner c it is u = A·p′ + (A·c + b); a
part of the window with corner d is a window of its own, u′ = u − d.
"""

import math

import cv2
import numpy as np

Box = tuple[int, int, int, int]  # left, top, right, bottom (exclusive), px

_NOTHING = 1 / 512  # a blend weaker than this changes no grey level


def window_surroundings(transform: np.ndarray, size_px: int, picture: tuple[int, int], room: float) -> Box | None:
    """Left, top, right, bottom of the picture's pixels under a window with `room` (of its side) around it.

    Clipped to the picture (width, height); None where nothing is left.
    """
    edge = room * size_px + 2.0
    corners = np.array([[-edge, -edge], [size_px + edge, -edge], [-edge, size_px + edge], [size_px + edge] * 2])
    box = _clipped(corners, transform, picture)
    return box if box and box[2] - box[0] > 1 and box[3] - box[1] > 1 else None


def _clipped(corners: np.ndarray, transform: np.ndarray, picture: tuple[int, int]) -> Box | None:
    """The pixels of a picture (width, height) under corners (4, 2) in a window; None where there are none."""
    inverse = cv2.invertAffineTransform(np.asarray(transform, np.float64))
    placed = corners @ inverse[:, :2].T + inverse[:, 2]
    low, high = np.floor(placed.min(0)).tolist(), np.ceil(placed.max(0)).tolist()
    left, top = max(0, int(low[0])), max(0, int(low[1]))
    right, bottom = min(picture[0], int(high[0]) + 1), min(picture[1], int(high[1]) + 1)
    return (left, top, right, bottom) if right > left and bottom > top else None


def shifted(transform: np.ndarray, box: Box) -> np.ndarray:
    """A transform for the pixels of `box` alone."""
    out = np.array(transform, np.float64)
    out[:, 2] += out[:, :2] @ np.array(box[:2], np.float64)
    return out


def to_part(transform: np.ndarray, part: Box) -> np.ndarray:
    """Picture → a part of the window."""
    out = np.array(transform, np.float64)
    out[:, 2] -= part[:2]
    return out


def of(box: Box) -> tuple[slice, slice]:
    """The rows and columns of a box."""
    return np.s_[box[1] : box[3], box[0] : box[2]]


def sized(box: Box) -> Box:
    """A box of the same size at the origin."""
    return (0, 0, box[2] - box[0], box[3] - box[1])


def enlarged(transform: np.ndarray, times: int) -> np.ndarray:
    """The same window at `times` its resolution; pixel centres at integers."""
    out = np.asarray(transform, np.float64) * times
    out[:, 2] += (times - 1) / 2
    return out


def window_box(
    transform: np.ndarray, size_px: int | tuple[int, int], shape: tuple[int, ...], reach: np.ndarray | None = None
) -> Box | None:
    """Left, top, right, bottom (exclusive) of the frame's pixels that the window covers; None when it covers none.

    Args:
        size_px: of the window, or (width, height) of a part of it.
        reach: float32 of that size; only where it is above 0, if given.
    """
    low_px, high_px = np.array([-0.5, -0.5]), np.zeros(2) + size_px - 0.5
    if reach is not None:
        x, y, width, height = cv2.boundingRect((reach > _NOTHING).astype(np.uint8))
        if not width:
            return None
        low_px = np.maximum(low_px, [x - 1.5, y - 1.5])
        high_px = np.minimum(high_px, [x + width + 0.5, y + height + 0.5])
    corners = np.array([low_px, [high_px[0], low_px[1]], [low_px[0], high_px[1]], high_px])
    return _clipped(corners, transform, (shape[1], shape[0]))


def window_coordinates(transform: np.ndarray, box: Box) -> tuple[np.ndarray, np.ndarray]:
    """Window coordinates u, v of every frame pixel in `box`: float32 (h, w)."""
    left, top, right, bottom = box
    x, y = np.arange(left, right, dtype=np.float64), np.arange(top, bottom, dtype=np.float64)[:, None]
    (a, b, c), (d, e, f) = np.asarray(transform, np.float64)
    u, v = ((p * x).astype(np.float32) + (q * y + r).astype(np.float32) for p, q, r in ((a, b, c), (d, e, f)))
    return u, v


def unwarp(window: np.ndarray, transform: np.ndarray, box: Box, smooth: bool = True) -> np.ndarray:
    """The window as the frame's pixels in `box` see it: float32 (h, w, C); area-averaged when it shrinks.

    smooth: where it grows it is refined by cubic interpolation first, by whole factors; else it is linear throughout,
    and seen no closer than by pixels as large as its own.
    """
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    scale = float(np.hypot(transform[0, 0], transform[0, 1]))
    window, matrix, growth = window.astype(np.float32), np.asarray(transform, np.float64), 1 / scale
    if smooth and growth > 1:
        refined = min(math.ceil(growth), 4)
        size = (refined * window.shape[1], refined * window.shape[0])
        window, matrix = cv2.resize(window, size, interpolation=cv2.INTER_CUBIC), enlarged(matrix, refined)
    times = min(max(1, math.ceil(scale - 1e-6)), 8)  # samples across one of the frame's pixels
    step = 1 if smooth else max(1, int(growth))  # or pixels from one sample to the next
    apart = step / times
    samples = np.array([[apart, 0, left + (apart - 1) / 2], [0, apart, top + (apart - 1) / 2], [0, 0, 1]])
    size = (-(-width // step) * times, -(-height // step) * times)
    flags = (cv2.INTER_CUBIC if smooth and growth <= 1 else cv2.INTER_LINEAR) | cv2.WARP_INVERSE_MAP
    out = cv2.warpAffine(window, matrix @ samples, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    if times > 1:
        return cv2.resize(out, (width, height), interpolation=cv2.INTER_AREA)
    return out if step == 1 else cv2.resize(out, (size[0] * step, size[1] * step))[:height, :width]


def carried(
    image: np.ndarray, field: np.ndarray, box: Box = (0, 0, 0, 0), interpolation: int = cv2.INTER_LINEAR
) -> np.ndarray:
    """An image moved by a field: what lies at p + f(p).

    Args:
        field: float32 (h, w, 2), px of the image.
        box: where in the image it lies.
    """
    flags = interpolation | cv2.WARP_RELATIVE_MAP
    field = cv2.add(field, np.array([*box[:2], 0, 0], np.float64))
    return cv2.remap(image, field, None, flags, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
