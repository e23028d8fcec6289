"""A base: the two pretrained models that everything starts from, found on disk by name.

CHECKPOINTS/NAME/shape.safetensors and pixel.safetensors. CHECKPOINTS is the folder in the environment variable
LIPSYNC_CHECKPOINTS, else `checkpoints/` beside the package.
"""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from lipsync.errors import CheckpointError, ConfigError
from lipsync.model.checkpoint import file_hash, load_model
from lipsync.model.pixel import PixelModel
from lipsync.model.speech_to_shape import ShapeModel

DEFAULT_BASE = "base"


@dataclass(frozen=True)
class Base:
    """Models ready to run. `hash` names the base's weights.

    `style`, `person` and `references` (the person's own windows, see lora.py) are set once an adapter is applied.
    """

    name: str
    shape: ShapeModel
    pixel: PixelModel
    hash: str
    style: Tensor | None = None
    person: str = ""
    references: dict[str, Tensor] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        """Where the models are."""
        return next(self.pixel.parameters()).device


def checkpoints_folder() -> Path:
    """Where bases are looked for."""
    named = os.environ.get("LIPSYNC_CHECKPOINTS")
    return Path(named) if named else Path(__file__).resolve().parents[2] / "checkpoints"


def base_files(name: str = DEFAULT_BASE) -> tuple[Path, Path]:
    """(shape, pixel) files of a base. Raises CheckpointError naming the folder and the bases that are there."""
    folder = checkpoints_folder() / name
    files = folder / "shape.safetensors", folder / "pixel.safetensors"
    for file in files:
        if not file.is_file():
            there = sorted(p.parent.name for p in checkpoints_folder().glob("*/pixel.safetensors"))
            raise CheckpointError(
                f"no base is called {name!r}: {file} is missing; there are: {', '.join(there) or 'none'}. "
                "Check out the repository's checkpoints/ folder, or set LIPSYNC_CHECKPOINTS to where it is"
            )
    return files


def base_hash(name: str = DEFAULT_BASE) -> str:
    """One hash for both files: what an adapter is bound to."""
    return hashlib.sha256("".join(file_hash(file) for file in base_files(name)).encode()).hexdigest()


def load_base(name: str = DEFAULT_BASE, device: str = "cpu") -> Base:
    """Load a base for inference. Raises CheckpointError when files are missing or broken, ConfigError for a device."""
    shape_file, pixel_file = base_files(name)
    device = pick_device(device)
    shape: ShapeModel = load_model(shape_file, "shape", device)
    pixel: PixelModel = load_model(pixel_file, "pixel", device).to(memory_format=torch.channels_last)
    return Base(name, shape, pixel, base_hash(name))


def pick_device(device: str) -> str:
    """'auto' → 'cuda' where there is one, else 'cpu'. Raises ConfigError when the wanted device is not there."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"device {device!r} was asked for, but no CUDA device is there; use --device cpu")
    return device
