"""Lips keep their own colour and texture: what the model draws paler, darker or redder is brought back.

    made + Σ_part m(part)·mean over time of (⟨true⟩ over the old lip − ⟨made⟩ over the new lip)

The parts are the upper and the lower lip, each between its outer and inner line; m is a soft mask of the new one. What
lies between the lips is left to the model.
"""

import cv2
import numpy as np

from lipsync.faces.lip_colour import LEAST_PX, LOWER, UPPER, apart_from_usual, outline_mask, quarter_colours

_MOST_LEVELS = 24.0
_SOFT_PX = 1.2  # of the mask, at a window of 128 px
_ODD_LEVELS = 32.0  # a quarter of the lips this far from the person's usual colour is covered, or in another light
_LEAST_WINDOWS = 4  # fewer do not say what is usual
_GAINS = (0.7, 1.8)  # how far the texture's strength is corrected
_GAIN_BLUR_PX = 1.5  # picture px: finer than this is texture
_BLURRED = 0.6  # skin of less than this share of its usual texture is blurred by motion


class LipColour:
    """Finds what to add frame after frame; `reset` where the next does not continue the last."""

    def __init__(self, size_px: int, smooth_frames: float = 8.0) -> None:
        self.size_px, self.keep = size_px, float(np.exp(-1 / smooth_frames))
        self.reset()

    def reset(self) -> None:
        """Forget the colours of the last frames."""
        self.apart: list[np.ndarray | None] = [None, None]

    def correction(self, made: np.ndarray, true: np.ndarray, mouths: np.ndarray) -> np.ndarray:
        """What to add to a generated window, or to a part (h, w) of it that holds the lips: float32 (h, w, 3).

        Args:
            made: float32 (h, w, 3), 0…255.
            true: uint8 (h, w, 3).
            mouths: (2, 31, 2) px of these: as it was, as it is wanted.
        """
        out = np.zeros(made.shape, np.float32)
        for k, part in enumerate((UPPER, LOWER)):
            old, new = (outline_mask(mouth[part], made.shape[:2]) for mouth in mouths[[0, -1]])
            if min(cv2.countNonZero(old), cv2.countNonZero(new)) >= LEAST_PX:
                there, here = cv2.mean(true, old)[:3], cv2.mean(made, new)[:3]
                found = np.clip(np.subtract(there, here), -_MOST_LEVELS, _MOST_LEVELS).astype(np.float32)
                last = self.apart[k]
                self.apart[k] = found if last is None else self.keep * last + (1 - self.keep) * found
            known = self.apart[k]
            if known is not None:
                soft = cv2.GaussianBlur(new.astype(np.float32), (0, 0), _SOFT_PX * self.size_px / 128)
                out += cv2.merge([soft * level for level in known])
        return out


def usual_lips(windows: np.ndarray, points: np.ndarray) -> np.ndarray:
    """In which windows of one person the lips have their usual colours, nothing lies over them: bool (R,).

    Args:
        windows: uint8 (R, S, S, 3). points: (R, 31, 2) px.
    """
    if len(windows) < _LEAST_WINDOWS:
        return np.ones(len(windows), bool)
    colours = [quarter_colours(window, mouth) for window, mouth in zip(windows, points, strict=True)]
    return apart_from_usual(np.array(colours)) <= _ODD_LEVELS


class TextureGain:
    """Brings the lips' texture to the strength that the frame's own lips have: what moving and blending lost.

        out = new + zone·(g − 1)·(new − blur(new)),      g = ⟨|∇²Y| of the old lips⟩ / ⟨|∇²Y| of the new⟩, over time

    A frame whose skin is suddenly blurred, by motion, gives a mouth that is blurred as much: skin of q times its usual
    strength, a Gaussian of √((1/q − 1)/2) px over the lips.
    """

    def __init__(self, smooth_frames: float = 6.0) -> None:
        self.keep = float(np.exp(-1 / smooth_frames))
        self.reset()

    def reset(self) -> None:
        """Forget the strengths of the last frames."""
        self.strengths: np.ndarray | None = None
        self.skin = 0.0

    def level(self, frame: np.ndarray, new: np.ndarray, old_lips: np.ndarray, new_lips: np.ndarray) -> np.ndarray:
        """The new patch at the old one's strength.

        Args:
            frame: uint8 (h, w, 3), the patch as it was.
            new: float32 (h, w, 3).
            old_lips, new_lips: float32 (h, w), 0…1.
        """
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)
        found = np.array([_strength(grey, old_lips), _strength(mean_of_channels(new), new_lips)])
        last = self.strengths
        self.strengths = found if last is None else self.keep * last + (1 - self.keep) * found
        gain = float(np.clip(self.strengths[0] / max(self.strengths[1], 1e-3), *_GAINS)) - 1
        soft = cv2.GaussianBlur(new, (0, 0), _GAIN_BLUR_PX)
        out = new + cv2.merge([gain * new_lips] * 3) * (new - soft)
        skin = _strength(grey, 1 - np.maximum(old_lips, new_lips))
        share = skin / max(self.skin, 1e-3)
        self.skin = skin if self.skin == 0 else self.keep * self.skin + (1 - self.keep) * skin
        if skin > 0 and share < _BLURRED:
            soft = cv2.GaussianBlur(out, (0, 0), float(np.sqrt((1 / max(share, 0.1) - 1) / 2)))
            out += cv2.merge([new_lips] * 3) * (soft - out)
        return out


def _strength(grey: np.ndarray, weight: np.ndarray) -> float:
    """Mean |∇²Y| under a weight, grey levels."""
    edges = np.abs(cv2.Laplacian(grey, cv2.CV_32F))
    return float(np.vdot(edges, weight)) / max(float(weight.sum()), 1.0)


def mean_of_channels(image: np.ndarray) -> np.ndarray:
    """float32 (h, w, C) → (h, w)."""
    return cv2.transform(image, np.full((1, image.shape[2]), 1 / image.shape[2], np.float32))
