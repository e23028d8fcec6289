"""Weights on disk: safetensors with the model's kind, dimensions and notes inside; loading is strict.

A file's identity is the hash of its bytes; an adapter names the hash of the base it was made for.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from lipsync.config import from_mapping
from lipsync.errors import CheckpointError
from lipsync.model.judge import Judge, JudgeConfig
from lipsync.model.pixel import PixelModel, PixelModelConfig
from lipsync.model.speech_to_shape import ShapeModel, ShapeModelConfig

KINDS: dict[str, tuple[type[nn.Module], type]] = {
    "shape": (ShapeModel, ShapeModelConfig),
    "pixel": (PixelModel, PixelModelConfig),
    "judge": (Judge, JudgeConfig),
}


def save_model(
    path: Path, model: nn.Module, kind: str, notes: Mapping[str, Any] | None = None, dtype: torch.dtype = torch.float32
) -> None:
    """Write weights, dimensions and notes; the file appears only when it is whole. Integer buffers keep their type."""
    config: Any = model.config
    metadata = {
        "format": "lipsync-1",
        "kind": kind,
        "config": json.dumps(asdict(config)),
        "notes": json.dumps(dict(notes or {})),
    }
    tensors = {
        name: (value.to(dtype) if value.is_floating_point() and not name.startswith("space_") else value).contiguous()
        for name, value in model.state_dict().items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    save_file(tensors, part, metadata)
    part.replace(path)


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file. Raises CheckpointError naming the file."""
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file of weights")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a safetensors file, or cut short ({error}); get it again") from error


def load_model(path: Path, kind: str, device: str = "cpu") -> Any:
    """The model in a checkpoint, in float32, ready for inference.

    Raises:
        CheckpointError: missing, corrupt, another kind, or tensors that do not fit the dimensions in the file.
    """
    tensors, metadata = read_tensors(path)
    if metadata.get("kind") != kind:
        raise CheckpointError(f"{path}: expected a {kind} model, found {metadata.get('kind') or 'something else'!r}")
    build, config_type = KINDS[kind]
    config = from_mapping(config_type, json.loads(metadata["config"]), f"{path}: config")
    model = build(config)
    try:
        model.load_state_dict({name: value.float() for name, value in tensors.items()}, strict=True)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: the weights do not fit the model described in the file: {error}") from error
    return model.to(device).eval()


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
