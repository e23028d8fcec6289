"""Makes the golden adapter, its tiny base and what they say: run once, committed, and loaded by every later version.

    python -m tests.golden_adapter            (overwrites tests/golden/adapter; only for a new format of weights)

Weights are drawn, not learned. Outputs are computed in float64, so that machines agree.
"""

import copy
import os
from pathlib import Path

import torch
from safetensors.torch import save_file

from lipsync.config import LoraSettings
from lipsync.consent import Consent
from lipsync.model.base import Base, base_hash, load_base
from lipsync.model.checkpoint import save_model
from lipsync.model.lora import Adapter, apply_adapter, save_adapter
from lipsync.model.low_rank import add_low_rank, low_rank_tensors
from lipsync.model.pixel import Batch
from tests.model_helpers import random_batch, tiny_pixel, tiny_shape

FOLDER = Path(__file__).parent / "golden" / "adapter"
CONSENT = Consent("Golden Person", "the tests", "2026-01-31", "I do not exist, and agree.")
SETTINGS = LoraSettings(rank=4, alpha=8.0, shape_rank=2)


def outputs(person: Base) -> dict[str, torch.Tensor]:
    """What a base says to fixed input, in float64."""
    pixel, shape = copy.deepcopy(person.pixel).double(), copy.deepcopy(person.shape).double()
    batch = Batch(**{k: v if k == "known_roles" else v.double() for k, v in vars(random_batch(seed=3)).items()})
    x = torch.linspace(-1, 1, 3 * 3 * 32 * 32).double().view(1, 3, 3, 32, 32)
    mel = torch.linspace(-1, 1, 40 * 80).double().sin().view(1, 40, 80)
    style = torch.zeros(1, shape.config.style).double() if person.style is None else person.style[None].double()
    with torch.no_grad():
        made = {"pixel": pixel(x, torch.tensor([0.3]).double(), batch), "shape": shape(mel, style)}
    return {name: value.contiguous() for name, value in made.items()}


def drawn(model: torch.nn.Module, targets: tuple[str, ...], rank: int) -> dict[str, torch.Tensor]:
    """Low-rank weights of which none is zero."""
    generator = torch.Generator().manual_seed(5)
    tensors = low_rank_tensors(add_low_rank(model, targets, rank, SETTINGS.alpha))
    return {k: 0.1 * torch.randn(v.shape, generator=generator) for k, v in tensors.items()}


def main() -> None:
    """Write everything."""
    os.environ["LIPSYNC_CHECKPOINTS"] = str(FOLDER)
    pixel, shape = tiny_pixel(11), tiny_shape(11)
    for block in shape.blocks:
        torch.nn.init.normal_(block.film.weight, std=0.1)  # as in a base that has learned styles
    for kind, model in (("pixel", pixel), ("shape", shape)):
        save_model(FOLDER / "base" / f"{kind}.safetensors", model, kind)
    notes = {"person": CONSENT.subject, "consent": CONSENT.to_json(), "consent_digest": CONSENT.digest}
    notes |= {"base": "base", "base_hash": base_hash("base"), "footage_s": 60.0}
    adapter = Adapter(
        drawn(pixel, SETTINGS.pixel_targets, SETTINGS.rank),
        drawn(shape, SETTINGS.shape_targets, SETTINGS.shape_rank),
        torch.linspace(-1, 1, shape.config.style),
        SETTINGS,
        notes,
        {"references": torch.zeros(1, 32, 32, 3, dtype=torch.uint8)},
    )
    save_adapter(FOLDER / "person.safetensors", adapter)
    save_file(outputs(apply_adapter(load_base("base"), adapter)), FOLDER / "outputs.safetensors")


if __name__ == "__main__":
    main()
