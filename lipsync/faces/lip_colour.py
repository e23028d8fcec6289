"""Colours of the lips by quarters, the two halves of either lip: a fingertip hardly changes the mean of a whole one.

apart(k) = max over quarters of |colour(k) − median over k of colour|,      the mean over R, G, B, levels
"""

import cv2
import numpy as np

from lipsync.faces.align import INNER_LIP, OUTER_LIP

# The polygons of the two lips, of the mouth's points: along the outer line, back along the inner.
UPPER = [*range(OUTER_LIP.start, OUTER_LIP.start + 7), *range(INNER_LIP.start + 4, INNER_LIP.start - 1, -1)]
LOWER = [
    *range(OUTER_LIP.start + 6, OUTER_LIP.stop),
    *(OUTER_LIP.start, INNER_LIP.start),
    *range(INNER_LIP.stop - 1, INNER_LIP.start + 3, -1),
]
LEAST_PX = 8.0  # of an area, window px: less is not seen well enough
_SUBPIXEL = 4  # bits


def outline_mask(outline: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """uint8 (h, w), 1 within an outline (P, 2) px."""
    mask = np.zeros(shape, np.uint8)
    corners = np.rint(outline * 2**_SUBPIXEL).astype(np.int32)
    cv2.fillPoly(mask, [corners], 1, shift=_SUBPIXEL)
    return mask


def quarter_colours(image: np.ndarray, mouth: np.ndarray) -> np.ndarray:
    """Mean colours of the halves of either lip, a whole lip's where a half is too small: (4, 3) levels.

    Args:
        image: uint8 (h, w, 3).
        mouth: (31, 2) px.
    """
    left = (np.arange(image.shape[1]) < mouth[OUTER_LIP, 0].mean()).astype(np.uint8)
    out = []
    for whole in (outline_mask(mouth[part], image.shape[:2]) for part in (UPPER, LOWER)):
        halves = (whole * left, whole * (1 - left))
        out += [cv2.mean(image, half if cv2.countNonZero(half) >= LEAST_PX else whole)[:3] for half in halves]
    return np.array(out)


def apart_from_usual(colours: np.ndarray) -> np.ndarray:
    """How far the lips are from their usual colour, at most: (N, 4, 3) → (N,) levels."""
    return np.abs(colours - np.median(colours, axis=0)).mean(2).max(1)
