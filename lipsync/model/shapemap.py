"""Draw a mouth shape as a map that the pixel model reads: three channels at the window's size.

0: the lips (outer outline filled, without the opening), 1: the opening between the lips, 2: the lower jaw line.
Values 0…1, antialiased. A closed mouth keeps a hairline of opening at most one pixel wide, so that the place of the
lips' meeting line is always told.
"""

import cv2
import numpy as np

from lipsync.faces.align import INNER_LIP, JAW, OUTER_LIP

MAP_CHANNELS = 3
_SUB = 4  # binary places of sub-pixel position


def draw_shape(points: np.ndarray, size_px: int) -> np.ndarray:
    """One frame's map.

    Args:
        points: (31, 2) window px.

    Returns:
        uint8 (3, S, S), 0…255.
    """
    fixed = np.round(points * (1 << _SUB)).astype(np.int32)
    outer, inner, jaw = (np.zeros((size_px, size_px), np.uint8) for _ in range(3))
    cv2.fillPoly(outer, [fixed[OUTER_LIP]], 255, cv2.LINE_AA, _SUB)
    cv2.fillPoly(inner, [fixed[INNER_LIP]], 255, cv2.LINE_AA, _SUB)
    cv2.polylines(jaw, [fixed[JAW]], False, 255, 3, cv2.LINE_AA, _SUB)
    return np.stack([np.where(inner > 0, outer // 255 * (255 - inner), outer), inner, jaw]).astype(np.uint8)


def draw_shapes(points: np.ndarray, size_px: int) -> np.ndarray:
    """(F, 31, 2) → uint8 (F, 3, S, S)."""
    return np.stack([draw_shape(p, size_px) for p in points])


def mask_window(size_px: int, top_px: float, side_px: int) -> np.ndarray:
    """What is generated: float32 (S, S), 1 from `top_px` down to the bottom edge, between the side margins.

    The same for every frame of every person, so that it tells nothing about the mouth beneath.
    """
    mask = np.zeros((size_px, size_px), np.float32)
    mask[round(top_px) :, side_px : size_px - side_px] = 1.0
    return mask
