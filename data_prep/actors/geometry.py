"""The neutral head: a grid of points from crown to collar, written as numbers.

Units are centimetres. x runs to the picture's right, y up, z toward the camera; the origin lies between the pupils in
x and y and on the axis of the ears in z. A row is a curve around the head, a column a curve from crown to collar:

    x = W·sin θ,   z = z_side + (z_front − z_side)·cosᵇ θ,   y = y_front + (y_side − y_front)·|sin θ|³

with W, z, y and b read off a table of levels (crown, brow, …, chin, collar) by interpolation; nose, sockets, cheeks,
lips and chin are added as smooth relief along z. The rows are split at the line where the lips meet: `upper` ends there
and `lower` begins there, so that the mouth can open.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

# y_front, z_front, half width, y_side, z_side, exponent b; below the crown's ellipsoid (see _levels).
LEVELS = np.array(
    [
        [3.0, 9.30, 7.45, 3.0, -1.0, 1.00],  # forehead
        [1.6, 9.40, 7.40, 1.7, -0.8, 1.00],  # brow
        [0.2, 8.95, 7.22, 0.6, -0.5, 1.00],  # root of the nose
        [-2.0, 8.65, 7.02, -1.1, -0.3, 1.02],  # cheek bones
        [-4.7, 8.75, 6.66, -3.0, -0.2, 1.05],  # under the nose
        [-6.9, 8.85, 6.36, -4.6, 0.0, 1.10],  # where the lips meet
        [-8.8, 8.45, 6.06, -6.0, 0.2, 1.16],  # above the chin
        [-10.3, 8.25, 5.74, -7.0, 0.3, 1.24],  # chin
        [-11.25, 7.35, 5.48, -7.7, 0.3, 1.28],  # jaw line
        [-11.75, 5.6, 5.20, -8.6, -0.1, 1.20],  # under the jaw
        [-12.3, 3.9, 5.10, -9.8, -0.8, 1.10],  # throat
        [-14.5, 3.5, 5.15, -12.6, -1.5, 1.00],  # neck
        [-17.5, 3.7, 5.6, -16.6, -1.8, 1.00],
        [-20.5, 4.5, 6.8, -20.0, -2.0, 1.00],  # below the collar
    ]
)
CROWN_CENTRE_Y, CROWN_CENTRE_Z, CROWN_HEIGHT, CROWN_DEPTH = 3.0, -1.0, 8.45, 10.3
MOUTH_Y = -6.9
JAW_ROW_Y = -11.25


@dataclass(frozen=True)
class HeadShape:
    """The proportions of one person, as factors (1 = average) or centimetres."""

    width: float = 1.0
    jaw_width: float = 1.0
    length: float = 1.0  # of the part below the eyes
    neck_width: float = 0.95
    chin: float = 1.0  # how far the chin stands out
    nose_length: float = 1.0
    nose_width: float = 1.0
    nose_height: float = 1.0
    brow_ridge: float = 1.0
    cheeks: float = 1.0
    eye_distance_cm: float = 3.15  # centre of an eye from the middle
    eye_half_length_cm: float = 1.48
    eye_tilt: float = 0.06  # outer corner higher than the inner one
    eye_open_cm: float = 0.60
    mouth_half_width_cm: float = 2.55
    upper_lip_cm: float = 0.72
    lower_lip_cm: float = 0.95
    cupid: float = 1.0
    folds: float = 0.4  # depth of the folds that age draws


@dataclass(frozen=True)
class Head:
    """A neutral head: points float32 (R, C, 3) in cm.

    Rows < `split` are above the mouth line, the rest below it; rows > `jaw_row` are throat and neck.
    """

    points: np.ndarray
    split: int
    jaw_row: int
    shape: HeadShape
    canvas_xy: np.ndarray  # float32 (R, C, 2) cm: where each point lies on the canvas
    surface: np.ndarray  # float32 (Hc/4, Wc/4, 3) cm: the point that each part of the canvas covers


def gauss(x: np.ndarray, centre: np.ndarray | float, spread: float) -> np.ndarray:
    """A bell of height 1."""
    return np.exp(-0.5 * ((x - centre) / spread) ** 2)


def smooth_step(x: np.ndarray, low: np.ndarray | float, high: np.ndarray | float) -> np.ndarray:
    """0 below low, 1 above high, smooth between (either order of low and high)."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def smooth_interpolate(x: np.ndarray, xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
    """Monotone cubic (Fritsch & Carlson 1980) through (xs (K,), ys (K, …)), xs rising, read at x (N,)."""
    h = np.diff(xs)
    shape = (-1,) + (1,) * (ys.ndim - 1)
    slope = np.diff(ys, axis=0) / h.reshape(shape)
    tangent = np.concatenate([slope[:1], (slope[1:] + slope[:-1]) / 2, slope[-1:]])
    same = slope[1:] * slope[:-1] > 0
    limit = 3.0 * np.minimum(np.abs(slope[1:]), np.abs(slope[:-1]))
    tangent[1:-1] = np.where(same, np.clip(tangent[1:-1], -limit, limit), 0.0)
    i = np.clip(np.searchsorted(xs, x) - 1, 0, len(h) - 1)
    t = ((x - xs[i]) / h[i]).reshape(shape)
    step = h[i].reshape(shape)
    return (
        ys[i] * (1 + 2 * t) * (1 - t) ** 2
        + step * tangent[i] * t * (1 - t) ** 2
        + ys[i + 1] * t * t * (3 - 2 * t)
        + step * tangent[i + 1] * t * t * (t - 1)
    )


