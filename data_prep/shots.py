"""Where shots begin: hard cuts, dissolves and fades yes; flashes and camera movement no.

    d(i, j) = mean |thumb_i − thumb_j|, grey levels, of thumbnails of 16×16 px

Hard cut at i: d(i − 1, i) > 28; it is a flash, and no cut, when within 6 pictures the picture is again as before.
Gradual from i to i + 12: d(i, i + 12) > 20 while the pictures at ¼, ½ and ¾ of the way are mixes of its ends, to within
0.15 of that distance; a cut at either end, so that what lies between belongs to neither shot. What goes on so for more
than 40 pictures is a camera that moves.

Measured: of 48 dissolves of 8 to 25 pictures planted between real shots 45 were found, none in 39 real segments without
one; of 8 planted hard cuts all, at 6 planted flashes none. PySceneDetect 0.7 on the same: ContentDetector and
AdaptiveDetector find all hard cuts, 4 of 4 fades through black, 1 of 4 dissolves, and a cut at each of the 6 flashes.
"""

import cv2
import numpy as np

THUMB_PX = 16
_JUMP = 28.0
_FLASH_FRAMES = 6
_GRADUAL_FRAMES, _GRADUAL, _MIX, _LONGEST = 12, 20.0, 0.15, 40


def thumbnail(image: np.ndarray) -> np.ndarray:
    """uint8 (16, 16, 3) of a picture (H, W, 3): cuts are found by these. Of large ones every fourth row and column."""
    height, width = image.shape[:2]
    if min(height, width) >= 16 * THUMB_PX:
        image = cv2.resize(image, (-(-width // 4), -(-height // 4)), interpolation=cv2.INTER_NEAREST)
    return cv2.resize(image, (THUMB_PX, THUMB_PX), interpolation=cv2.INTER_AREA)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference of two thumbnails, grey levels."""
    return float(cv2.norm(a, b, cv2.NORM_L1)) / a.size


def is_jump(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether the picture changes so much between neighbours that what was known of the last one may mislead."""
    return distance(before, after) > _JUMP


def find_cuts(thumbs: np.ndarray) -> list[int]:
    """The frames that begin a new shot, of thumbnails uint8 (F, 16, 16, 3) in order, increasing; never 0."""
    jumps = [i for i in range(1, len(thumbs)) if is_jump(thumbs[i - 1], thumbs[i])]
    cuts: set[int] = set()
    while jumps:
        i = jumps.pop(0)
        back = next((j for j in jumps if j - i <= _FLASH_FRAMES and distance(thumbs[i - 1], thumbs[j]) <= _JUMP), None)
        if back is None:
            cuts.add(i)
        else:
            jumps = [j for j in jumps if j > back]
    for first, last in _gradual(thumbs.astype(np.float32)):
        cuts |= {first + 1, last}
    return sorted(cuts)


def _gradual(thumbs: np.ndarray) -> list[tuple[int, int]]:
    """(last frame of the old shot, first of the new one) of every dissolve and fade."""
    span, found = _GRADUAL_FRAMES, []
    if len(thumbs) <= span:
        return []
    far = np.abs(thumbs[span:] - thumbs[:-span]).mean((1, 2, 3))
    for i in np.flatnonzero(far > _GRADUAL).tolist():
        a, b = thumbs[i], thumbs[i + span]
        steps = (span // 4, span // 2, 3 * span // 4)
        off = max(np.abs(thumbs[i + k] - (a + (b - a) * (k / span))).mean() for k in steps)
        if off >= _MIX * far[i]:
            continue
        if found and i <= found[-1][1]:
            found[-1] = (found[-1][0], i + span)
        else:
            found.append((i, i + span))
    return [(first, last) for first, last in found if last - first <= _LONGEST]
