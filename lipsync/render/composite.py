"""Put a generated window back into its frame: match colours, feather, warp, blend.

    out = frame + α·(new − frame),      α = 0 at and outside the mask's edge

α is a smooth ramp s(d/feather), s(x) = 3x² − 2x³, of the distance d to the mask's nearest edge, evaluated at the
frame's own pixels, so the feather lies inside the mask and nothing outside is ever touched; times a soft hull of the
lower face, old and new, so that what a mouth does not move (background, collar) stays the frame's own.

`new` is the generated window at and near the lips, with its fine detail from real pictures, and elsewhere the frame's
own skin moved along with the mouth: see detail.py. `colour` is what must be added to the generated window where the two
meet, carried inwards by normalised convolution (Knutsson & Westin 1993) and smoothed over time.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from lipsync.faces.align import OUTER_LIP
from lipsync.model.pixel import PixelModelConfig
from lipsync.render.detail import Closeups, Detail, DetailMover, each, low_pass, mouth_part, soft_hulls
from lipsync.render.lips import LipColour, TextureGain
from lipsync.render.place import Box, carried, of, shifted, sized, to_part, unwarp, window_box, window_coordinates
from lipsync.render.sheet import raised_jaw

_RING = 0.09  # width of the ring, of the window's side
_SPREAD = 0.14  # of the window's side: how far a colour difference carries
_MOST_LEVELS = 24.0  # a larger difference is another thing, not another light
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
        depth = self._depth(*window_coordinates(transform, box))
        alpha = self._ramp(depth) * np.float32(strength)
        source = frame[of(box)]
        if reach is None or mouths is None:
            new = _as_bytes(unwarp(made + self._colour(true - made, self.ring), transform, box))
        else:
            alpha *= unwarp(reach, transform, box, smooth=False)
            new = self._with_detail(frame, made, true, mouths, transform, box)
        out[of(box)] = cv2.blendLinear(source, new, 1 - alpha, alpha)
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
        """The new picture in the frame's pixels of `box`, uint8 (h, w, 3): the frame itself, moved, and the new mouth.

        Outside the mouth's part of the window the model decides nothing: there is only the frame.
        """
        mouth = mouth_part(mouths, self.size_px)
        finer = 1 / float(np.hypot(transform[0, 0], transform[0, 1]))
        made = self.mover.with_seen(made[of(mouth)], true, mouths, finer, mouth)
        made = made + self.lip_colour.correction(made, true[of(mouth)], mouths - np.array(mouth[:2], np.float32))
        own = self.mover.from_frame(made, true, mouths, mouth)
        new = self._moved(frame, own.field, transform, box)
        there = shifted(transform, box)
        part = window_box(to_part(there, mouth), (mouth[2] - mouth[0], mouth[3] - mouth[1]), new.shape)
        if part is None:
            return new
        within = to_part(shifted(there, part), mouth)
        patch = self._mouth(made, own, mouths, mouth, new[of(part)], within)
        lips = [lips_of(each_mouth, self.size_px, mouth) for each_mouth in mouths[[0, -1]]]
        self._level(frame[of(box)][of(part)], patch, lips, within)
        new[of(part)] = _as_bytes(patch)
        return new

    def _mouth(
        self,
        made: np.ndarray,
        own: Detail,
        mouths: np.ndarray,
        mouth: Box,
        moved: np.ndarray,
        transform: np.ndarray,
    ) -> np.ndarray:
        """The mouth's part of the window in the frame's pixels, float32 (h, w, 3), over the frame itself.

        Args:
            made: float32 (y, x, 3), the generated window in its part `mouth`.
            own: the frame's detail, there.
            moved: uint8 (h, w, 3), the frame moved.
            transform: (2, 3) its pixels → the part.
        """
        low = low_pass(made)
        colour = self._colour(own.low - low, 4 * own.zone * (1 - own.zone), mouth)
        fine, rest, zone = made - low, each(1 - own.weight), each(own.zone)
        under = rest * (own.low + fine) + zone * (low + colour - own.low)
        closeups, row = self.mover.closeups, self.mover.picked
        close = None if closeups is None else self.mover.from_closeup(made + colour, mouths[-1], row, mouth)
        if close is not None:
            close = replace(close, weight=(1 - own.weight) * close.weight)
            under -= each(close.weight) * (close.low + fine)
        box = (0, 0, moved.shape[1], moved.shape[0])
        new = unwarp(under, transform, box)
        new += cv2.multiply(moved, each(unwarp(own.weight, transform, box)), dtype=cv2.CV_32F)
        if closeups is not None and close is not None:
            self._add_close(new, closeups.fine[row], close, mouth, transform)
        return new

    def _moved(self, frame: np.ndarray, field: np.ndarray, transform: np.ndarray, box: Box) -> np.ndarray:
        """The frame itself, moved by a field (S, S, 2) window px: uint8 (h, w, 3)."""
        inverse = cv2.invertAffineTransform(np.asarray(transform, np.float64))[:, :2]
        return carried(frame, unwarp(cv2.transform(field, inverse), transform, box, smooth=False), box, cv2.INTER_CUBIC)

    def _add_close(self, new: np.ndarray, fine: np.ndarray, detail: Detail, mouth: Box, transform: np.ndarray) -> None:
        """Add a close-up (n·S, n·S, 3), moved by a field, under its weight, to `new`, see _mouth, in place."""
        part = window_box(transform, self.size_px, new.shape, detail.weight)
        if part is None:
            return
        there, times = shifted(transform, part), len(fine) // self.size_px
        layers = cv2.merge([detail.field, detail.weight])
        across, down, weight = cv2.split(unwarp(layers, there, sized(part), smooth=False))
        u, v = window_coordinates(there, sized(part))
        shift = np.float32((times - 1) / 2)
        x, y = (u + across + mouth[0]) * times + shift, (v + down + mouth[1]) * times + shift
        seen = cv2.remap(fine, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        new[of(part)] += cv2.multiply(seen, each(weight), dtype=cv2.CV_32F)

    def _level(self, source: np.ndarray, new: np.ndarray, lips: list[np.ndarray], transform: np.ndarray) -> None:
        """Bring the texture of the lips in `new`, (h, w, 3), to the strength that the source's have, in place.

        Args:
            source: uint8 (h, w, 3).
            lips: old and new, (y, x) in a part of the window; see lips_of.
            transform: (2, 3) the pixels → that part.
        """
        part = window_box(transform, self.size_px, source.shape, np.maximum(*lips))
        if part is not None:
            there = shifted(transform, part)
            masks = [unwarp(mask, there, sized(part), smooth=False) for mask in lips]
            new[of(part)] = self.gain.level(source[of(part)], new[of(part)], *masks)

    def alpha(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """The blend at window coordinates: float32, 0 at and outside the mask's edges, 1 a feather inside them."""
        return self._ramp(self._depth(u, v))

    def _ramp(self, depth: np.ndarray) -> np.ndarray:
        x = np.clip(depth * np.float32(1 / self.feather_px), 0, 1, dtype=np.float32)
        return x * x * (3 - 2 * x)

    def _depth(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Distance to the nearest of the mask's edges, px, positive inside. Pixel k covers k − ½ … k + ½."""
        across = self.size_px / 2 - self.side - np.abs(u - (self.size_px - 1) / 2)
        half = (self.size_px - self.top) / 2
        return np.minimum(across, half - np.abs(v - (self.size_px - 0.5 - half)))

    def _colour(self, difference: np.ndarray, ring: np.ndarray, part: Box | None = None) -> np.ndarray:
        """What to add to the generated window, smooth over place and time: float32 (h, w, 3).

        Args:
            difference: (h, w, 3), what is there less what was made, in a part of the window.
            ring: (h, w), where the two must meet.
            part: at multiples of _COARSE; None: the whole window.
        """
        size = self.size_px // _COARSE
        part = part or (0, 0, self.size_px, self.size_px)
        left, top, right, bottom = (edge // _COARSE for edge in part)
        weight, apart = np.zeros((size, size), np.float32), np.zeros((size, size, 3), np.float32)
        coarse = (right - left, bottom - top)
        weight[top:bottom, left:right] = cv2.resize(ring, coarse, interpolation=cv2.INTER_AREA)
        found = cv2.resize(difference.astype(np.float32), coarse, interpolation=cv2.INTER_AREA)
        apart[top:bottom, left:right] = np.clip(found, -_MOST_LEVELS, _MOST_LEVELS)
        apart *= each(weight)
        mean = apart.sum((0, 1)) / max(float(weight.sum()), 1e-6)
        sigma, floor = _SPREAD * size, 1e-3
        above = cv2.GaussianBlur(apart, (0, 0), sigma) + floor * mean.astype(np.float32)
        field = above / each(cv2.GaussianBlur(weight, (0, 0), sigma) + floor)
        smooth = field if self.colour is None else self.keep * self.colour + (1 - self.keep) * field
        self.colour = np.asarray(smooth, np.float32)
        return cv2.resize(self.colour, (self.size_px, self.size_px), interpolation=cv2.INTER_CUBIC)[of(part)]


def face_reach(mouths: np.ndarray, size_px: int) -> np.ndarray:
    """What a new mouth can change: 1 from the nose's base down to old and new jaw, softly 0 beyond: float32 (S, S).

    Args:
        mouths: (n, 31, 2) window px.
    """
    outline = np.concatenate([*mouths, *raised_jaw(mouths)])
    return soft_hulls([outline], (0, 0, size_px, size_px), size_px / 14, size_px / 40)


def lips_of(mouth: np.ndarray, size_px: int, part: Box | None = None) -> np.ndarray:
    """Where the lips and what is between them are in a part of the window: float32 (h, w), softly 0…1.

    mouth: (31, 2) window px.
    """
    return soft_hulls([mouth[OUTER_LIP]], part or (0, 0, size_px, size_px), 1, size_px / 96)


def largest_outside(frame: np.ndarray, out: np.ndarray, box: Box, inside: np.ndarray) -> int:
    """The largest difference of two pictures where no mask is, found by comparing them: grey levels.

    Args:
        frame, out: uint8 (H, W, 3).
        box: left, top, right, bottom of the window; `inside` (h, w) says where in it the mask lies.
    """
    left, top, right, bottom = box
    around = (np.s_[:top], np.s_[bottom:], np.s_[top:bottom, :left], np.s_[top:bottom, right:])
    found = [cv2.norm(frame[part], out[part], cv2.NORM_INF) for part in around if frame[part].size]
    found.append(cv2.norm(frame[of(box)], out[of(box)], cv2.NORM_INF, (~inside).astype(np.uint8)))
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


def _as_bytes(image: np.ndarray) -> np.ndarray:
    """float32 → uint8, rounded."""
    return cv2.convertScaleAbs(np.maximum(image, 0))
