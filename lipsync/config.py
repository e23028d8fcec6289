"""Every setting, once: frozen dataclasses whose defaults the command line, the app and the server read.

Units stand in the names; lengths without a unit are in inter-ocular distances (head units).
"""

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_type_hints

from lipsync.errors import ConfigError


@dataclass(frozen=True)
class WindowConfig:
    """The lower-face crop: where it lies on the head and which part of it is generated."""

    size_px: int = 128
    side: float = 2.0
    centre_y: float = 1.36  # below the eye line: the window reaches from 0.36 to 2.36
    centre_z: float = -0.15
    smooth_frames: float = 2.0
    mask_top: float = 0.55  # just above the nose tip
    mask_side_px: int = 6


@dataclass(frozen=True)
class CheckConfig:
    """When sound or picture of a clip is at fault. What is measured: data_prep/listen.py, sights.py, speaker.py."""

    least_bandwidth_db: float = -42.0  # power above 4.3 kHz against 0.3 to 3.4 kHz; a telephone has less
    most_clipped_share: float = 0.02  # of samples near the rail
    most_sustained_share: float = 0.18  # of time in which tones hold their pitch: music
    most_second_voice_share: float = 0.3  # of the spoken time in which two voices are heard
    most_hidden_share: float = 0.12  # of frames in which something covers the mouth, or text lies over it
    most_frozen_s: float = 1.0  # a picture that stands still for longer
    frozen_grey_levels: float = 0.3  # what changes by less stands still
    least_bar_share: float = 0.04  # of the picture's height or width: narrower black edges are no letterbox
    most_bar_luma: float = 24.0  # grey levels: what counts as black
    most_drift_frames: float = 2.5  # between parts of a file: further apart, its sound drifts


@dataclass(frozen=True)
class PrepareConfig:
    """What footage must be like to become a clip."""

    window: WindowConfig = field(default_factory=WindowConfig)
    detector: str = "mediapipe"
    least_s: float = 0.8
    most_s: float = 10.0
    least_inter_ocular_px: float = 28.0
    most_yaw_deg: float = 40.0
    most_pitch_deg: float = 35.0
    most_roll_deg: float = 45.0
    least_speech_share: float = 0.15
    least_sharpness: float = 0.8  # grey levels; see data_prep/quality.py
    least_brightness: float = 28.0  # grey levels, 0 to 255
    most_repeated_share: float = 0.15  # of frames that repeat the one before while their neighbours move
    least_mouth_motion: float = 0.006  # standard deviation of the mouth's opening, head units
    least_head_motion: float = 0.002  # the same of the head's place; below both, the picture stands still
    offset_reach_s: float = 0.6  # sound is searched for this much early and late; see tests/bench/LOG.md
    window_crf: int = 14
    checks: CheckConfig = field(default_factory=CheckConfig)
    pick: str = ""  # whose clips are kept, file by file: "" everybody's, "most" who is seen most, or 0, 1 … by that


@dataclass(frozen=True)
class RenderConfig:
    """How lips are generated and put back.

    `face` says whose: "" (must be clear), "largest", "left", "right", or a number counted from the left.
    """

    steps: int = 1  # measured on the first base: more steps add flicker, not detail
    guidance: float = 1.0
    seed: int = 0
    face: str = ""
    detector: str = "mediapipe"
    window: WindowConfig = field(default_factory=WindowConfig)
    opening: float = 1.0  # scales how far the mouth departs from rest
    least_inter_ocular_px: float = 14.0
    most_yaw_deg: float = 45.0
    most_pitch_deg: float = 40.0
    fade_frames: int = 3  # blend with the source where rendering begins or ends in the middle of a shot
    feather: float = 0.09  # of the window's side; lies inside the mask
    colour_smooth_frames: float = 4.0
    crf: float = 18.0
    tail_s: float = 0.25  # `say`: how long the picture goes on after the last sound
    photo_most_px: int = 1920  # a larger photo is scaled to this side
    photo_motion: float = 1.0  # 0: the head of a photo stays still
    segment_s: float = 20.0  # a render is planned, rendered and, when interrupted, resumed in pieces of this length
    first_s: float = 2.0  # the first piece, each is twice the last up to segment_s; of a stream all are as short


@dataclass(frozen=True)
class LoraSettings:
    """Ranks and which layers (the ends of their names) are changed; they travel in the adapter."""

    rank: int = 16
    alpha: float = 16.0
    shape_rank: int = 16
    pixel_targets: tuple[str, ...] = (
        *("qkv", "proj", "fc1", "fc2", "conv1", "conv2", "value"),
        *("own.0", "own.1", "own.2", "head"),
    )
    shape_targets: tuple[str, ...] = ("stem", "wide", "mix", "out")


@dataclass(frozen=True)
class FinetuneConfig:
    """How long and how to learn a person. `minutes` limits all of it; steps 0: as many as fit.

    Learning also ends when `patience` evaluations in a row brought nothing (0: never).
    """

    minutes: float = 10.0
    seed: int = 0
    shape_share: float = 0.2  # of the minutes, for the way of speaking; the rest for the look
    shape_steps: int = 0
    pixel_steps: int = 0
    most_shape_steps: int = 400  # however many fit
    most_pixel_steps: int = 1500
    least_footage_s: float = 8.0
    good_footage_s: float = 120.0
    held_out_share: float = 0.12
    most_frames: int = 24_000
    lora: LoraSettings = field(default_factory=LoraSettings)
    shape_learning_rate: float = 2e-3
    pixel_learning_rate: float = 2e-3
    warmup_steps: int = 20
    ema_decay: float = 0.99
    evaluations: int = 8
    patience: int = 4
    save_every_s: float = 60.0
    batch: int = 2
    chunk_frames: int = 5
    held_out_batches: int = 4
    foreign_share: float = 0.25  # of the steps that also drive the person with speech of others; 0: never
    foreign_weight: float = 0.5  # in the look
    foreign_shape_weight: float = 0.5  # in the way of speaking, at every step: ties the timing to the base's
    reader_steps: int = 200  # to teach the reader of the mouth's opening
    references: int = 6  # windows of the person kept in the adapter


T = TypeVar("T")


def from_mapping(kind: type[T], values: Mapping[str, Any], where: str = "settings") -> T:
    """Build a config dataclass from plain values, nested ones too.

    Raises:
        ConfigError: an unknown key (names the nearest known one) or a value of the wrong type.
    """
    hints = get_type_hints(kind)
    known = [f.name for f in dataclasses.fields(kind)]  # type: ignore[arg-type]
    out: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"
            raise ConfigError(f"{where}: no setting is called {key!r}{hint}")
        want = hints[key]
        if dataclasses.is_dataclass(want) and isinstance(value, Mapping):
            value = from_mapping(want, value, f"{where}.{key}")  # type: ignore[arg-type]
        elif isinstance(value, list):
            value = tuple(value)
        elif want is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if want in (int, float, str, bool) and not isinstance(value, want):
            raise ConfigError(f"{where}.{key}: expected {want.__name__}, found {value!r}")
        out[key] = value
    return kind(**out)


def to_mapping(config: object) -> dict[str, Any]:
    """The plain values of a config; `from_mapping` turns them back."""
    return dataclasses.asdict(config)  # type: ignore[call-overload]
