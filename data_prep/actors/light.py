"""Light on a grid of points: soft skin shading, highlights and cast shadows, all per grid point.

Irradiance E = ambient(n) + key·shadow·wrap(n·l) + fill·wrap(n·l'), with wrap(c) = max(0, (c + w)/(1 + w))^1.2 and a
wider w and a wider blur over the grid for red than for blue: light that enters skin comes out a few millimetres away,
red the farthest (d'Eon & Luebke 2007, "Advanced techniques for realistic real-time skin rendering"). Highlights are two
Blinn–Phong lobes. The key's shadow is a depth map of the points seen from the lamp.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from data_prep.actors.actor import Light

WRAP = np.array([0.34, 0.20, 0.14], np.float32)
BLUR_POINTS = (2.2, 1.1, 0.7)
SHADOW_CELL_CM = 0.42


@dataclass(frozen=True)
class Lit:
    """float32 (R, C, 3) irradiance, (R, C) highlight, (R, C, 3) normals."""

    irradiance: np.ndarray
    highlight: np.ndarray
    normals: np.ndarray


def lamp_direction(light: Light) -> np.ndarray:
    """Unit vector toward the key lamp, camera axes (right, up, toward the camera)."""
    a, e = np.deg2rad(light.azimuth_deg), np.deg2rad(light.elevation_deg)
    return np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)], np.float32)


def normals_of(points: np.ndarray, split: int | None = None) -> np.ndarray:
    """Unit normals float32 (R, C, 3) of a grid whose rows run down and columns right; none taken across `split`."""
    if split is not None:
        return np.concatenate([normals_of(points[:split]), normals_of(points[split:])])
    across, down = _differences(points, 1), _differences(points, 0)
    ax, ay, az = (down[..., i] for i in range(3))
    bx, by, bz = (across[..., i] for i in range(3))
    normal = np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)
    return normal / np.maximum(np.sqrt((normal * normal).sum(-1, keepdims=True)), 1e-8)


def _differences(points: np.ndarray, axis: int) -> np.ndarray:
    padded = np.empty_like(points)
    if axis == 0:
        padded[1:-1] = points[2:] - points[:-2]
        padded[0], padded[-1] = points[1] - points[0], points[-1] - points[-2]
    else:
        padded[:, 1:-1] = points[:, 2:] - points[:, :-2]
        padded[:, 0], padded[:, -1] = points[:, 1] - points[:, 0], points[:, -1] - points[:, -2]
    return padded


def _wrapped(cosine: np.ndarray) -> np.ndarray:
    return np.maximum((cosine[..., None] + WRAP) / (1 + WRAP), 0.0) ** 1.25


def _shadow(points: np.ndarray, lamp: np.ndarray) -> np.ndarray:
    """float32 (R, C): 1 where the lamp is seen, 0 in shadow, soft between."""
    right = np.cross(np.array([0, 1, 0], np.float32), lamp)
    right /= np.linalg.norm(right)
    up = np.cross(lamp, right)
    flat = points.reshape(-1, 3)
    across, along, toward = flat @ right, flat @ up, flat @ lamp
    column = (across - across.min()) / SHADOW_CELL_CM + 1
    row = (along - along.min()) / SHADOW_CELL_CM + 1
    width, height = int(column.max()) + 3, int(row.max()) + 3
    depth = np.full(width * height, -99.0, np.float32)
    np.maximum.at(depth, row.astype(np.int64) * width + column.astype(np.int64), toward)
    nearest = depth.reshape(height, width)
    gaps = cv2.dilate(nearest, np.ones((3, 3), np.uint8))
    nearest = cv2.blur(np.where(nearest > -90, nearest, gaps), (3, 3))
    shape = points.shape[:2]
    above = cv2.remap(
        nearest,
        (column - 0.5).reshape(shape).astype(np.float32),
        (row - 0.5).reshape(shape).astype(np.float32),
        cv2.INTER_LINEAR,
    )
    hidden = np.clip((above - toward.reshape(shape) - 0.55) / 0.9, 0.0, 1.0)
    return 1.0 - cv2.GaussianBlur(hidden.astype(np.float32), (0, 0), 1.6)


def shade(points: np.ndarray, light: Light, split: int | None = None, *, cast_shadow: bool = True) -> Lit:
    """Light a grid given in camera axes, cm."""
    normals = normals_of(points, split)
    lamp = lamp_direction(light)
    other = np.array([-lamp[0] * 1.1, 0.15, 0.75], np.float32)
    other /= np.linalg.norm(other)
    key = np.array(light.key, np.float32) * light.strength * 0.88
    fill = np.array(light.fill, np.float32) * light.fill_share
    facing = normals @ lamp
    visible = _shadow(points, lamp) if cast_shadow else np.ones(points.shape[:2], np.float32)
    direct = _wrapped(facing) * visible[..., None] * key
    direct += _wrapped(normals @ other) * fill
    up = normals[..., 1:2]
    ambient = 0.16 + 0.09 * up + np.array([0.035, 0.02, 0.012], np.float32) * np.clip(-up, 0, 1)
    irradiance = (direct + ambient * (0.55 + 0.45 * np.clip(normals[..., 2:3], 0, 1))).astype(np.float32)
    parts = [irradiance[:split], irradiance[split:]] if split else [irradiance]
    blurred = [np.dstack([cv2.GaussianBlur(part[..., i], (0, 0), BLUR_POINTS[i]) for i in range(3)]) for part in parts]
    half = lamp + np.array([0, 0, 1], np.float32)
    half /= np.linalg.norm(half)
    shine = np.clip(normals @ half, 0, 1)
    other_half = other + np.array([0, 0, 1], np.float32)
    other_half /= np.linalg.norm(other_half)
    second = np.clip(normals @ other_half, 0, 1)
    grazing = (1 - np.clip(normals[..., 2], 0, 1)) ** 4
    highlight = (0.20 * shine**12 + 0.34 * shine**48) * visible * light.strength + 0.10 * light.fill_share * second**14
    highlight = highlight + 0.10 * grazing * np.clip(facing + 0.3, 0, 1)
    return Lit(np.concatenate(blurred), highlight.astype(np.float32), normals)
