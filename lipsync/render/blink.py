"""Let a photo blink: the skin above the eye is stretched down over it, and the lashes with it.

Along an eye, a from corner to corner and d downwards, the upper lid's edge lies at T(a), the lower's at B(a): cubics
through the landmarks. Closed by c the edge lies at T′ = T + c·(B − T), and the skin from T − H to T covers T − H to T′:

    d ↦ (T − H) + (d − T + H)·H/(H + T′ − T)      for T − H < d < T′;      everything else stays

Blinks come every few seconds, seeded, and last about a quarter of a second: closing is twice as fast as opening
(Evinger et al. 1991).
"""

import cv2
import numpy as np

from lipsync.faces.detect import FaceDetector
from lipsync.faces.follow import read_stretch
from lipsync.render.plan import Plan

EYES = (slice(0, 6), slice(6, 12))  # of twelve landmarks: outer corner, upper lid, inner corner, lower lid
_LEAST_OPEN = 0.045  # inter-ocular distances: eyes that are hardly open do not blink
_LID = 1.1  # H, of the eye's height
_LEFT = 0.04  # of the eye's height stays open: the lashes
_GAP_S, _MOST_GAP_S, _FIRST_S = (1.6, 2.6), 8.0, 0.8
_CLOSE_S, _HOLD_S, _OPEN_S = 0.08, 0.05, 0.16
_FINER = 2  # the edge of a lid is drawn at this multiple of the resolution


class Blinks:
    """Moves the lids of a still picture.

    Args:
        eyes: (12, 2) px, the 68 landmarks' eyes.
        unit_px: distance between the eyes.
    """

    def __init__(self, eyes: np.ndarray, unit_px: float, seed: int) -> None:
        self.eyes = [_Eye(eyes[part].astype(np.float64)) for part in EYES]
        self.able = min(eye.height for eye in self.eyes) >= _LEAST_OPEN * unit_px
        self.rng = np.random.default_rng([seed, 7])
        self.starts_s = [_FIRST_S + float(self.rng.uniform(0, 2))]

    def closing(self, time_s: float) -> float:
        """How far the eyes are closed at a time: 0…1. One seed gives the same blinks, whatever was asked before."""
        while self.starts_s[-1] < time_s:
            least, mean = _GAP_S
            self.starts_s.append(self.starts_s[-1] + min(_MOST_GAP_S, least + float(self.rng.exponential(mean))))
        since = min((time_s - start for start in self.starts_s if start <= time_s), default=np.inf)
        edges = np.cumsum([0.0, _CLOSE_S, _HOLD_S, _OPEN_S])
        x = float(np.interp(since, edges, [0.0, 1.0, 1.0, 0.0], right=0.0))
        return x * x * (3 - 2 * x)

    def move(self, image: np.ndarray, time_s: float) -> np.ndarray:
        """The picture uint8 (H, W, 3) at a time; itself while the eyes are open."""
        closed = self.closing(time_s) if self.able else 0.0
        if closed <= 0.01:
            return image
        out = image.copy()
        for eye in self.eyes:
            eye.close(out, closed)
        return out


def find_eyes(plan: Plan, detector: FaceDetector) -> np.ndarray | None:
    """The eyes (12, 2) px of the face that was planned in a photo; None where it is not found again."""
    image = next(read_stretch(plan, 0, 1))
    detector.reset()
    faces = [face.landmarks for face in detector.detect(image)]
    if not faces:
        return None
    middle = plan.pose.translation[0, :2]
    near = min(faces, key=lambda face: float(np.linalg.norm(face[36:48, :2].mean(0) - middle)))
    return near[36:48, :2]


class _Eye:
    """One eye: its axes, its lids and the part of the picture that a blink changes."""

    def __init__(self, points: np.ndarray) -> None:
        self.corner, across = points[0], points[3] - points[0]
        self.width = float(np.linalg.norm(across))
        along = across / max(self.width, 1e-6)
        down = np.array([-along[1], along[0]])
        self.axes = np.stack([along, down if down[1] > 0 else -down])
        placed = (points - self.corner) @ self.axes.T / [max(self.width, 1e-6), 1.0]
        self.top = np.polyfit(placed[[0, 1, 2, 3], 0], placed[[0, 1, 2, 3], 1], 3)
        self.bottom = np.polyfit(placed[[0, 5, 4, 3], 0], placed[[0, 5, 4, 3], 1], 3)
        a = np.linspace(0, 1, 21)
        self.height = float((np.polyval(self.bottom, a) - np.polyval(self.top, a)).max())
        self.reach_px = self.width + (_LID + 1) * self.height

    def close(self, image: np.ndarray, closed: float) -> None:
        """Draw the eye closed by 0…1 into the picture."""
        middle = self.corner + self.axes[0] * self.width / 2
        low = np.maximum(np.floor(middle - self.reach_px).astype(int), 0)
        high = np.minimum(np.ceil(middle + self.reach_px).astype(int) + 1, image.shape[1::-1])
        if (high - low).min() < 2:
            return
        size = (high - low) * _FINER
        x = (np.arange(size[0]) + 0.5) / _FINER - 0.5 + low[0]
        y = (np.arange(size[1]) + 0.5) / _FINER - 0.5 + low[1]
        place = np.stack(np.meshgrid(x, y), -1) - self.corner
        a, d = place @ self.axes[0] / self.width, place @ self.axes[1]
        shift = (self._source(np.clip(a, 0, 1), d, closed) - d) * ((a > 0) & (a < 1))
        moved = (place + shift[..., None] * self.axes[1] + self.corner).astype(np.float32)
        fine = cv2.remap(image, moved[..., 0], moved[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        there = image[low[1] : high[1], low[0] : high[0]]
        drawn, changed = (
            cv2.resize(part, there.shape[1::-1], interpolation=cv2.INTER_AREA)
            for part in (fine, (np.abs(shift) > 1e-3).astype(np.float32))
        )
        there[:] = np.where(changed[..., None] > 0, drawn, there)

    def _source(self, a: np.ndarray, d: np.ndarray, closed: float) -> np.ndarray:
        """Where what is at (a, d) comes from."""
        top, bottom = np.polyval(self.top, a), np.polyval(self.bottom, a)
        fall = closed * np.maximum(0, bottom - top - _LEFT * self.height)
        lid = _LID * self.height
        begin = top - lid
        inside = (d > begin) & (d < top + fall)
        return np.where(inside, begin + (d - begin) * lid / (lid + fall), d)