def lip_borders(x: np.ndarray | np.float64, shape: HeadShape) -> tuple[np.ndarray, np.ndarray]:
    """Height of the red of the upper and of the lower lip above and below the mouth line, at x, in cm."""
    s = np.abs(x) / shape.mouth_half_width_cm
    inside = np.clip(1.0 - s**2, 0.0, None)
    bow = 1.0 - 0.20 * shape.cupid * gauss(s, 0.0, 0.085) + 0.07 * shape.cupid * gauss(s, 0.24, 0.12)
    upper = shape.upper_lip_cm * inside**0.85 * bow * (1.0 - 0.12 * s)
    lower = shape.lower_lip_cm * inside**0.66 * (1.0 - 0.06 * s)
    return upper, lower


def mouth_line_y(x: np.ndarray | np.float64, shape: HeadShape) -> np.ndarray:
    """Height of the line where closed lips meet, in cm."""
    s = np.clip(np.abs(x) / shape.mouth_half_width_cm, 0.0, 1.3)
    return MOUTH_Y * shape.length + 0.05 * gauss(s, 0.45, 0.2) - 0.05 * gauss(s, 0.0, 0.15) - 0.03 * s**2


def _levels(shape: HeadShape) -> np.ndarray:
    table = LEVELS.copy()
    below = table[:, 0] < 0
    table[below, 0] *= shape.length
    table[below, 3] *= shape.length
    table[:, 2] *= shape.width
    jaw = smooth_step(table[:, 0], -3.0, -8.0) * smooth_step(table[:, 0], -16.0, -12.5)
    table[:, 2] *= 1.0 + (shape.jaw_width - 1.0) * jaw
    neck = smooth_step(table[:, 0], -11.5, -12.5) * smooth_step(table[:, 0], -21.0, -16.0)
    table[:, 2] *= 1.0 + (shape.neck_width - 1.0) * neck
    table[:, 1] += (shape.chin - 1.0) * 1.2 * gauss(table[:, 0], -10.2 * shape.length, 1.2)
    angles = np.linspace(np.pi / 2 - 0.02, np.deg2rad(4), 14)
    crown = np.stack(
        [
            CROWN_CENTRE_Y + CROWN_HEIGHT * np.sin(angles),
            CROWN_CENTRE_Z + CROWN_DEPTH * np.cos(angles),
            table[0, 2] * np.cos(angles) ** 0.92,
            CROWN_CENTRE_Y + CROWN_HEIGHT * np.sin(angles),
            np.full_like(angles, CROWN_CENTRE_Z),
            np.full_like(angles, 1.0),
        ],
        axis=1,
    )
    return np.concatenate([crown, table])


