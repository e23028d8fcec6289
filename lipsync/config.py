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
class PrepareConfig:
    """What footage must be like to become a clip."""

    window: WindowConfig = field(default_factory=WindowConfig)
    detector: str = "mediapipe"
    least_s: float = 0.8
    most_s: float = 10.0
    least_inter_ocular_px: float = 28.0
    most_yaw_deg: float = 40.0
    most_pitch_deg: float = 35.0
    least_speech_share: float = 0.15
    window_crf: int = 14


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
