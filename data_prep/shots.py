"""Where shots begin: hard cuts and fades yes, flashes and camera movement no.

    jump(i) = mean |thumb_i − thumb_{i−1}|, grey levels

of thumbnails of 16×16 px. A cut lies at i where jump(i) > 28. It is a flash, and no cut, when within _FLASH_FRAMES
the picture is again as it was before: mean |thumb_j − thumb_{i−1}| ≤ 28 at the next cut j.
"""

import cv2
import numpy as np

THUMB_PX = 16
_JUMP = 28.0
_FLASH_FRAMES = 6


def thumbnail(image: np.ndarray) -> np.ndarray:
    """uint8 (16, 16, 3) of a picture (H, W, 3): cuts are found by these. Of large ones every fourth row and column."""
    step = 4 if min(image.shape[:2]) >= 16 * THUMB_PX else 1
    return cv2.resize(np.ascontiguousarray(image[::step, ::step]), (THUMB_PX, THUMB_PX), interpolation=cv2.INTER_AREA)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference of two thumbnails, grey levels."""
    return float(cv2.norm(a, b, cv2.NORM_L1)) / a.size


def is_jump(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether the picture changes so much between neighbours that what was known of the last one may mislead."""
    return distance(before, after) > _JUMP


def find_cuts(thumbs: np.ndarray) -> list[int]:
    """The frames that begin a new shot, of thumbnails uint8 (F, 16, 16, 3) in order; never 0."""
    jumps = [i for i in range(1, len(thumbs)) if is_jump(thumbs[i - 1], thumbs[i])]
    cuts: list[int] = []
    while jumps:
        i = jumps.pop(0)
        back = next((j for j in jumps if j - i <= _FLASH_FRAMES and distance(thumbs[i - 1], thumbs[j]) <= _JUMP), None)
        if back is None:
            cuts.append(i)
        else:
            jumps = [j for j in jumps if j > back]
    return cuts
