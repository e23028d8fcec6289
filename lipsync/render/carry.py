"""Where a block of a video begins, and what it takes over from those before it: see blocks.py."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Carry:
    """What a block takes over from those before it. Arrays only: it is saved beside the finished piece.

    track, scale_px, neutral (31, 3), neutral_frames, place_px (3): of the face in the last frame; track −1: none.
    mouths (M, 31, 3): some of all seen. The rest is the pool: windows (R, S, S, 3), fine (R,) of (n·S, n·S, 3), see
    `each_its_own`, points (R, 31, 2), frames (R,), opening (R,), pose_deg (R, 3), tracks (R,).
    """

    track: int
    tracks_so_far: int
    scale_px: float
    neutral: np.ndarray
    neutral_frames: int
    place_px: np.ndarray
    mouths: np.ndarray
    windows: np.ndarray
    fine: np.ndarray
    points: np.ndarray
    frames: np.ndarray
    opening: np.ndarray
    pose_deg: np.ndarray
    tracks: np.ndarray


def each_its_own(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures as an array (R,) of arrays: large ones, which the pools of several blocks share."""
    out = np.empty(len(pictures), object)
    for k, picture in enumerate(pictures):
        out[k] = picture
    return out


def empty_carry(size_px: int) -> Carry:
    """What the first block takes over."""
    return Carry(
        -1, 0, 0.0, np.zeros((31, 3)), 0, np.zeros(3), np.zeros((0, 31, 3)),
        np.zeros((0, size_px, size_px, 3), np.uint8), each_its_own([]),
        np.zeros((0, 31, 2), np.float32), np.zeros(0, int), np.zeros(0), np.zeros((0, 3)), np.zeros(0, int),
    )  # fmt: skip


@dataclass(frozen=True)
class Start:
    """Where a block begins: its number, its first frame, the time from which on its pictures are read, and theirs."""

    number: int = 0
    first: int = 0
    read_from: int = 0
    read_from_s: float = 0.0
