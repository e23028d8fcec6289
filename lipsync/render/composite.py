"""Put a generated window back into its frame: match colours, feather, warp, blend.

    out = frame + α·(new − frame),      α = 0 at and outside the mask's edge
    new = warp(made + colour) + w·(frame − warp(true))

α is a product of smooth ramps s(d/feather), s(x) = 3x² − 2x³ of the distances d to the mask's four edges, evaluated at
the frame's own pixels, so the feather lies inside the mask and nothing outside is ever touched; and of a soft hull of
the lower face, old and new, so that what a mouth does not move (background, collar) stays the frame's own. `colour` is
the low-frequency difference between the true and the generated window in a ring just inside the mask's upper and side
edges, carried inwards by normalised convolution (Knutsson & Westin 1993) and smoothed over time. The second term is
what the window's resolution cannot hold: pores, hair, grain. It is kept where the generated window agrees with the true
one, w = exp(−(blur|made + colour − true| / _AGREE_LEVELS)²), and never on lips or in the mouth, old or new.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from lipsync.faces.align import JAW, OUTER_LIP
from lipsync.model.pixel import PixelModelConfig

_RING = 0.09  # width of the ring, of the window's side
_SPREAD = 0.14  # of the window's side: how far a colour difference carries
_MOST_LEVELS = 24.0  # a larger difference is another thing, not another light
_AGREE_LEVELS = 9.0  # a difference this large takes most of the source's fine detail away
_COARSE = 4  # colours are matched at this fraction of the window's resolution


@dataclass(frozen=True)
class Pasted:
    """A finished frame, and the largest absolute difference from the source outside the mask (must be 0)."""

    image: np.ndarray
    largest_outside: int


class Compositor:
    """Pastes windows frame after frame; `reset` where the next frame does not continue the last."""

    def __init__(self, model: PixelModelConfig, feather: float = 0.09, colour_smooth_frames: float = 4.0) -> None:
        size = self.size_px = model.size_px
        self.top, self.side = float(model.mask_top_px), float(model.mask_side_px)
        self.feather_px = max(1.0, feather * size)
        self.keep = float(np.exp(-1 / colour_smooth_frames)) if colour_smooth_frames > 0 else 0.0
        self.ring = _ring_weight(size, self.top, self.side)
        self.reset()

    def reset(self) -> None:
        """Forget the colours of the last frame."""
        self.colour: np.ndarray | None = None

    def paste(
        self,
        frame: np.ndarray,
        transform: np.ndarray,
        made: np.ndarray,
        true: np.ndarray,
        strength: float = 1.0,
        mouths: np.ndarray | None = None,
    ) -> Pasted:
        """One frame.

        Args:
            frame: uint8 (H, W, 3); not changed.
            transform: (2, 3) frame → window.
            made: float32 (S, S, 3), 0…255, generated.
            true: uint8 (S, S, 3), the frame's own window.
            strength: 0…1, fades the whole window.
            mouths: (n, 31, 2) window px, the mouth as it was and as it is wanted; None: the whole mask is replaced,
                with no fine detail of the frame.
        """
        out = frame.copy()
        box = window_box(transform, self.size_px, frame.shape)
        if box is None:
            return Pasted(out, 0)
        left, top, right, bottom = box
        matched = made + self._colour(made, true)
        detail = np.zeros(made.shape[:2], np.float32) if mouths is None else self._detail(matched, true, mouths)
        layers = unwarp(np.dstack([matched - detail[..., None] * true, detail]), transform, box)
        u, v = window_coordinates(transform, box)
        alpha = self.alpha(u, v)[..., None] * np.float32(strength)
        if mouths is not None:
            alpha *= np.clip(unwarp(face_reach(mouths, self.size_px), transform, box), 0, 1)[..., None]
        source = frame[top:bottom, left:right].astype(np.float32)
        new = layers[..., :3] + layers[..., 3:] * source
        blend = source + alpha * (new - source)
        out[top:bottom, left:right] = np.clip(np.rint(blend), 0, 255).astype(np.uint8)
        inside = np.logical_and.reduce([d >= 0 for d in self._distances(u, v)])
        return Pasted(out, largest_outside(frame, out, box, inside))

    def alpha(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """The blend at window coordinates: float32, 0 at and outside the mask's edges, 1 a feather inside them."""
        out = np.ones(u.shape, np.float32)
        for distance in self._distances(u, v):
            x = np.clip(distance / self.feather_px, 0, 1)
            out *= (x * x * (3 - 2 * x)).astype(np.float32)
        return out

    def _distances(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, ...]:
        """To the mask's left, right, top and bottom edges, px, positive inside. Pixel k covers k − ½ … k + ½."""
        last = self.size_px - 0.5
        return u - (self.side - 0.5), last - self.side - u, v - (self.top - 0.5), last - v

    def _detail(self, matched: np.ndarray, true: np.ndarray, mouths: np.ndarray) -> np.ndarray:
        """How much of the frame's finer detail is kept: float32 (S, S), 0…1."""
        apart = cv2.dilate(np.abs(matched - true).mean(2), np.ones((3, 3)))
        away = cv2.GaussianBlur(apart, (0, 0), self.size_px / 64)
        lips = _soft_hulls([mouth[OUTER_LIP] for mouth in mouths], self.size_px, self.size_px / 40, self.size_px / 64)
        return (np.exp(-((away / _AGREE_LEVELS) ** 2)) * (1 - lips)).astype(np.float32)

    def _colour(self, made: np.ndarray, true: np.ndarray) -> np.ndarray:
        """What to add to the generated window: float32 (S, S, 3)."""
        size = self.size_px // _COARSE
        difference = cv2.resize(true.astype(np.float32) - made, (size, size), interpolation=cv2.INTER_AREA)
        difference = np.clip(difference, -_MOST_LEVELS, _MOST_LEVELS)
        weight = self.ring[..., None]
        mean = (difference * weight).sum((0, 1)) / weight.sum()
        sigma, floor = _SPREAD * size, 1e-3
        above = cv2.GaussianBlur(difference * weight, (0, 0), sigma) + floor * mean.astype(np.float32)
        field = above / (cv2.GaussianBlur(self.ring, (0, 0), sigma)[..., None] + floor)
        smooth = field if self.colour is None else self.keep * self.colour + (1 - self.keep) * field
        self.colour = np.asarray(smooth, np.float32)
        return cv2.resize(self.colour, (self.size_px, self.size_px), interpolation=cv2.INTER_CUBIC)


