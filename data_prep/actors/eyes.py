"""Eyes, drawn where the skin's own coordinates fall between the lids.

A pixel that shows the point (x, y) of the neutral face lies in the eye when y is between the lids' curves
    upper(t) = y_low + (h·(1 − t²)^0.62 − y_low)·openness,   lower(t) = −0.62·h·(1 − t²)^0.8,   t = along / half length;
there a sphere with iris, pupil and the lamp's reflection is shaded; above it lie lashes and the lid's crease.
"""

from dataclasses import dataclass

import numpy as np

from data_prep.actors.actor import Actor
from data_prep.actors.geometry import HeadShape, gauss, smooth_step

IRIS_CM, PUPIL_SHARE = 0.62, 0.36


@dataclass(frozen=True)
class Gaze:
    """How open the eyes are (1 open … 0 closed) and where they look, cm of iris movement right and up."""

    openness: float = 1.0
    right_cm: float = 0.0
    up_cm: float = 0.0


def lid_curves(t: np.ndarray, shape: HeadShape, openness: float) -> tuple[np.ndarray, np.ndarray]:
    """Height of the upper and the lower lid's edge, cm above the eye's axis, at t (−1 inner … 1 outer corner)."""
    inside = np.clip(1.0 - t**2, 0.0, None)
    lower = -0.60 * shape.eye_open_cm * inside**0.8 * (1 + 0.22 * t)
    upper = 0.92 * shape.eye_open_cm * np.clip(1.0 - (0.94 * t + 0.06) ** 2, 0, None) ** 0.60 * (inside**0.08)
    shut = 0.75 * lower
    return shut + (upper - shut) * openness, lower


def lid_points(shape: HeadShape, openness: float) -> np.ndarray:
    """float64 (12, 2) cm: landmarks 36–47 on the neutral face."""
    along = np.array([1.0, 0.40, -0.42, -1.0, -0.42, 0.40])  # of the eye at the picture's left: outer corner first
    upper, lower = lid_curves(along, shape, openness)
    height = np.array([0, upper[1], upper[2], 0, lower[4], lower[5]])
    x = along * shape.eye_half_length_cm + shape.eye_distance_cm
    y = height + shape.eye_tilt * along * shape.eye_half_length_cm
    left = np.stack([-x, y], axis=1)
    right = np.stack([x, y], axis=1)
    return np.concatenate([left, right[[3, 2, 1, 0, 5, 4]]])


def paint_eye(
    pixels: np.ndarray,
    light_on_skin: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    side: int,
    gaze: Gaze,
    actor: Actor,
    lamp: np.ndarray,
) -> None:
    """Paint one eye in place.

    Args:
        pixels: float32 (h, w, 3), linear light, the skin already drawn.
        light_on_skin: float32 (h, w, 3), irradiance there.
        x, y: float32 (h, w), the neutral face's coordinates shown by each pixel, cm.
        side: −1 the eye at the picture's left, 1 the other.
        gaze: openness and direction.
        actor: colours and shape.
        lamp: unit vector toward the key lamp.
    """
    shape = actor.shape
    along = side * x - shape.eye_distance_cm
    height = y - shape.eye_tilt * along
    t = along / shape.eye_half_length_cm
    upper, lower = lid_curves(t, shape, gaze.openness)
    wide, _ = lid_curves(t, shape, 1.0)
    inside_t = smooth_step(np.abs(t), 1.02, 0.96)
    _paint_lids(pixels, height, t, upper, lower, wide, gaze.openness, actor, inside_t)
    opening = smooth_step(np.minimum(upper - height, height - lower), -0.022, 0.022) * inside_t
    if float(opening.max()) <= 0:
        return
    ball = _eyeball(along * side, height, t, upper, lower, gaze, actor, lamp)
    light = 0.35 * light_on_skin + 0.65 * light_on_skin.mean(axis=(0, 1))
    ball[..., :3] *= np.clip(light, 0.12, 1.6)
    pixels += opening[..., None] * (ball[..., :3] + ball[..., 3:] - pixels)


