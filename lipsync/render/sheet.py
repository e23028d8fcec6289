"""A smooth sheet over a window through values at points, 0 on the window's border and over the base of the nose.

    s(p) = Σ_k c_k·|p − p_k| + c,      s(p_k) − _YIELD·c_k = value at p_k,  Σ_k c_k = 0

The points p_k are given ones, some on the border and some on the line above which a face does not move with its mouth:
a nose that moved would be seen twice, for there the frame is faded in. A sheet is computed at every fourth pixel and
linear between.
"""

from functools import cache

import cv2
import numpy as np

from lipsync.faces.align import JAW, OUTER_LIP
from lipsync.render.place import Box, sized

GRID = 4  # the sheet is computed at every fourth pixel
_RISE = 0.35  # of the height from the lips to the chin: so far above the ends of the jaw line, and the lips, faces rest
_YIELD = 4.0  # lets points that nearly meet, as closed lips do, give way to one another


class Sheet:
    """The sheets through the points of one mouth, (31, 2) px of a window."""

    def __init__(self, points: np.ndarray, size_px: int) -> None:
        self.points = points
        centres = np.concatenate([points, _still(points), _border(size_px)])
        count, side = len(centres), size_px // GRID
        system = np.ones((count + 1, count + 1))
        system[:count, :count] = _distances(centres[:, :1], centres[:, 1:], centres) - _YIELD * np.eye(count)
        system[count, count] = 0
        self.solved = np.linalg.inv(system)[:, : len(points)]
        at = np.arange(side, dtype=np.float32) * GRID
        self.reach = np.ones((side, side, count + 1), np.float32)
        self.reach[..., :count] = _distances(at[:, None], at[:, None, None], centres.astype(np.float32))

    def carry(self, values: np.ndarray, part: Box) -> np.ndarray:
        """Values (L, 2) at the points, over a part of the window: float32 (h, w, 2)."""
        shares = (self.solved @ values).astype(np.float32)
        coarse = (self.reach.reshape(-1, len(shares)) @ shares).reshape(*self.reach.shape[:2], 2)
        matrix = np.array([[1 / GRID, 0, part[0] / GRID], [0, 1 / GRID, part[1] / GRID]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(coarse, matrix, sized(part)[2:], flags=flags, borderMode=cv2.BORDER_REPLICATE)


def raised_jaw(mouths: np.ndarray) -> np.ndarray:
    """The ends of what a mouth moves, above: beside the base of the nose. (n, 31, 2) window px → (n, 2, 2)."""
    rise = _RISE * (mouths[:, JAW][:, :, 1].max(1) - mouths[:, OUTER_LIP][:, :, 1].min(1))
    return mouths[:, JAW][:, [0, -1]] - np.stack([np.zeros_like(rise), rise], 1)[:, None]


def _still(mouth: np.ndarray) -> np.ndarray:
    """Points from one raised end of the jaw line to the other, but always as far above the lips: (7, 2)."""
    ends, lips = raised_jaw(mouth[None])[0], mouth[OUTER_LIP][:, 1].min()
    line = ends[0] + np.linspace(0, 1, 7)[:, None] * (ends[1] - ends[0])
    line[:, 1] = np.minimum(line[:, 1], lips - _RISE * (mouth[JAW][:, 1].max() - lips))
    return line


@cache
def _border(size_px: int) -> np.ndarray:
    """Points on the window's border, four a side: (16, 2)."""
    edge = np.linspace(0, size_px - 1, 5)[:-1]
    sides = [np.stack([edge, 0 * edge], 1), np.stack([size_px - 1 - edge, 0 * edge + size_px - 1], 1)]
    return np.concatenate([*sides, *[side[:, ::-1] for side in sides]])


def _distances(x: np.ndarray, y: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Of places (x, y), (…, 1) each, from points (P, 2): (…, P)."""
    across, down = x - points[:, 0], y - points[:, 1]
    return np.sqrt(across * across + down * down)
