"""The camera, the head's pose, the backdrop and the clothes."""

from dataclasses import dataclass

import cv2
import numpy as np

from data_prep.actors.actor import Actor
from data_prep.actors.geometry import gauss, smooth_step
from data_prep.actors.noise import field

DISTANCE_CM, FACE_Z_CM = 80.0, 7.0
PIVOT_CM = np.array([0.0, -9.0, -2.5], np.float32)  # where the head turns on the neck


@dataclass(frozen=True)
class Pose:
    """Turn of the head in radians and shift in cm, against looking straight at the camera."""

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    shift_cm: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def matrix(self) -> np.ndarray:
        """float32 (3, 3): head axes to camera axes."""
        cy, sy, cp, sp = np.cos(self.yaw), np.sin(self.yaw), np.cos(self.pitch), np.sin(self.pitch)
        cr, sr = np.cos(self.roll), np.sin(self.roll)
        yaw = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        pitch = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
        roll = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
        return (roll @ pitch @ yaw).astype(np.float32)


def place(points: np.ndarray, pose: Pose, held: np.ndarray | float = 0.0) -> np.ndarray:
    """Head points (…, 3) in camera axes, cm. `held` (…): 1 where the body holds the skin (the foot of the neck)."""
    turned = (points - PIVOT_CM) @ pose.matrix().T + PIVOT_CM + np.array(pose.shift_cm, np.float32)
    body = points + np.array([0.6 * pose.shift_cm[0], 0.6 * pose.shift_cm[1], 0.0], np.float32)
    share = np.asarray(held, np.float32)[..., None] if np.ndim(held) else np.float32(held)
    return (turned + share * (body - turned)).astype(np.float32)


@dataclass(frozen=True)
class Camera:
    """A pinhole at DISTANCE_CM in front of the face. `scale` px per cm at the face; `centre` px of the origin."""

    scale: float
    centre: tuple[float, float]

    @classmethod
    def for_picture(cls, width: int, height: int) -> "Camera":
        """Head and collar fill the picture."""
        scale = min(width / 25.0, height / 30.5)
        return cls(scale, (width / 2, height / 2 + -0.6 * scale))

    def project(self, points: np.ndarray) -> np.ndarray:
        """Camera axes cm (…, 3) to px (…, 2)."""
        k = self.scale * DISTANCE_CM / (DISTANCE_CM + FACE_Z_CM - points[..., 2:3])
        return np.concatenate([self.centre[0] + points[..., :1] * k, self.centre[1] - points[..., 1:2] * k], axis=-1)


def backdrop(actor: Actor, width: int, height: int) -> np.ndarray:
    """A room out of focus: float32 (height, width, 3), linear light."""
    rng = np.random.default_rng([actor.seed, 3])
    near, far = (np.array(c, np.float32) for c in actor.backdrop)
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    across = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    lamp = np.sign(actor.light.azimuth_deg)
    fall = np.clip(0.55 + 0.35 * lamp * across - 0.35 * down + 0.12 * field(rng, height, width, width / 3), 0, 1)
    image = far + fall[..., None] * (near - far)
    image = np.ascontiguousarray(image, np.float32)
    for _ in range(int(rng.integers(2, 6))):
        x, y = rng.uniform(0, width), rng.uniform(0, height * 0.8)
        w, h = rng.uniform(0.06, 0.25) * width, rng.uniform(0.15, 0.6) * height
        tint = (near if rng.random() < 0.5 else far) * rng.uniform(0.65, 1.25) + rng.normal(0, 9, 3)
        cv2.rectangle(
            image, (int(x - w / 2), int(y - h / 2)), (int(x + w / 2), int(y + h / 2)), tuple(float(v) for v in tint), -1
        )
    image = cv2.GaussianBlur(image, (0, 0), width * 0.022)
    for _ in range(int(rng.integers(0, 7))):
        disc = np.zeros((height, width), np.float32)
        cv2.circle(
            disc,
            (int(rng.uniform(0, width)), int(rng.uniform(0, height * 0.7))),
            int(rng.uniform(0.02, 0.05) * width),
            1.0,
            -1,
            cv2.LINE_AA,
        )
        disc = cv2.GaussianBlur(disc, (0, 0), width * 0.006)
        glow = np.array([255, 236, 205], np.float32) * rng.uniform(0.7, 1.0)
        image += (rng.uniform(0.05, 0.28) * disc)[..., None] * (glow - image)
    return (np.clip(image, 0, 255) / 255) ** 2


