"""A person's adapter: low-rank changes of the pixel model (their look) and of the shape model (their way of speaking).

    W′ = W + (α/r)·B·A,  B zero at the start       (Hu et al. 2022; rank-stabilised α/√r: Kalajdzievski 2023)

One safetensors file holds `pixel.*` and `shape.*` LoRA tensors, the `style` vector, and, in its header, the hash of the
base it belongs to, the settings, the person, the consent record and the card.
"""

import copy
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import save_file
from torch import Tensor, nn

from lipsync.config import from_mapping
from lipsync.consent import Consent
from lipsync.errors import CheckpointError, ConsentError
from lipsync.model.base import Base
from lipsync.model.checkpoint import read_tensors

PIXEL_TARGETS = ("qkv", "proj", "fc1", "fc2", "conv1", "conv2", "value", "own.0", "own.1", "own.2", "head")
SHAPE_TARGETS = ("mix", "out")
FORMAT = "lipsync-adapter-1"


@dataclass(frozen=True)
class LoraSettings:
    """Ranks and which layers; they travel in the adapter."""

    rank: int = 16
    alpha: float = 16.0
    shape_rank: int = 4
    pixel_targets: tuple[str, ...] = PIXEL_TARGETS
    shape_targets: tuple[str, ...] = SHAPE_TARGETS


@dataclass(frozen=True)
class Adapter:
    """An adapter in memory. `notes`: person, consent, base_hash, dataset summary, card."""

    pixel: dict[str, Tensor]
    shape: dict[str, Tensor]
    style: Tensor
    settings: LoraSettings
    notes: dict[str, Any] = field(default_factory=dict)


def wrap_pixel(model: nn.Module, settings: LoraSettings) -> PeftModel:
    """A pixel model whose weights are frozen and whose LoRA weights can be trained."""
    return _wrap(model, settings.rank, settings.alpha, settings.pixel_targets)


def wrap_shape(model: nn.Module, settings: LoraSettings) -> PeftModel:
    """The same for a shape model."""
    return _wrap(model, settings.shape_rank, settings.alpha, settings.shape_targets)


def _wrap(model: nn.Module, rank: int, alpha: float, targets: tuple[str, ...]) -> PeftModel:
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(targets), use_rslora=True, lora_dropout=0.0)  # pyright: ignore
    wrapped = get_peft_model(model, config)  # pyright: ignore[reportArgumentType]
    assert isinstance(wrapped, PeftModel)
    return wrapped


def lora_tensors(wrapped: PeftModel) -> dict[str, Tensor]:
    """The LoRA weights, on the CPU."""
    found = get_peft_model_state_dict(wrapped)
    return {name: value.detach().cpu().contiguous() for name, value in found.items()}


def save_adapter(path: Path, adapter: Adapter) -> None:
    """Write one file; it appears only when it is whole."""
    tensors = {f"pixel.{k}": v for k, v in adapter.pixel.items()} | {f"shape.{k}": v for k, v in adapter.shape.items()}
    tensors["style"] = adapter.style.detach().cpu()
    metadata = {
        "format": FORMAT,
        "settings": json.dumps(asdict(adapter.settings)),
        "notes": json.dumps(adapter.notes, ensure_ascii=False),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    save_file({name: value.contiguous() for name, value in tensors.items()}, part, metadata)
    part.replace(path)


def load_adapter(path: Path) -> Adapter:
    """Read an adapter. Raises CheckpointError when the file is not one."""
    tensors, metadata = read_tensors(path)
    if metadata.get("format") != FORMAT or "style" not in tensors:
        raise CheckpointError(
            f"{path}: not an adapter (expected format {FORMAT}, found "
            f"{metadata.get('format')!r}); make one with lipsync finetune"
        )
    settings = from_mapping(LoraSettings, json.loads(metadata["settings"]), f"{path}: settings")
    parts = {
        part: {k.removeprefix(part): v for k, v in tensors.items() if k.startswith(part)}
        for part in ("pixel.", "shape.")
    }
    return Adapter(parts["pixel."], parts["shape."], tensors["style"], settings, json.loads(metadata["notes"]))


def check_adapter(adapter: Adapter, base_hash: str, use: str = "video") -> Consent:
    """Whether an adapter may be used with a base.

    Raises:
        CheckpointError: it was made for another base.
        ConsentError: its consent record is missing or does not cover `use`.
    """
    made_for = str(adapter.notes.get("base_hash", ""))
    if made_for != base_hash:
        raise CheckpointError(
            f"this adapter was made for another base (it names {made_for[:12] or 'none'}, loaded is {base_hash[:12]}); "
            "learn the person again on this base"
        )
    record: Mapping[str, Any] | None = adapter.notes.get("consent")
    if not record:
        raise ConsentError(
            "this adapter carries no consent record, so nothing is rendered with it; "
            "learn the person again and give one"
        )
    consent = Consent.from_json(record)
    consent.check(use)
    return consent


def apply_adapter(base: Base, adapter: Adapter) -> Base:
    """A new base that looks and speaks like the adapter's person; the given one stays as it is. See check_adapter."""
    check_adapter(adapter, base.hash)
    pixel = _merged(wrap_pixel(copy.deepcopy(base.pixel), adapter.settings), adapter.pixel)
    shape = _merged(wrap_shape(copy.deepcopy(base.shape), adapter.settings), adapter.shape)
    style = adapter.style.to(base.device)
    return replace(base, pixel=pixel, shape=shape, style=style, person=str(adapter.notes.get("person", "")))


def _merged(wrapped: PeftModel, tensors: dict[str, Tensor]) -> Any:
    outcome = set_peft_model_state_dict(wrapped, tensors)
    missing = [k for k in outcome.missing_keys if "lora_" in k]
    if missing or outcome.unexpected_keys:
        raise CheckpointError(
            f"the adapter's weights do not fit this base: {len(missing)} missing, "
            f"{len(outcome.unexpected_keys)} unknown"
        )
    with torch.no_grad():
        return wrapped.merge_and_unload().eval()  # pyright: ignore[reportCallIssue]