def _row_heights(shape: HeadShape) -> tuple[np.ndarray, np.ndarray]:
    """Where the rows stand on the front: y (R_upper,), y (R_lower,). The last upper is the first lower: the mouth."""
    mouth = MOUTH_Y * shape.length
    crown = CROWN_CENTRE_Y + CROWN_HEIGHT * np.sin(np.linspace(np.pi / 2 - 0.02, np.deg2rad(4), 26))
    face = np.linspace(crown[-1], -3.2 * shape.length, 50)[1:]
    nose = np.linspace(face[-1], -4.95 * shape.length, 20)[1:]
    lip = mouth + (nose[-1] - mouth) * np.linspace(1, 0, 28)[1:] ** 1.25
    low = mouth + (-9.2 * shape.length - mouth) * np.linspace(0, 1, 32) ** 1.25
    chin = np.linspace(low[-1], JAW_ROW_Y * shape.length, 22)[1:]
    neck = JAW_ROW_Y * shape.length + (-20.5 - JAW_ROW_Y) * shape.length * np.linspace(0, 1, 30)[1:] ** 1.4
    return np.concatenate([crown, face, nose, lip]), np.concatenate([low, chin, neck])


def _column_angles() -> np.ndarray:
    side = np.concatenate([np.linspace(0, 0.46, 27), np.linspace(0.46, 1.05, 20)[1:], np.linspace(1.05, 2.1, 20)[1:]])
    return np.concatenate([-side[:0:-1], side])


def _nose(x: np.ndarray, y: np.ndarray, shape: HeadShape) -> np.ndarray:
    level = y / shape.length / shape.nose_length
    heights = np.array([-5.3, -4.9, -4.7, -4.45, -4.1, -3.7, -3.2, -2.4, -1.2, -0.2, 0.7, 1.6])
    ridge = np.array([0.0, 0.06, 0.42, 1.25, 2.12, 2.40, 2.18, 1.70, 1.00, 0.42, 0.10, 0.0]) * shape.nose_height
    spread = np.array([0.50, 0.46, 0.50, 0.76, 0.90, 0.90, 0.80, 0.72, 0.72, 0.76, 0.95, 1.2])
    spread = spread * (0.5 + 0.5 * shape.nose_width)
    flat = np.clip(level.ravel(), heights[0], heights[-1])
    both = smooth_interpolate(flat, heights, np.stack([ridge, spread], axis=1)).reshape(*x.shape, 2)
    body = both[..., 0] * np.exp(-((np.abs(x) / both[..., 1] / 1.12) ** 2))
    wing_x = 1.18 * shape.nose_width
    wing = ((np.abs(x) - wing_x) / 0.54) ** 2 + ((level + 4.20 - 0.10 * (np.abs(x) - wing_x)) / 0.50) ** 2
    wings = 0.78 * np.exp(-(wing**1.25))
    nostrils = gauss(np.abs(x), 0.62 * shape.nose_width, 0.24) * gauss(level, -4.66, 0.13)
    return np.maximum(body, 0) + 1.0 * wings * (1 - 0.35 * np.exp(-((np.abs(x) / 0.7) ** 4))) - 0.30 * nostrils


def _lips(x: np.ndarray, y: np.ndarray, shape: HeadShape) -> np.ndarray:
    above = y - mouth_line_y(x, shape)
    upper, lower = lip_borders(x, shape)
    s = np.clip(np.abs(x) / shape.mouth_half_width_cm, 0, 1)
    across = (1 - s**2) ** 0.7
    rel_up = np.clip(above / np.maximum(upper, 0.06), 0, 3)
    rel_low = np.clip(-above / np.maximum(lower, 0.06), 0, 3)
    bulge_up = np.where(rel_up < 1, np.sin(np.pi * np.clip(0.16 + 0.62 * rel_up, 0, 1)), 0.68 * np.exp(-(rel_up - 1)))
    bulge_low = np.where(
        rel_low < 1, np.sin(np.pi * np.clip(0.14 + 0.66 * rel_low, 0, 1)), 0.588 * np.exp(-1.6 * (rel_low - 1))
    )
    full = np.where(
        above >= 0,
        0.46 * (0.55 + 0.45 * shape.upper_lip_cm / 0.72) * bulge_up,
        0.56 * (0.55 + 0.45 * shape.lower_lip_cm / 0.95) * bulge_low,
    )
    corner = np.asarray(sum(gauss(x, side * (shape.mouth_half_width_cm + 0.12), 0.30) for side in (-1, 1)))
    arch = -0.055 * np.clip(np.abs(x), 0, 3.2) ** 2 * gauss(above, 0.0, 1.7)
    return full * across - 0.28 * corner * gauss(above, 0.0, 0.42) + arch