def garment(actor: Actor, camera: Camera, width: int, height: int) -> np.ndarray:
    """Shoulders in clothes, to lie over the neck: float32 (height, width, 4), linear light and opacity."""
    rng = np.random.default_rng([actor.seed, 4])
    s = camera.scale
    x = (np.arange(width, dtype=np.float32)[None] + 0.5 - camera.centre[0]) / s
    y = (camera.centre[1] - (np.arange(height, dtype=np.float32)[:, None] + 0.5)) / s
    x, y = (np.ascontiguousarray(v) for v in np.broadcast_arrays(x, y))
    ax = np.abs(x)
    slope = -13.2 - 0.06 * ax - 0.052 * np.clip(ax - 4.5, 0, None) ** 1.55
    wide = 1.0 if actor.shape.jaw_width > 0.98 else 0.94
    slope = slope - (1 - wide) * ax
    neck_half = 5.4 * actor.shape.width
    if actor.garment == "crew":
        neckline = -15.0 + 1.9 * (np.clip(ax / neck_half, 0, 1.0)) ** 2.2
    elif actor.garment == "vneck":
        neckline = -19.0 + 6.0 * np.clip(ax / neck_half, 0, 1.0)
    else:
        neckline = -17.0 + 4.4 * np.clip(ax / neck_half, 0, 1.0) ** 0.9
    edge = np.minimum(slope + 0.55 * gauss(ax, neck_half, 0.9), np.where(ax < neck_half, neckline, 99))
    opacity = smooth_step(edge - y, -0.03, 0.06)
    depth = edge - y
    lamp = np.array([np.sin(np.deg2rad(actor.light.azimuth_deg)), 0.5, 0.75])
    nx = np.clip(x / 19.0, -1, 1) + 0.14 * field(rng, height, width, 3.2 * s, 2)
    ny = 0.75 * np.exp(-np.clip(depth, 0, None) / 3.5) + 0.12 * field(rng, height, width, 2.2 * s, 2)
    lit = np.clip((nx * lamp[0] + ny * lamp[1] + 0.75 * lamp[2]) / 1.15, 0.08, 1.3)
    folds = field(rng, height, width, 1.1 * s, 1) * smooth_step(depth, 0.4, 2.5)
    lit = lit * (1 + 0.035 * folds) * (1 - 0.50 * np.exp(-np.clip(depth, 0, None) / 0.5) * (ax < neck_half * 0.9) * 0.5)
    weave = 1 + 0.05 * field(rng, height, width, 1.4) + 0.04 * np.sin(x * s * 1.6) * np.sin(y * s * 1.6)
    band = smooth_step(depth, 0.0, 0.08) * smooth_step(depth, 0.95, 0.85) * (ax < neck_half * 1.02)
    seam = gauss(depth, 0.92, 0.07) * (ax < neck_half * 1.02)
    lit = lit * (1 + 0.05 * band * np.sin(x * 14)) * (1 - 0.30 * seam)
    lit = lit * (1 - 0.42 * gauss(x, 0, 4.8) * np.exp(-np.clip(-13.0 - y, 0, None) / 3.2))
    tone = (np.array(actor.garment_colour, np.float32) / 255) ** 2
    key = np.array(actor.light.key, np.float32) * actor.light.strength
    colour = tone * (lit * weave)[..., None] * (0.62 * key + 0.30)
    if actor.garment == "shirt":
        collar = (
            smooth_step(depth, 0.02, 0.1)
            * smooth_step(depth, 2.3 - 0.15 * ax, 2.2 - 0.15 * ax)
            * (ax < neck_half * 1.05)
        )
        fold_line = gauss(depth, 2.3 - 0.15 * ax, 0.12) * (ax < neck_half * 1.05)
        colour *= (1 + 0.14 * collar - 0.45 * fold_line - 0.35 * gauss(x, 0.35, 0.06) * (y < -16.9))[..., None]
    return np.dstack([colour, opacity]).astype(np.float32)
