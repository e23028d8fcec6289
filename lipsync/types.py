"""The nouns that pass between parts: frames, sound, faces, tracks, speech.

Letters in shape comments: B batch, F frames, C channels, H, W, S window side in px, N samples, T mel frames,
L landmarks.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

LIPS_LEAD_S = 0.055  # lips move so long before the sound they make; measured in people, tests/bench/LOG.md


@dataclass(frozen=True)
class VideoInfo:
    """What a video file is, as shown to a viewer (rotation applied).

    `width`, `height` are those of the upright picture. `rotation` is the clockwise turn, in degrees, that a player
    applies to the coded picture to show it upright (0, 90, 180, 270). `frame_rate` is the average. `frames` is the
    container's own count, or an estimate, or 0 for unknown. `is_still` marks a single image.
    """

    path: Path
    width: int
    height: int
    frame_rate: Fraction
    frames: int
    duration_s: float
    rotation: int = 0
    time_base: Fraction = Fraction(1, 90000)
    pixel_format: str = "yuv420p"
    colour: dict[str, int] = field(default_factory=dict)  # av's colorspace, color_range, color_primaries, color_trc
    sample_rate_hz: int = 0  # 0: no sound
    channels: int = 0
    is_still: bool = False
    pixel_aspect: Fraction = Fraction(1)  # width : height of one coded pixel; images keep coded pixels


@dataclass(frozen=True)
class Frame:
    """One upright picture and when it is shown."""

    image: np.ndarray  # uint8 (H, W, 3), RGB
    index: int
    time_s: float
    pts: int | None = None  # in the stream's time_base


@dataclass(frozen=True)
class Sound:
    """Sound as float32 (N,) mono or (N, C), full scale ±1. `start_s`: time of the first sample on the video's clock."""

    samples: np.ndarray
    sample_rate_hz: int
    start_s: float = 0.0

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate_hz


@dataclass(frozen=True)
class Face:
    """One face in one frame. `landmarks` float32 (68, 3) px: the iBUG 68-point order, z toward the viewer negative."""

    box_px: tuple[float, float, float, float]  # left, top, right, bottom
    landmarks: np.ndarray
    score: float = 1.0
    covered: float = float("nan")  # how likely something hides the mouth, 0…1; NaN: not looked at
    lips: np.ndarray | None = None  # colours of their quarters (4, 3), levels; None: not looked at


@dataclass(frozen=True)
class Track:
    """One face followed through a shot: `faces[i]` belongs to the frame shown at `times_s[i]`; None: not seen there."""

    faces: list[Face | None]
    times_s: np.ndarray  # float64 (F,)

    @property
    def seen(self) -> np.ndarray:
        """Where the face was found: bool (F,)."""
        return np.array([face is not None for face in self.faces], dtype=bool)


@dataclass(frozen=True)
class Timed:
    """A word or phoneme and when it sounds, in seconds from the start of its sound."""

    text: str
    start_s: float
    end_s: float

    def on_lips(self, times_s: np.ndarray) -> np.ndarray:
        """Which of these moments (F,) show the lips that make it, LIPS_LEAD_S before it sounds: bool (F,)."""
        return (times_s >= self.start_s - LIPS_LEAD_S) & (times_s <= self.end_s - LIPS_LEAD_S)


@dataclass(frozen=True)
class Speech:
    """Spoken sound with what was said when. `phonemes` are IPA symbols; either list may be empty when unknown."""

    sound: Sound
    words: list[Timed] = field(default_factory=list)
    phonemes: list[Timed] = field(default_factory=list)
    text: str = ""
    language: str = ""
