"""Where a window lies in a picture, for work on a part of the picture alone.

A transform maps picture → window, u = A·p + b. For the pixels of a box with corner c it is u = A·p′ + (A·c + b).
"""

import numpy as np


def window_surroundings(
    transform: np.ndarray, size_px: int, picture: tuple[int, int], room: float
) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom of the picture's pixels under a window with `room` (of its side) around it.

    Clipped to the picture (width, height); None where nothing is left.
    """
    edge = room * size_px + 2.0
    corners = np.array([[-edge, -edge], [size_px + edge, -edge], [-edge, size_px + edge], [size_px + edge] * 2])
    inverse = np.linalg.inv(np.asarray(transform, np.float64)[:, :2])
    placed = (corners - np.asarray(transform)[:, 2]) @ inverse.T
    low, high = np.floor(placed.min(0)).astype(int), np.ceil(placed.max(0)).astype(int) + 1
    left, top = max(0, int(low[0])), max(0, int(low[1]))
    right, bottom = min(picture[0], int(high[0])), min(picture[1], int(high[1]))
    return (left, top, right, bottom) if right - left > 1 and bottom - top > 1 else None


def shifted(transform: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """A transform for the pixels of `box` alone."""
    out = np.array(transform, np.float64)
    out[:, 2] += out[:, :2] @ np.array(box[:2], np.float64)
    return out


def enlarged(transform: np.ndarray, times: int) -> np.ndarray:
    """The same window at `times` its resolution; pixel centres at integers."""
    out = np.asarray(transform, np.float64) * times
    out[:, 2] += (times - 1) / 2
    return out