def face_reach(mouths: np.ndarray, size_px: int) -> np.ndarray:
    """What a new mouth can change: 1 from the nose's base down to old and new jaw, softly 0 beyond: float32 (S, S).

    Args:
        mouths: (n, 31, 2) window px.
    """
    rise = 0.35 * (mouths[:, JAW][:, :, 1].max(1) - mouths[:, OUTER_LIP][:, :, 1].min(1))
    raised = mouths[:, JAW][:, [0, -1]] - np.stack([np.zeros_like(rise), rise], 1)[:, None]
    outline = np.concatenate([*mouths, *raised])
    return _soft_hulls([outline], size_px, size_px / 14, size_px / 40)


def _soft_hulls(outlines: list[np.ndarray], size_px: int, grow_px: float, soft_px: float) -> np.ndarray:
    """Convex hulls of outlines (P, 2), grown and softened: float32 (S, S), 0…1."""
    filled = np.zeros((size_px, size_px), np.uint8)
    for outline in outlines:
        cv2.fillConvexPoly(filled, cv2.convexHull(np.rint(outline).astype(np.int32)), 1)
    reach = 2 * max(1, round(grow_px)) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    return cv2.GaussianBlur(cv2.dilate(filled, disc).astype(np.float32), (0, 0), soft_px)


def largest_outside(frame: np.ndarray, out: np.ndarray, box: tuple[int, int, int, int], inside: np.ndarray) -> int:
    """The largest difference of two pictures where no mask is, found by comparing them: grey levels.

    Args:
        frame, out: uint8 (H, W, 3).
        box: left, top, right, bottom of the window; `inside` (h, w) says where in it the mask lies.
    """
    left, top, right, bottom = box
    difference = cv2.absdiff(frame, out)
    difference[top:bottom, left:right][inside] = 0
    return int(difference.max())


def _ring_weight(size: int, top: float, side: float) -> np.ndarray:
    """float32 (S/4, S/4): 1 in a ring inside the mask's top and sides, fading out below the mouth, where jaws move."""
    v, u = np.mgrid[0:size, 0:size].astype(np.float32)
    width = _RING * size
    near_top = (v >= top) & (v < top + width)
    near_side = ((u >= side) & (u < side + width)) | ((u < size - side) & (u >= size - side - width))
    ring = (near_top | (near_side & (v >= top))) & (u >= side) & (u < size - side)
    fade = np.clip((0.75 * size - v) / (0.25 * size), 0.05, 1)
    return cv2.resize(ring * fade, (size // _COARSE,) * 2, interpolation=cv2.INTER_AREA).astype(np.float32)


def window_box(transform: np.ndarray, size_px: int, shape: tuple[int, ...]) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom (exclusive) of the frame's pixels that the window covers; None when it covers none."""
    corners = np.array([[-0.5, -0.5], [size_px - 0.5, -0.5], [-0.5, size_px - 0.5], [size_px - 0.5, size_px - 0.5]])
    inverse = cv2.invertAffineTransform(np.asarray(transform, np.float64))
    placed = corners @ inverse[:, :2].T + inverse[:, 2]
    low, high = np.floor(placed.min(0)).astype(int), np.ceil(placed.max(0)).astype(int) + 1
    left, top = max(int(low[0]), 0), max(int(low[1]), 0)
    right, bottom = min(int(high[0]), shape[1]), min(int(high[1]), shape[0])
    return (left, top, right, bottom) if right > left and bottom > top else None


def window_coordinates(transform: np.ndarray, box: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Window coordinates u, v (h, w) of every frame pixel in `box`."""
    left, top, right, bottom = box
    x, y = np.arange(left, right, dtype=np.float64)[None], np.arange(top, bottom, dtype=np.float64)[:, None]
    (a, b, c), (d, e, f) = np.asarray(transform, np.float64)
    return a * x + b * y + c, d * x + e * y + f


def unwarp(window: np.ndarray, transform: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """The window as the frame's pixels in `box` see it: float32 (h, w, C); bicubic, area-averaged when it shrinks."""
    left, top, right, bottom = box
    times = int(np.clip(np.ceil(np.hypot(transform[0, 0], transform[0, 1]) - 1e-6), 1, 8))
    shift = (times - 1) / (2 * times)
    finer = np.array([[1 / times, 0, left - shift], [0, 1 / times, top - shift]])
    matrix = np.asarray(transform, np.float64) @ np.vstack([finer, [0, 0, 1]])
    size = ((right - left) * times, (bottom - top) * times)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    out = cv2.warpAffine(window.astype(np.float32), matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return cv2.resize(out, (right - left, bottom - top), interpolation=cv2.INTER_AREA) if times > 1 else out