def _eyeball(
    across: np.ndarray,
    height: np.ndarray,
    t: np.ndarray,
    upper: np.ndarray,
    lower: np.ndarray,
    gaze: Gaze,
    actor: Actor,
    lamp: np.ndarray,
) -> np.ndarray:
    """Linear colour and highlight, float32 (h, w, 4). `across`: cm to the picture's right of the eye's centre."""
    white = np.array([0.54, 0.49, 0.46], np.float32)
    colour = np.broadcast_to(white, (*t.shape, 3)).copy()
    corner = smooth_step(np.abs(t), 0.55, 1.0)
    colour *= 1 - corner[..., None] * np.array([0.22, 0.50, 0.50], np.float32)
    inner = smooth_step(t, -0.80, -0.96)
    colour += inner[..., None] * (np.array([0.42, 0.19, 0.17], np.float32) - colour)
    dx, dy = across - gaze.right_cm, height - 0.05 - gaze.up_cm
    r, angle = np.hypot(dx, dy) / IRIS_CM, np.arctan2(dy, dx)
    tone = (np.array(actor.eyes, np.float32) / 255) ** 2.0
    fibres = (
        1 + 0.20 * np.sin(23 * angle + 3 * np.sin(7 * angle)) * smooth_step(r, 0.3, 0.6) + 0.12 * np.sin(41 * angle)
    )
    glow = 1.15 + 0.75 * np.clip(-(dx * lamp[0] + dy * lamp[1]) / IRIS_CM, -0.6, 1.0)
    ring = 1 - 0.72 * smooth_step(r, 0.74, 1.0)
    warm = np.array([1.3, 1.1, 0.85], np.float32) ** (2.0 * gauss(r, 0.42, 0.12)[..., None])
    iris = tone * (fibres * glow * ring * 1.25)[..., None] * warm
    colour += smooth_step(r, 1.06, 0.95)[..., None] * (iris - colour)
    colour *= (1 - 0.97 * smooth_step(r, PUPIL_SHARE + 0.04, PUPIL_SHARE - 0.04))[..., None]
    below_lid = np.clip(upper - height, 0, None)
    colour *= (1 - 0.62 * np.exp(-below_lid / 0.15) - 0.22 * np.exp(-np.clip(height - lower, 0, None) / 0.10))[
        ..., None
    ]
    spot_x, spot_y = gaze.right_cm + 0.30 * lamp[0], 0.05 + gaze.up_cm + 0.34 * lamp[1] + 0.03
    spot = np.exp(-((((across - spot_x) / 0.085) ** 2 + ((height - spot_y) / 0.10) ** 2) ** 2))
    weak = np.exp(-(((across + spot_x - 2 * gaze.right_cm) / 0.10) ** 2 + ((height - spot_y + 0.36) / 0.10) ** 2))
    tear = gauss(height - lower, 0.035, 0.022) * (0.5 + 0.5 * gauss(t, 0.25 * np.sign(lamp[0]), 0.35))
    shine = 0.95 * spot + 0.07 * weak + 0.16 * tear + 0.03 * smooth_step(r, 1.2, 0.2)
    return np.dstack([colour, shine]).astype(np.float32)


def _paint_lids(
    pixels: np.ndarray,
    height: np.ndarray,
    t: np.ndarray,
    upper: np.ndarray,
    lower: np.ndarray,
    wide: np.ndarray,
    openness: float,
    actor: Actor,
    inside_t: np.ndarray,
) -> None:
    near = smooth_step(np.abs(t), 1.22, 0.85)
    crease_y = wide + 0.17 + 0.15 * np.clip(1 - t**2, 0, 1)
    dark = (0.42 * gauss(height, crease_y, 0.055) + 0.16 * gauss(height, crease_y + 0.05, 0.17)) * near
    dark += 0.14 * gauss(height, lower - 0.16, 0.07) * near
    rim = gauss(height, lower - 0.035, 0.035) * inside_t
    pixels += (0.35 * rim)[..., None] * (pixels * np.array([1.5, 1.12, 1.08], np.float32) - pixels)
    above = height - upper
    thick = (0.045 + 0.05 * actor.lashes) * (0.75 + 0.45 * t)
    line = (
        smooth_step(above, -0.05, -0.01)
        * smooth_step(above, thick + 0.05, thick * 0.5)
        * smooth_step(np.abs(t), 1.1, 0.93)
    )
    hairs = 0.5 + 0.5 * np.sin(46 * t - 9 * t * np.clip(above, 0, 1) * 6)
    reach = 0.20 * actor.lashes * (0.45 + 0.55 * smooth_step(t, -0.6, 0.6))
    direction = 1.0 if openness > 0.35 else -1.0
    lashes = smooth_step(direction * above, reach, 0.0) * smooth_step(direction * above, -0.02, 0.01) * hairs * inside_t
    under = (
        0.28 * actor.lashes * smooth_step(lower - height, 0.13, 0.0) * (lower > height) * (0.4 + 0.6 * hairs) * inside_t
    )
    dark = 1 - (1 - np.clip(dark, 0, 1)) * (1 - 0.86 * line) * (1 - 0.55 * actor.lashes * lashes) * (1 - under)
    pixels *= (1 - dark * np.float32(0.95))[..., None]
