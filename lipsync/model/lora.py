"""A person's adapter: low-rank changes of the pixel model (their look) and of the shape model (their way of speaking).

One safetensors file holds `pixel.LAYER.a|b` and `shape.LAYER.a|b` (see low_rank.py), `style` (16,), the person's best
windows as `references` uint8 (R, S, S, 3) with `reference_points` float32 (R, 31, 2) in window px and
`reference_pose_deg` (R, 3), and, in its header, the settings, `detail` (added to the base's, see sampler.py) and the
notes: person, consent record and its digest, hash of the base it belongs to, summary of the dataset, card. A blend of
several people holds the consent of each.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from lipsync.config import LoraSettings, from_mapping
from lipsync.consent import Consent
from lipsync.errors import CheckpointError, ConsentError
from lipsync.model.base import Base, base_hash, checkpoints_folder
from lipsync.model.checkpoint import read_tensors, save_model
from lipsync.model.low_rank import changed_copy, low_rank_scale

FORMAT = "lipsync-adapter-2"


@dataclass(frozen=True)
class Adapter:
    """An adapter in memory. `references` holds what the file's tensors of these names hold; {} for none."""

    pixel: dict[str, Tensor]
    shape: dict[str, Tensor]
    style: Tensor
    settings: LoraSettings = field(default_factory=LoraSettings)
    notes: dict[str, Any] = field(default_factory=dict)
    references: dict[str, Tensor] = field(default_factory=dict)
    detail: float = 0.0

    @property
    def person(self) -> str:
        """Whose it is."""
        return str(self.notes.get("person", ""))


def save_adapter(path: Path, adapter: Adapter) -> None:
    """Write one file; it appears only when it is whole."""
    tensors = {f"pixel.{k}": v for k, v in adapter.pixel.items()} | {f"shape.{k}": v for k, v in adapter.shape.items()}
    tensors |= {"style": adapter.style} | adapter.references
    metadata = {
        "format": FORMAT,
        "settings": json.dumps(asdict(adapter.settings)),
        "detail": json.dumps(adapter.detail),
        "notes": json.dumps(adapter.notes, ensure_ascii=False),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, part, metadata)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def load_adapter(path: Path) -> Adapter:
    """Read an adapter. Raises CheckpointError when the file is not one."""
    tensors, metadata = read_tensors(path)
    found = metadata.get("format")
    if found != FORMAT or "style" not in tensors:
        old = " (it is of the first version, for a base that is no more)" if found == "lipsync-adapter-1" else ""
        raise CheckpointError(
            f"{path}: not an adapter (expected format {FORMAT}, found {found!r}{old}); make one with lipsync finetune"
        )
    settings = from_mapping(LoraSettings, json.loads(metadata["settings"]), f"{path}: settings")
    parts = {
        part: {k.removeprefix(part): v for k, v in tensors.items() if k.startswith(part)}
        for part in ("pixel.", "shape.")
    }
    references = {k: v for k, v in tensors.items() if k.startswith("reference")}
    notes, detail = json.loads(metadata["notes"]), float(json.loads(metadata.get("detail", "0")))
    return Adapter(parts["pixel."], parts["shape."], tensors["style"], settings, notes, references, detail)


def check_adapter(adapter: Adapter, base_hash: str, use: str = "video") -> Consent:
    """Whether an adapter may be used with a base; returns the first person's consent.

    Raises:
        CheckpointError: it was made for another base.
        ConsentError: a consent record is missing, does not cover `use`, or is not the one the adapter was made with.
    """
    made_for = str(adapter.notes.get("base_hash", ""))
    if made_for != base_hash:
        raise CheckpointError(
            f"this adapter was made for another base (it names {made_for[:12] or 'none'}, loaded is {base_hash[:12]}); "
            "learn the person again on this base"
        )
    people: Sequence[Mapping[str, Any]] = adapter.notes.get("blend_of") or [adapter.notes]
    consents = []
    for notes in people:
        if not notes.get("consent"):
            raise ConsentError(
                "this adapter carries no consent record, so nothing is rendered with it; "
                "learn the person again and give one"
            )
        consent = Consent.from_json(notes["consent"])
        if notes.get("consent_digest", consent.digest) != consent.digest:
            raise ConsentError(
                f"the consent record of {consent.subject} was changed after the adapter was made; learn them again"
            )
        consent.check(use)
        consents.append(consent)
    return consents[0]


def apply_adapter(base: Base, adapter: Adapter) -> Base:
    """A new base that looks and speaks like the adapter's person; the given one stays as it is. See check_adapter."""
    return apply_adapters(base, [(adapter, 1.0)])


