"""Smooth random fields and small drawing helpers that several painters share."""

import cv2
import numpy as np


def field(rng: np.random.Generator, height: int, width: int, cell: float, octaves: int = 1) -> np.ndarray:
    """Smooth noise float32 (height, width), about unit variance; `cell` px between independent values."""
    total = np.zeros((height, width), np.float32)
    strength = 1.0
    for _ in range(octaves):
        rows, columns = max(2, int(height / cell) + 2), max(2, int(width / cell) + 2)
        grain = rng.standard_normal((rows, columns)).astype(np.float32)
        total += strength * cv2.resize(grain, (width, height), interpolation=cv2.INTER_CUBIC)
        strength *= 0.55
        cell = max(1.0, cell / 2.2)
    return total / max(float(total.std()), 1e-6)


def strands(
    image: np.ndarray,
    starts: np.ndarray,
    steps: np.ndarray,
    shades: np.ndarray,
    thickness: int = 1,
) -> None:
    """Draw curved hairs onto a uint8 image in place.

    Args:
        image: uint8 (H, W) or (H, W, C).
        starts: float (K, 2), px (x, y).
        steps: float (K, S, 2): the vector of each of S steps.
        shades: (K,) or (K, C) values to draw with.
        thickness: px.
    """
    paths = np.concatenate([starts[:, None], starts[:, None] + np.cumsum(steps, axis=1)], axis=1)
    fixed = np.round(paths * 16).astype(np.int32)
    for path, shade in zip(fixed, shades, strict=True):
        colour = tuple(float(v) for v in np.atleast_1d(shade))
        cv2.polylines(image, [path], False, colour, thickness, cv2.LINE_AA, 4)