def relief(x: np.ndarray, y: np.ndarray, shape: HeadShape) -> np.ndarray:
    """What nose, sockets, brows, cheeks, lips and chin add along z, in cm, at x, y (any one shape)."""
    level = y / shape.length
    ax = np.abs(x)
    z = _nose(x, y, shape) + _lips(x, y, shape)
    z -= 1.05 * gauss(ax, shape.eye_distance_cm - 0.25, 1.45) * gauss(y, 0.12, 0.85)
    z -= 0.35 * gauss(ax, 1.5, 0.5) * gauss(y, 0.35, 0.7)
    z += 0.62 * np.exp(-((ax - shape.eye_distance_cm) ** 2 / 1.30 + (y + 0.02) ** 2 / 0.85))
    z += (0.30 * shape.brow_ridge) * gauss(ax, 2.7, 1.5) * gauss(y, 1.75, 0.55)
    z += 0.50 * shape.cheeks * gauss(ax, 4.3, 1.5) * gauss(level, -2.9, 1.3)
    z -= 0.45 * gauss(ax, 5.0, 1.1) * gauss(level, -6.6, 1.7) * (1.6 - shape.cheeks * 0.6)
    philtrum = gauss(level, -5.55, 0.42)
    z += philtrum * (0.07 * gauss(ax, 0.52, 0.2) - 0.10 * gauss(x, 0.0, 0.24))
    z -= 0.34 * gauss(x, 0.0, 1.7) * gauss(level, -8.55, 0.42)
    z += 0.62 * shape.chin * gauss(x, 0.0, 1.55) * gauss(level, -10.0, 0.85)
    fold_x = 1.75 + (-4.2 - level) * 0.46
    fold = (
        gauss(ax, 0.0, 99.0)
        * gauss(ax - fold_x, 0.0, 0.28)
        * smooth_step(level, -8.0, -6.6)
        * smooth_step(level, -3.6, -4.5)
    )
    cheek_side = np.exp(-np.clip(ax - fold_x, 0, None) / 0.9) * (ax > fold_x)
    z += shape.folds * (
        -0.16 * fold + 0.12 * cheek_side * smooth_step(level, -7.6, -6.2) * smooth_step(level, -3.4, -4.4)
    )
    tendon = 4.3 + (level + 12.6) * 0.62
    z += 0.30 * gauss(ax - tendon, 0.0, 0.6) * smooth_step(level, -12.0, -13.2) * smooth_step(level, -18.5, -17.0)
    z += 0.18 * gauss(x, 0.0, 0.9) * gauss(level, -13.6, 0.7)
    bag = gauss(ax, shape.eye_distance_cm - 0.1, 0.9)
    z += shape.folds * bag * (0.07 * gauss(y, -0.95, 0.22) - 0.06 * gauss(y, -1.35, 0.2))
    return z


def build_head(shape: HeadShape) -> Head:
    """Lay the grid, add the relief. Two rows share the mouth line: the last of the upper and the first of the lower."""
    upper, lower = _row_heights(shape)
    heights = np.concatenate([upper, lower])
    table = _levels(shape)[::-1]
    table = table[np.argsort(table[:, 0])]
    row = smooth_interpolate(heights, table[:, 0], table)
    theta = _column_angles()[None, :]
    side, front = np.abs(np.sin(theta)), np.cos(theta)
    w, z_front, z_side, b = row[:, 2:3], row[:, 1:2], row[:, 4:5], row[:, 5:6]
    rise = np.where(np.abs(theta) < np.pi / 2, side**3, 1.0)
    x = w * np.sin(theta)
    y = row[:, 0:1] + (row[:, 3:4] - row[:, 0:1]) * rise
    forward = np.sign(front) * np.abs(front) ** np.where(front > 0, b, 1.0)
    z = z_side + np.where(front > 0, z_front - z_side, 9.0) * forward
    mouth_shift = mouth_line_y(x, shape) - y[len(upper) - 1]
    near = gauss(heights[:, None], MOUTH_Y * shape.length, 1.1) * (np.abs(theta) < 1.0)
    y = y + near * mouth_shift * smooth_step(np.abs(x), 4.6, 2.6)
    front_only = smooth_step(front, 0.05, 0.35)
    z = z + relief(x, y, shape) * front_only
    points = np.stack([x, y, z], axis=-1).astype(np.float32)
    wrapped = np.concatenate([w * _unrolled(theta), y], axis=1).reshape(len(y), 2, -1).transpose(0, 2, 1)
    canvas_xy = np.ascontiguousarray(wrapped, np.float32)
    jaw_row = int(np.argmin(np.abs(heights - JAW_ROW_Y * shape.length)))
    return Head(points, len(upper), jaw_row, shape, canvas_xy, _surface(points, canvas_xy))


