"""Let the head of a photo sway: a slow turn about the neck and a small drift, fading out around the head.

    p ↦ p + w(p)·(R(φ(t))·(p − neck) + neck + d(t) − p),      w = 1 on the head, 0 from twice its radius on

φ and d are sums of three slow sines with seeded rates and phases, so they never repeat and never jerk.
"""

from collections.abc import Callable

import cv2
import numpy as np

from lipsync.config import RenderConfig
from lipsync.faces.align import to_frame
from lipsync.faces.detect import FaceDetector, open_detector
from lipsync.render.blink import Blinks, find_eyes
from lipsync.render.plan import Plan

_TURN_DEG, _DRIFT = 0.7, 0.013  # standard deviations at strength 1; the drift in inter-ocular distances
_RATES_HZ = (0.07, 0.35)
_HEAD = np.array([[0.0, 0.45, 0.0], [0.0, 2.6, 0.3]])  # middle of the head, and the neck: head units
_RADIUS = 1.7  # of the head, in inter-ocular distances
_COARSE = 8  # the field is computed at every eighth pixel


class Sway:
    """Moves pictures of a photo. `strength` 0 leaves them as they are."""

    def __init__(self, plan: Plan, strength: float, seed: int) -> None:
        self.strength = strength
        self.unit_px = float(plan.pose.scale[0])
        head, neck = to_frame(_HEAD[None], plan.pose[:1])[0, :, :2]
        self.neck = neck
        height, width = plan.info.height, plan.info.width
        x = np.arange(-(-width // _COARSE) + 1) * _COARSE
        y = np.arange(-(-height // _COARSE) + 1) * _COARSE
        self.grid = np.stack(np.meshgrid(x, y), -1).astype(np.float64)
        distance = np.linalg.norm(self.grid - head, axis=-1) / (_RADIUS * self.unit_px)
        ramp = np.clip(2 - distance, 0, 1)
        self.weight = (ramp * ramp * (3 - 2 * ramp))[..., None]
        self.size = (width, height)
        rng = np.random.default_rng([seed, 3])
        self.rates_hz, self.phases = rng.uniform(*_RATES_HZ, (3, 3)), rng.uniform(0, 2 * np.pi, (3, 3))

    def signals(self, time_s: float) -> np.ndarray:
        """Turn, drift across and drift down at a time, each of about unit spread: (3,)."""
        angle = 2 * np.pi * self.rates_hz * time_s + self.phases
        return np.sin(angle).sum(1) * np.sqrt(2 / 3)

    def move(self, image: np.ndarray, time_s: float) -> np.ndarray:
        """The picture uint8 (H, W, 3) at a time."""
        if self.strength <= 0:
            return image
        turn, across, down = self.signals(time_s) * self.strength
        angle = np.radians(_TURN_DEG) * turn
        matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        drift = np.array([across, down]) * _DRIFT * self.unit_px
        moved = (self.grid - self.neck - drift) @ matrix.T + self.neck
        field = (self.weight * (moved - self.grid)).astype(np.float32)
        rows, columns = field.shape[:2]
        full = cv2.resize(field, (columns * _COARSE, rows * _COARSE), interpolation=cv2.INTER_LINEAR)
        half = (_COARSE - 1) // 2  # `resize` puts coarse pixel k at the middle of its block
        full = np.roll(full, (-half, -half), (0, 1))[: self.size[1], : self.size[0]]
        x, y = np.meshgrid(np.arange(self.size[0], dtype=np.float32), np.arange(self.size[1], dtype=np.float32))
        return cv2.remap(image, x + full[..., 0], y + full[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def enliven(
    plan: Plan, config: RenderConfig, detector: FaceDetector | None = None, seed: int = 0
) -> Callable[[np.ndarray, float], np.ndarray]:
    """What moves the pictures of a photo: (picture, time_s) ↦ the picture with blinks and sway."""
    sway = Sway(plan, config.photo_motion, config.seed + seed)
    eyes = find_eyes(plan, detector or open_detector(config.detector)) if config.photo_motion > 0 else None
    if eyes is None:
        return sway.move
    blinks = Blinks(eyes, float(plan.pose.scale[0]), config.seed + seed)
    return lambda image, time_s: sway.move(blinks.move(image, time_s), time_s)