def apply_adapters(base: Base, weighted: Sequence[tuple[Adapter, float]]) -> Base:
    """Several adapters at once, each times its weight: one person half way, or something between two.

    What no adapter changes is shared with `base`, so that many people are kept in memory for the price of one.
    """
    pixel, shape, style = base.pixel, base.shape, None
    for adapter, weight in weighted:
        check_adapter(adapter, base.hash)
        pixel = changed_copy(pixel, [(adapter.pixel, weight)], adapter.settings.alpha)
        shape = changed_copy(shape, [(adapter.shape, weight)], adapter.settings.alpha)
        own = weight * adapter.style.to(base.device)
        style = own if style is None else style + own
    detail = base.pixel.config.detail + sum(weight * adapter.detail for adapter, weight in weighted)
    pixel.config = replace(pixel.config, detail=max(0.0, detail))
    person = " + ".join(adapter.person for adapter, _ in weighted)
    references = weighted[0][0].references if len(weighted) == 1 else {}  # a mouth of several people is nobody's
    return replace(base, pixel=pixel, shape=shape, style=style, person=person, references=references)


def blend_adapters(weighted: Sequence[tuple[Adapter, float]]) -> Adapter:
    """One adapter that does what `apply_adapters` does with several: their ranks side by side.

    Raises:
        CheckpointError: fewer than one, or of different bases.
    """
    hashes = {str(adapter.notes.get("base_hash")) for adapter, _ in weighted}
    if len(hashes) != 1:
        raise CheckpointError(f"adapters of {len(hashes)} different bases cannot be blended; learn both on one base")
    alpha = weighted[0][0].settings.alpha
    pixel = _side_by_side([(adapter.pixel, adapter.settings.alpha, weight) for adapter, weight in weighted], alpha)
    shape = _side_by_side([(adapter.shape, adapter.settings.alpha, weight) for adapter, weight in weighted], alpha)
    style = torch.stack([weight * adapter.style for adapter, weight in weighted]).sum(0)
    keep = ("person", "consent", "consent_digest", "base", "base_hash")
    rows = [{k: v for k, v in adapter.notes.items() if k in keep} | {"weight": w} for adapter, w in weighted]
    person = " + ".join(f"{w:g} × {adapter.person}" for adapter, w in weighted)
    notes = {"person": person, "base": rows[0].get("base"), "base_hash": rows[0].get("base_hash"), "blend_of": rows}
    detail = sum(w * adapter.detail for adapter, w in weighted)
    return Adapter(pixel, shape, style, weighted[0][0].settings, notes, detail=detail)


def _side_by_side(changes: list[tuple[dict[str, Tensor], float, float]], alpha: float) -> dict[str, Tensor]:
    """Low-rank changes (tensors, their α, weight) joined along the rank, such that one α serves all."""
    joined: dict[str, tuple[Tensor, Tensor]] = {}
    for tensors, own_alpha, weight in changes:
        for name in sorted({key.rpartition(".")[0] for key in tensors}):
            a, b = tensors[f"{name}.a"], tensors[f"{name}.b"]
            b = b * (weight * low_rank_scale(len(a), own_alpha))
            before = joined.get(name)
            joined[name] = (a, b) if before is None else (torch.cat([before[0], a]), torch.cat([before[1], b], dim=1))
    sides = {f"{name}.a": a for name, (a, _) in joined.items()}
    return sides | {f"{name}.b": b / low_rank_scale(len(a), alpha) for name, (a, b) in joined.items()}


def merge_adapter(base: Base, adapter: Adapter, name: str) -> Path:
    """Write base and adapter as one new base called `name`, with the consent record in its files; returns its folder.

    The style vector is folded into the layers that read it, so the new base needs none.

    Raises:
        CheckpointError: the name is none, or taken. ConsentError: see check_adapter.
    """
    if Path(name).name != name or name in ("", ".", ".."):
        raise CheckpointError(f"a base cannot be called {name!r}; give a plain name, such as ada")
    folder = checkpoints_folder() / name
    if folder.exists():
        raise CheckpointError(f"{folder} is there already; choose another name")
    consent = check_adapter(adapter, base.hash)
    person = apply_adapter(base, adapter)
    with torch.no_grad():
        for block in person.shape.blocks:
            film: Any = block.film
            film.bias = torch.nn.Parameter(film.bias + film.weight @ adapter.style.to(film.weight), requires_grad=False)
    notes = {"merged_from": {"base": base.name, "base_hash": base.hash, "person": person.person}}
    notes |= {"consent": consent.to_json(), "consent_digest": consent.digest}
    for kind, model in (("shape", person.shape), ("pixel", person.pixel)):
        save_model(folder / f"{kind}.safetensors", model, kind, notes)
    return folder


def find_base_of(adapter: Adapter) -> str:
    """The name of the installed base that an adapter was made for, whatever it is called here.

    Raises:
        CheckpointError: none of the bases here is the one.
    """
    named, wanted = str(adapter.notes.get("base") or "base"), str(adapter.notes.get("base_hash", ""))
    there = sorted(p.parent.name for p in checkpoints_folder().glob("*/pixel.safetensors"))
    for name in sorted(there, key=lambda name: name != named):
        if base_hash(name) == wanted:
            return name
    raise CheckpointError(
        f"the adapter of {adapter.person} was made for the base {named!r} ({wanted[:12]}), which is not here; "
        f"there are: {', '.join(there) or 'none'}. Learn the person again on one of these"
    )
