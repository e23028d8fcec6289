"""Move the head's points as a mouth shape says, and say exactly where the 68 landmarks are.

The mandible turns about the axis of the jaw joints; the two rows that share the mouth line are then placed by hand
(lower row = upper row − gap·(1 − s²)^0.6, s the distance from the middle over half the mouth's width), and what lies
between line, nose and chin follows by smooth weights. A gap of 0 is therefore a mouth closed exactly.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from data_prep.actors.geometry import Head, lip_borders, mouth_line_y, smooth_step, to_canvas

JOINT_Y_CM, JOINT_Z_CM = -1.6, 0.6


@dataclass(frozen=True)
class MouthShape:
    """One mouth shape. Lengths in cm; the rest 0…1, `width` −1 (narrow) … 1 (spread)."""

    jaw_cm: float = 0.0  # drop of the lower teeth
    gap_cm: float = 0.0  # between the lips, in the middle
    width: float = 0.0
    rounding: float = 0.0  # lips pushed forward
    press: float = 0.0  # lips pressed together
    tuck: float = 0.0  # lower lip under the upper teeth
    tongue: float = 0.0  # tip raised behind the upper teeth
    tongue_out: float = 0.0  # tip between the teeth
    skew: float = 0.0  # one corner higher than the other, cm


class Expression:
    """Weights of one head, computed once; `deform` then moves its points."""

    def __init__(self, head: Head) -> None:
        self.head = head
        x, y, self._z = (head.points[..., i].astype(np.float32) for i in range(3))
        shape, rows = head.shape, len(head.points)
        self._x, self._y = x, y
        lower = np.arange(rows)[:, None] >= head.split
        line = mouth_line_y(x, shape).astype(np.float32)
        s = np.abs(x) / shape.mouth_half_width_cm
        middle = smooth_step(s, 1.7, 1.0)
        level = y / shape.length
        side = smooth_step(level, -3.0, -8.6)
        front = smooth_step(self._z, -1.5, 2.5)
        jaw = np.where(lower, side + (1 - side) * middle, side * (1 - middle)) * front
        # Under the jaw line the skin of the throat follows less and less.
        self._jaw = jaw * (1.0 - smooth_step(level, -11.6, -15.0))
        distance = np.abs(y - line)
        reach = np.where(lower, smooth_step(distance, 2.7, 0.35), smooth_step(distance, 2.0, 0.25))
        self._line = (smooth_step(s, 2.4, 1.7) * reach * front).astype(np.float32)
        self._inside = np.clip(1.0 - s**2, 0.0, None) ** 0.6
        self._s = np.clip(s, 0, 1).astype(np.float32)
        self._lower = lower
        upper_height, lower_height = lip_borders(x, shape)
        height = np.where(lower, lower_height, upper_height)
        relative = distance / np.maximum(height, 0.15)
        self._border = (height * relative * np.exp(1.0 - relative) * np.where(lower, -1, 1) * front).astype(np.float32)
        self._around = (np.exp(-((s / 1.45) ** 4)) * np.exp(-((distance / 2.4) ** 4)) * front).astype(np.float32)
        self._push = (np.exp(-((s / 1.05) ** 2)) * np.exp(-((distance / 1.35) ** 2)) * front).astype(np.float32)
        self._cheek = (np.exp(-(((s - 1.75) / 0.45) ** 2)) * np.exp(-(((level + 5.9) / 1.6) ** 2)) * front).astype(
            np.float32
        )

    def deform(self, mouth: MouthShape) -> np.ndarray:
        """Points float32 (R, C, 3) in cm of the head with this mouth."""
        angle = mouth.jaw_cm / 9.6
        dy, dz = self._y - JOINT_Y_CM, self._z - JOINT_Z_CM
        jaw_y = (np.cos(angle) - 1) * dy - np.sin(angle) * dz
        jaw_z = np.sin(angle) * dy + (np.cos(angle) - 1) * dz
        open_share = mouth.gap_cm / (mouth.gap_cm + 0.4)
        lift = 0.17 * mouth.gap_cm + 0.10 * mouth.tuck - 0.22 * mouth.jaw_cm * (1 - open_share)
        corner = -0.34 * mouth.jaw_cm - 0.05 * mouth.rounding + 0.10 * max(mouth.width, 0.0)
        line_y = lift + (corner - lift) * self._s**2.2 + mouth.skew * self._x / self.head.shape.mouth_half_width_cm
        line_y = line_y - np.where(self._lower, mouth.gap_cm * self._inside, 0.0)
        line_z = jaw_z * np.where(self._lower, 0.75 * open_share + 0.15, 0.15) - 0.12 * mouth.press * self._inside
        line_z = line_z - np.where(self._lower, 0.42 * mouth.tuck, 0.0) * self._inside
        keep = 1.0 - self._line
        y = self._y + keep * self._jaw * jaw_y + self._line * line_y
        z = self._z + keep * self._jaw * jaw_z + self._line * line_z
        thickness = 0.16 * mouth.rounding - 0.34 * mouth.press - 0.10 * min(mouth.gap_cm, 1.6) / 1.6
        thickness = thickness - 0.10 * max(mouth.width, 0.0)
        y = y + self._border * (thickness - np.where(self._lower, 0.30 * mouth.tuck, 0.0))
        z = z + 0.75 * mouth.rounding * self._push + 0.10 * max(mouth.width, 0.0) * self._cheek
        scale = 0.13 * mouth.width if mouth.width > 0 else 0.36 * mouth.width
        x = self._x * (1.0 + (scale - 0.035 * mouth.jaw_cm) * self._around)
        z = z - 0.55 * max(mouth.width, 0.0) * 0.13 * np.abs(self._x) * self._around
        return np.stack([x, y, z], axis=-1).astype(np.float32)


JAW_ANGLES_DEG = (-84, -84, -84, -80, -67, -53, -37, -19, 0)
LID_POSITIONS = (-1.0, -0.42, 0.38, 1.0)  # along an eye from its picture-left corner: corner, two on each lid, corner


def _locate(points: np.ndarray, x: float, y: float, first: int, last: int) -> tuple[float, float]:
    """Grid (row, column) of the front point nearest to (x, y) between rows first and last."""
    part = points[first:last]
    near = np.hypot(part[..., 0] - x, part[..., 1] - y) + np.where(part[..., 2] < -1.0, 9.0, 0.0)
    row, column = np.unravel_index(int(np.argmin(near)), near.shape)
    r0, r1 = max(row - 1, 0), min(row + 1, part.shape[0] - 1)
    c0, c1 = max(column - 1, 0), min(column + 1, part.shape[1] - 1)
    rows, columns = np.meshgrid(np.linspace(r0, r1, 41, dtype=np.float32), np.linspace(c0, c1, 41, dtype=np.float32))
    fine = cv2.remap(np.ascontiguousarray(part[..., :2]), columns, rows, cv2.INTER_LINEAR)
    best = np.unravel_index(int(np.argmin(np.hypot(fine[..., 0] - x, fine[..., 1] - y))), rows.shape)
    return first + float(rows[best]), float(columns[best])


class LandmarkMap:
    """Where the 48 landmarks that ride on the skin lie on the grid; the 12 of the eyes come from the lids' curves."""

    def __init__(self, head: Head) -> None:
        shape, points, rows = head.shape, head.points, len(head.points)
        self._head = head
        length = shape.length
        places: list[tuple[float, float]] = []
        left_side = []
        for level, angle in zip((1.2, -1.5, -3.6), JAW_ANGLES_DEG[:3], strict=True):
            left_side.append(self._on_side(level * length, angle))
        left_side += [self._on_row(-11.15 * length, angle) for angle in JAW_ANGLES_DEG[3:]]
        middle = (points.shape[1] - 1) / 2
        places += left_side + [(r, 2 * middle - c) for r, c in left_side[-2::-1]]
        e = shape.eye_distance_cm
        brow = [(-e - 2.05, 1.62), (-e - 1.25, 2.14), (-e - 0.3, 2.30), (-e + 0.75, 2.14), (-e + 1.65, 1.86)]
        nose_y = [y * length * shape.nose_length for y in (0.25, -1.1, -2.4, -3.75, -4.72)]
        n = shape.nose_width
        self._free = brow + [(-x, y) for x, y in brow[::-1]]
        xy = [(0.0, y) for y in nose_y[:4]] + [
            (x * n, nose_y[4] + d) for x, d in ((-1.35, 0.35), (-0.7, 0.1), (0.0, 0.0), (0.7, 0.1), (1.35, 0.35))
        ]
        w = shape.mouth_half_width_cm
        top = [(-1.0, 0), (-0.62, 1), (-0.25, 1), (0.0, 1), (0.25, 1), (0.62, 1), (1.0, 0)]
        bottom = [(0.62, -1), (0.28, -1), (0.0, -1), (-0.28, -1), (-0.62, -1)]
        nose = [_locate(points, x, y, 0, head.split) for x, y in xy]
        outer = []
        for s, side in top + bottom:
            x = s * w
            up, low = (float(v) for v in lip_borders(np.float64(x), shape))
            y = float(mouth_line_y(np.float64(x), shape)) + (up if side > 0 else -low if side < 0 else 0.0)
            outer.append(_locate(points, x, y, *((head.split, rows) if side < 0 else (0, head.split))))
        inner = [
            self._on_line(s * w, lower)
            for s, lower in ((-0.86, 0), (-0.26, 0), (0.0, 0), (0.26, 0), (0.86, 0), (0.26, 1), (0.0, 1), (-0.26, 1))
        ]
        grid = np.array(places + nose + outer + inner, dtype=np.float32)
        self._rows, self._columns = grid[:, 0:1].copy(), grid[:, 1:2].copy()

    def _on_line(self, x: float, lower: int) -> tuple[float, float]:
        row = self._head.split - 1 + lower
        xs = self._head.points[row, :, 0]
        middle = slice(len(xs) // 4, -(len(xs) // 4))
        return float(row), float(np.interp(x, xs[middle], np.arange(len(xs))[middle]))

    def _column(self, angle_deg: float) -> float:
        points = self._head.points
        centre = points[self._head.split + 2]
        angle = np.arcsin(np.clip(centre[:, 0] / np.abs(centre[:, 0]).max(), -1, 1))
        front = np.abs(centre[:, 0]).argmax()
        middle = (points.shape[1] - 1) // 2
        first, last = min(front, 2 * middle - front), max(front, 2 * middle - front)
        return float(np.interp(np.deg2rad(angle_deg), angle[first : last + 1], np.arange(first, last + 1)))

    def _on_row(self, y: float, angle_deg: float) -> tuple[float, float]:
        column = self._column(angle_deg)
        heights = self._head.points[:, (self._head.points.shape[1] - 1) // 2, 1]
        return float(np.interp(-y, -heights, np.arange(len(heights)))), column

    def _on_side(self, y: float, angle_deg: float) -> tuple[float, float]:
        column = self._column(angle_deg)
        heights = self._head.points[:, round(column), 1]
        return float(np.interp(-y, -heights, np.arange(len(heights)))), column

    def skin_points(self, points: np.ndarray) -> np.ndarray:
        """float32 (46, 3) cm: jaw 17, nose 9, outer lips 12, inner lips 8, of deformed points (R, C, 3)."""
        split = self._head.split
        # Never interpolate across the mouth line.
        upper = cv2.remap(points[:split], self._columns, self._rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        lower = cv2.remap(
            points[split:], self._columns, self._rows - split, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return np.where(self._rows[..., None] < split - 0.5, upper, lower)[:, 0]

    def free_points(self, xy: np.ndarray) -> np.ndarray:
        """float32 (K, 3) cm: points of the undeformed upper face at xy (K, 2), z read from the front."""
        column, row = to_canvas(xy[:, 0], xy[:, 1])
        depth = cv2.remap(
            np.ascontiguousarray(self._head.surface[..., 2]),
            (column / 4).astype(np.float32)[:, None],
            (row / 4).astype(np.float32)[:, None],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.concatenate([xy, depth.reshape(-1, 1)], axis=1).astype(np.float32)

    @property
    def brows(self) -> np.ndarray:
        """float64 (10, 2) cm: the neutral brows."""
        return np.array(self._free)