def _unrolled(theta: np.ndarray) -> np.ndarray:
    """Sin θ at the front; beyond 50° it goes on rising at the same slope, so that sides and back have canvas too."""
    turn = np.deg2rad(50.0)
    beyond = np.sin(turn) + (np.abs(theta) - turn) * np.cos(turn)
    return np.where(np.abs(theta) < turn, np.sin(theta), np.sign(theta) * beyond)


CANVAS_PX_PER_CM = 42.0
CANVAS_LEFT_CM, CANVAS_TOP_CM, CANVAS_WIDTH_CM, CANVAS_HEIGHT_CM = -11.5, 12.2, 23.0, 32.0


def canvas_size() -> tuple[int, int]:
    """(height, width) in px of the front canvas on which skin, hair and depth are painted."""
    return int(CANVAS_HEIGHT_CM * CANVAS_PX_PER_CM), int(CANVAS_WIDTH_CM * CANVAS_PX_PER_CM)


def canvas_grid() -> tuple[np.ndarray, np.ndarray]:
    """X and y in cm of every canvas pixel, float32 (Hc, Wc) each."""
    height, width = canvas_size()
    x = CANVAS_LEFT_CM + (np.arange(width, dtype=np.float32) + 0.5) / CANVAS_PX_PER_CM
    y = CANVAS_TOP_CM - (np.arange(height, dtype=np.float32) + 0.5) / CANVAS_PX_PER_CM
    return np.broadcast_to(x, (height, width)), np.broadcast_to(y[:, None], (height, width))


def to_canvas(x: Any, y: Any) -> tuple[Any, Any]:
    """Centimetres, numbers or arrays, to canvas pixels (column, row)."""
    return (x - CANVAS_LEFT_CM) * CANVAS_PX_PER_CM - 0.5, (CANVAS_TOP_CM - y) * CANVAS_PX_PER_CM - 0.5


def _surface(points: np.ndarray, canvas_xy: np.ndarray) -> np.ndarray:
    """The canvas's own points at a quarter of its resolution; pixels that no point covers take their neighbours'."""
    dense = cv2.resize(np.dstack([points, canvas_xy]), None, fx=5, fy=5, interpolation=cv2.INTER_LINEAR)
    height, width = (side // 4 for side in canvas_size())
    column, row = to_canvas(dense[..., 3], dense[..., 4])
    column, row = (column / 4).astype(int), (row / 4).astype(int)
    keep = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    index = (row * width + column)[keep]
    count = np.bincount(index, minlength=height * width).astype(np.float32)
    total = np.stack([np.bincount(index, dense[..., i][keep], height * width) for i in range(3)], -1)
    total = total.reshape(height, width, 3).astype(np.float32)
    count = count.reshape(height, width)
    surface = np.where(count[..., None] > 0, total / np.maximum(count, 1)[..., None], 0.0)
    weight = (count > 0).astype(np.float32)
    known = weight > 0
    for spread in (2.0, 6.0, 30.0, 120.0):
        soft = cv2.GaussianBlur(weight * known, (0, 0), spread)
        filled = cv2.GaussianBlur(surface * known[..., None], (0, 0), spread) / np.maximum(soft, 1e-6)[..., None]
        new = ~known & (soft > 1e-3)
        surface = np.where(new[..., None], filled, surface)
        known, weight = known | new, np.ones_like(weight)
    return surface.astype(np.float32)
