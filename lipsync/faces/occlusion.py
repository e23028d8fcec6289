"""Is the mouth to be seen? A small network tells for each window: clear, covered (hand, microphone, cup), or text.

    p(frame) = softmax(f(mouth))      mouth: the lips and chin of a window, 32×32 px, 0 to 1

Learned by data_prep/learn_occlusion.py from windows with covers drawn over them, as nobody labels hands; its weights
lie beside this file. A mouth is hidden in a frame when the mean of p over three neighbouring looks passes _SURE, or
_SURE_OF_TEXT.
"""

from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from lipsync.config import WindowConfig
from lipsync.faces.align import MOUTH, apply_transform, crop_window, fit_pose, window_transforms
from lipsync.faces.lip_colour import apart_from_usual, quarter_colours
from lipsync.types import Face

LOOK_PX = 32
CLEAR, COVERED, TEXT = range(3)
WEIGHTS = Path(__file__).with_name("occlusion.safetensors")
_LEFT, _TOP, _SIDE = 0.195, 0.18, 0.62  # of the window's side: from under the nose to the chin
_EVERY = 2  # frames between two looks
_SURE, _SURE_OF_TEXT = 0.9, 0.75  # of 227 real stretches, none covered, 4 pass 0.75 for a while, 1 passes 0.9
_BLOCK = 256
_RENDER_SURE, _ABOVE_OWN, _CORE_FRAMES = 0.8, 0.5, 4
_NEAR_FRAMES = 4  # looks further apart are not in a row
_ODD_LEVELS = 40.0  # a quarter of the lips this far off its usual colour: of 93 people clear to be seen hardly any


class MouthLooker(nn.Sequential):
    """Pictures (B, 3, 32, 32), 0 to 1 → logits (B, 3)."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 16, 3, 2, 1),
            nn.SiLU(),
            nn.Conv2d(16, 32, 3, 2, 1),
            nn.SiLU(),
            nn.Conv2d(32, 64, 3, 2, 1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(64 * 16, 32),
            nn.SiLU(),
            nn.Linear(32, 3),
        )


def mouth_picture(window: np.ndarray) -> np.ndarray:
    """The part of a window (S, S, 3) that is looked at: uint8 (32, 32, 3)."""
    left, top, side = _looked_at(len(window))
    return _small(window[top : top + side, left : left + side])


def _looked_at(size: int) -> tuple[int, int, int]:
    """Left, top and side of what is looked at in a window of that size."""
    return round(_LEFT * size), round(_TOP * size), round(_SIDE * size)


def _small(part: np.ndarray) -> np.ndarray:
    return cv2.resize(part, (LOOK_PX, LOOK_PX), interpolation=cv2.INTER_AREA)


def as_input(pictures: np.ndarray) -> torch.Tensor:
    """uint8 (B, 32, 32, 3) → float32 (B, 3, 32, 32), 0 to 1."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 255


@cache
def load_looker() -> MouthLooker:
    """The network with its shipped weights."""
    looker = MouthLooker()
    looker.load_state_dict({name: value.float() for name, value in load_file(WEIGHTS).items()})
    return looker.eval()


def hidden_frames(windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where something covers the mouth, and where text does.

    Args:
        windows: uint8 (F, S, S, 3), RGB.

    Returns:
        covered, text: bool (F,) each.
    """
    looks = np.arange(0, len(windows), _EVERY)
    pictures = as_input(np.stack([mouth_picture(windows[i]) for i in looks]))
    with torch.inference_mode():
        found = torch.cat([load_looker()(part).softmax(1) for part in pictures.split(_BLOCK)]).numpy()
    padded = np.concatenate([found[:1], found, found[-1:]])
    mean = (padded[:-2] + padded[1:-1] + padded[2:]) / 3
    per_frame = mean[np.arange(len(windows)) // _EVERY]
    hidden, is_text = 1 - per_frame[:, CLEAR], per_frame[:, COVERED] < per_frame[:, TEXT]
    return (hidden > _SURE) & ~is_text, (hidden > _SURE_OF_TEXT) & is_text


def hidden_stretches(covered: np.ndarray) -> np.ndarray:
    """Frames in which a render must not draw a mouth: bool (F,).

    A render that stops without need is as bad as one that paints over a hand, so a stretch counts only where the
    network is sure and it is not always so of this person (beards, hard shadows): its core passes _RENDER_SURE and lies
    _ABOVE_OWN above the person's usual p, and lasts _CORE_FRAMES; it reaches out to where p falls to half of that.

    Args:
        covered: (F,) probability that something hides the mouth, NaN where no face was seen.
    """
    seen = np.flatnonzero(np.isfinite(covered))
    out = np.zeros(len(covered), bool)
    if len(seen) < _CORE_FRAMES:
        return out
    p = np.interp(np.arange(len(covered)), seen, covered[seen])
    p = np.convolve(np.pad(p, 2, "edge"), np.full(5, 0.2), "valid")
    usual = np.percentile(p[seen], 20)
    core = (p > _RENDER_SURE) & (p - usual > _ABOVE_OWN)
    reach = (p > _RENDER_SURE / 2) & (p - usual > _ABOVE_OWN / 2)
    for first, last in np.flatnonzero(np.diff(np.concatenate([[0], reach.astype(int), [0]]))).reshape(-1, 2):
        if core[first:last].sum() >= _CORE_FRAMES:
            out[first:last] = True
    return out


def fingered_frames(covered: np.ndarray, lips: np.ndarray) -> np.ndarray:
    """Frames of one face in one shot in which something hides a part of the lips, of which the network is unsure: (F,).

    Two looks in a row at half of _RENDER_SURE, with a quarter of the lips _ODD_LEVELS off its usual colour, hide what
    lies between the looks around them.

    Args:
        covered: as above. lips: (F, 4, 3) colours of the lips' quarters, see lip_colour.py; NaN where not looked at.
    """
    out = np.zeros(len(covered), bool)
    seen = np.flatnonzero(np.isfinite(covered) & np.isfinite(lips).all((1, 2)))
    if len(seen) < _CORE_FRAMES:
        return out
    odd = (covered[seen] > _RENDER_SURE / 2) & (apart_from_usual(lips[seen]) > _ODD_LEVELS)
    near = np.diff(seen) <= _NEAR_FRAMES
    for k in np.flatnonzero(odd[:-1] & odd[1:] & near):
        first = seen[k - 1] if k and near[k - 1] else seen[k]
        last = seen[k + 2] if k + 2 < len(seen) and near[k + 1] else seen[k + 1]
        out[first : last + 1] = True
    return out


def look_at_mouth(face: Face, image: np.ndarray) -> Face:
    """The face with `covered` and `lips` filled in; image uint8 (H, W, 3). Of its window only the mouth is cut out."""
    transform = window_transforms(fit_pose(face.landmarks[None].astype(np.float64)), WindowConfig())[0]
    left, top, side = _looked_at(WindowConfig.size_px)
    transform[:, 2] -= left, top
    mouth = crop_window(image, transform, side)
    lips = quarter_colours(mouth, apply_transform(face.landmarks[None, MOUTH], transform[None])[0])
    return replace(face, covered=_hidden(_small(mouth)), lips=lips)


def cover_probability(window: np.ndarray) -> float:
    """How likely something hides the mouth of one window, uint8 (S, S, 3): a hand, a microphone, or text."""
    return _hidden(mouth_picture(window))


def _hidden(picture: np.ndarray) -> float:
    with torch.inference_mode():
        found = load_looker()(as_input(picture[None])).softmax(1)[0]
    return float(1 - found[CLEAR])
