"""Put a generated window back into its frame: match colours, feather, warp, blend.

    out = frame + α·(new − frame),      α = 0 at and outside the mask's edge

α is a smooth ramp s(d/feather), s(x) = 3x² − 2x³, of the distance d to the mask's nearest edge, evaluated at the
frame's own pixels, so the feather lies inside the mask and nothing outside is ever touched; times a soft hull of the
lower face, old and new, so that what a mouth does not move (background, collar) stays the frame's own.

`new` is the generated window at and near the lips, with its fine detail from real pictures, and elsewhere the frame's
own skin moved along with the mouth: see detail.py. `colour` is what must be added to the generated window where the two
meet, carried inwards by normalised convolution (Knutsson & Westin 1993) and smoothed over time.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from lipsync.faces.align import JAW, OUTER_LIP
from lipsync.model.pixel import PixelModelConfig
from lipsync.render.detail import Closeups, Detail, DetailMover, low_pass, soft_hulls
from lipsync.render.lips import LipColour, TextureGain
from lipsync.render.place import enlarged, shifted

Box = tuple[int, int, int, int]  # left, top, right, bottom (exclusive), px

_RING = 0.09  # width of the ring, of the window's side
_SPREAD = 0.14  # of the window's side: how far a colour difference carries
_MOST_LEVELS = 24.0  # a larger difference is another thing, not another light
_NOTHING = 1 / 512  # a blend weaker than this changes no grey level
_COARSE = 4  # colours are matched at this fraction of the window's resolution


@dataclass(frozen=True)
class Pasted:
    """A finished frame, and the largest absolute difference from the source outside the mask (must be 0)."""

    image: np.ndarray
    largest_outside: int


class Compositor:
    """Pastes windows frame after frame; `reset` where the next frame does not continue the last."""

    def __init__(
        self,
        model: PixelModelConfig,
        feather: float = 0.09,
        colour_smooth_frames: float = 4.0,
        closeups: Closeups | None = None,
    ) -> None:
        size = self.size_px = model.size_px
        self.top, self.side = float(model.mask_top_px), float(model.mask_side_px)
        self.feather_px = max(1.0, feather * size)
        self.keep = float(np.exp(-1 / colour_smooth_frames)) if colour_smooth_frames > 0 else 0.0
        self.ring = _ring_weight(size, self.top, self.side)
        self.mover = DetailMover(size, closeups)
        self.gain, self.lip_colour = TextureGain(), LipColour(size)
        self.reset()

    def reset(self) -> None:
        """Forget the colours and fields of the last frame."""
        self.mover.reset()
        self.gain.reset()
        self.lip_colour.reset()
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
        """One frame, or a patch of it that holds the window, with the patch's own transform.

        Args:
            frame: uint8 (H, W, 3); not changed.
            transform: (2, 3) frame → window.
            made: float32 (S, S, 3), 0…255, generated.
            true: uint8 (S, S, 3), the frame's own window.
            strength: 0…1, fades the whole window.
            mouths: (2, 31, 2) window px, the mouth as it was and as it is wanted; None: the whole mask is replaced,
                with no fine detail of the frame.
        """
        out = frame.copy()
        reach = None if mouths is None else face_reach(mouths, self.size_px)
        box = window_box(transform, self.size_px, frame.shape, reach)
        if box is None:
            return Pasted(out, 0)
        left, top, right, bottom = box
        depth = self._depth(*window_coordinates(transform, box))
        alpha = self._ramp(depth) * np.float32(strength)
        source = frame[top:bottom, left:right]
        if reach is None or mouths is None:
            new = unwarp(made + self._colour(true - made, self.ring), transform, box)
        else:
            alpha *= np.clip(unwarp(reach, transform, box, smooth=False), 0, 1)
            new = self._with_detail(frame, made, true, mouths, transform, box)
            self._level(source, new, mouths, shifted(transform, box))
        blend = source + _each(alpha) * (new - source)
        out[top:bottom, left:right] = np.clip(np.rint(blend), 0, 255).astype(np.uint8)
        return Pasted(out, largest_outside(frame, out, box, depth >= 0))

    def _with_detail(
        self,
        frame: np.ndarray,
        made: np.ndarray,
        true: np.ndarray,
        mouths: np.ndarray,
        transform: np.ndarray,
        box: Box,
    ) -> np.ndarray:
        """The generated window in the frame's pixels of `box`, with the frame's own fine detail moved along."""
        made = self.mover.with_seen(made, true, mouths, 1 / float(np.hypot(transform[0, 0], transform[0, 1])))
        made = made + self.lip_colour.correction(made, true, mouths)
        own = self.mover.from_frame(made, true, mouths)
        ring = 4 * own.zone * (1 - own.zone)
        matched = made + self._colour(own.low - low_pass(made), ring)
        decided = low_pass(matched)
        kept, zone, rest = _each(own.weight), _each(own.zone), 1 - own.weight
        under = own.low + zone * (decided - own.low) - kept * own.low
        closeups = self.mover.closeups
        if closeups is None:
            under += _each(rest) * (matched - decided)
            return unwarp(under, transform, box) + self._moved(frame, own, transform, box)
        row = self.mover.picked
        close = self.mover.from_closeup(matched, mouths[-1], row)
        share = rest * close.weight
        under += _each(rest - share) * (matched - decided) - _each(share) * close.low
        out = unwarp(under, transform, box) + self._moved(frame, own, transform, box)
        part = window_box(shifted(transform, box), self.size_px, out.shape, share)
        if part is not None:
            there = shifted(shifted(transform, box), part)
            out[_of(part)] += self._seen_close(closeups.fine[row], close, share, there, _sized(part))
        return out

    def _moved(self, frame: np.ndarray, detail: Detail, transform: np.ndarray, box: Box) -> np.ndarray:
        """The frame itself, moved by a field, under its weight: float32 (h, w, 3)."""
        inverse = np.linalg.inv(np.asarray(transform, np.float64)[:, :2]).astype(np.float32)
        layers = np.dstack([detail.field @ inverse.T, detail.weight])
        across, down, weight = cv2.split(unwarp(layers, transform, box))
        left, top, right, bottom = box
        x = np.arange(left, right, dtype=np.float32)[None] + across
        y = np.arange(top, bottom, dtype=np.float32)[:, None] + down
        moved = cv2.remap(frame, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        return cv2.multiply(moved, _each(weight), dtype=cv2.CV_32F)

    def _seen_close(
        self, fine: np.ndarray, detail: Detail, share: np.ndarray, transform: np.ndarray, box: Box
    ) -> np.ndarray:
        """A close-up (n·S, n·S, 3) moved by a field, under its weight, in the frame's pixels of `box`."""
        times = len(fine) // self.size_px
        across, down, weight = cv2.split(unwarp(np.dstack([self.mover.grid + detail.field, share]), transform, box))
        shift = np.float32((times - 1) / 2)
        x, y = across * times + shift, down * times + shift
        seen = cv2.remap(fine, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        return cv2.multiply(seen, _each(weight), dtype=cv2.CV_32F)

    def _level(self, source: np.ndarray, new: np.ndarray, mouths: np.ndarray, transform: np.ndarray) -> None:
        """Bring the texture of the lips in `new`, (h, w, 3), to the strength that the source's have, in place."""
        lips = [lips_of(mouth, self.size_px) for mouth in mouths[[0, -1]]]
        part = window_box(transform, self.size_px, source.shape, np.maximum(*lips))
        if part is not None:
            there = shifted(transform, part)
            masks = [unwarp(mask, there, _sized(part), smooth=False) for mask in lips]
            new[_of(part)] = self.gain.level(source[_of(part)], new[_of(part)], *masks)

    def alpha(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """The blend at window coordinates: float32, 0 at and outside the mask's edges, 1 a feather inside them."""
        return self._ramp(self._depth(u, v))

    def _ramp(self, depth: np.ndarray) -> np.ndarray:
        x = np.clip(depth / np.float32(self.feather_px), 0, 1).astype(np.float32)
        return x * x * (3 - 2 * x)

    def _depth(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Distance to the nearest of the mask's edges, px, positive inside. Pixel k covers k − ½ … k + ½."""
        across = self.size_px / 2 - self.side - np.abs(u - (self.size_px - 1) / 2)
        half = (self.size_px - self.top) / 2
        return np.minimum(across, half - np.abs(v - (self.size_px - 0.5 - half)))

    def _colour(self, difference: np.ndarray, ring: np.ndarray) -> np.ndarray:
        """What to add to the generated window, smooth over place and time: float32 (S, S, 3).

        Args:
            difference: (S, S, 3), what is there less what was made.
            ring: (S, S), where the two must meet.
        """
        size = self.size_px // _COARSE
        weight = cv2.resize(ring, (size, size), interpolation=cv2.INTER_AREA)[..., None]
        apart = cv2.resize(difference.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
        apart = np.clip(apart, -_MOST_LEVELS, _MOST_LEVELS)
        mean = (apart * weight).sum((0, 1)) / max(float(weight.sum()), 1e-6)
        sigma, floor = _SPREAD * size, 1e-3
        above = cv2.GaussianBlur(apart * weight, (0, 0), sigma) + floor * mean.astype(np.float32)
        field = above / (cv2.GaussianBlur(weight, (0, 0), sigma)[..., None] + floor)
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
    return soft_hulls([outline], size_px, size_px / 14, size_px / 40)


def lips_of(mouth: np.ndarray, size_px: int) -> np.ndarray:
    """Where the lips and what is between them are: float32 (S, S), softly 0…1; mouth (31, 2) window px."""
    return soft_hulls([mouth[OUTER_LIP]], size_px, 1, size_px / 96)


def largest_outside(frame: np.ndarray, out: np.ndarray, box: tuple[int, int, int, int], inside: np.ndarray) -> int:
    """The largest difference of two pictures where no mask is, found by comparing them: grey levels.

    Args:
        frame, out: uint8 (H, W, 3).
        box: left, top, right, bottom of the window; `inside` (h, w) says where in it the mask lies.
    """
    left, top, right, bottom = box
    around = (np.s_[:top], np.s_[bottom:], np.s_[top:bottom, :left], np.s_[top:bottom, right:])
    found = [cv2.norm(frame[part], out[part], cv2.NORM_INF) for part in around if frame[part].size]
    here, there = (np.ascontiguousarray(image[top:bottom, left:right]) for image in (frame, out))
    found.append(cv2.norm(here, there, cv2.NORM_INF, (~inside).astype(np.uint8)))
    return int(max(found))


def _ring_weight(size: int, top: float, side: float) -> np.ndarray:
    """float32 (S, S): 1 in a ring inside the mask's top and sides, fading out below the mouth, where jaws move."""
    v, u = np.mgrid[0:size, 0:size].astype(np.float32)
    width = _RING * size
    near_top = (v >= top) & (v < top + width)
    near_side = ((u >= side) & (u < side + width)) | ((u < size - side) & (u >= size - side - width))
    ring = (near_top | (near_side & (v >= top))) & (u >= side) & (u < size - side)
    fade = np.clip((0.75 * size - v) / (0.25 * size), 0.05, 1)
    return (ring * fade).astype(np.float32)


def window_box(
    transform: np.ndarray, size_px: int, shape: tuple[int, ...], reach: np.ndarray | None = None
) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom (exclusive) of the frame's pixels that the window covers; None when it covers none.

    Args:
        reach: (S, S); only where it is above 0, if given.
    """
    low_px, high_px = np.array([-0.5, -0.5]), np.array([size_px - 0.5, size_px - 0.5])
    if reach is not None:
        columns, rows = np.flatnonzero(reach.max(0) > _NOTHING), np.flatnonzero(reach.max(1) > _NOTHING)
        if not len(rows):
            return None
        low_px = np.maximum(low_px, [columns[0] - 1.5, rows[0] - 1.5])
        high_px = np.minimum(high_px, [columns[-1] + 1.5, rows[-1] + 1.5])
    corners = np.array([low_px, [high_px[0], low_px[1]], [low_px[0], high_px[1]], high_px])
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
    return (a * x + b * y + c).astype(np.float32), (d * x + e * y + f).astype(np.float32)


def unwarp(window: np.ndarray, transform: np.ndarray, box: Box, smooth: bool = True) -> np.ndarray:
    """The window as the frame's pixels in `box` see it: float32 (h, w, C); area-averaged when it shrinks.

    smooth: where it grows it is refined by cubic interpolation first, by whole factors; else it is linear throughout.
    """
    left, top, right, bottom = box
    scale = float(np.hypot(transform[0, 0], transform[0, 1]))
    times = int(np.clip(np.ceil(scale - 1e-6), 1, 8))
    shift = (times - 1) / (2 * times)
    finer = np.array([[1 / times, 0, left - shift], [0, 1 / times, top - shift], [0, 0, 1]])
    window, matrix = window.astype(np.float32), np.asarray(transform, np.float64)
    growth = int(np.clip(np.ceil(1 / scale), 1, 4)) if smooth else 1
    if growth > 1:
        height, width = window.shape[:2]
        window = cv2.resize(window, (growth * width, growth * height), interpolation=cv2.INTER_CUBIC)
        matrix = enlarged(matrix, growth)
    size = ((right - left) * times, (bottom - top) * times)
    cubic = smooth and growth == 1
    flags = (cv2.INTER_CUBIC if cubic else cv2.INTER_LINEAR) | cv2.WARP_INVERSE_MAP
    out = cv2.warpAffine(window, matrix @ finer, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return cv2.resize(out, (right - left, bottom - top), interpolation=cv2.INTER_AREA) if times > 1 else out


def _each(weight: np.ndarray) -> np.ndarray:
    """A weight (h, w) for each channel: (h, w, 3)."""
    return cv2.merge([weight] * 3)


def _of(box: Box) -> tuple[slice, slice]:
    return np.s_[box[1] : box[3], box[0] : box[2]]


def _sized(box: Box) -> Box:
    return (0, 0, box[2] - box[0], box[3] - box[1])
