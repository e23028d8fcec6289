"""The command that shows, compares, blends and merges adapters: adapter (show, compare, blend, merge)."""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from lipsync.cli.run import Outcome
from lipsync.errors import UsageError
from lipsync.progress import Progress
from lipsync.studio import service
from lipsync.studio.order import Order
from lipsync.studio.people import find_person
from lipsync.training.card_words import card_text


def adapter(args: argparse.Namespace, progress: Progress) -> Outcome:
    """`lipsync adapter show|compare|blend|merge`."""
    actions = {"show": _show, "compare": _compare, "blend": _blend, "merge": _merge}
    return actions[args.action](args, progress)


def _show(args: argparse.Namespace, progress: Progress) -> Outcome:
    from lipsync.model.lora import load_adapter

    found = load_adapter(_file(args.adapter))
    values = {"adapter": str(_file(args.adapter)), **found.notes}
    return Outcome(values, card_text(found.notes))


def _file(name: str) -> Path:
    """An adapter's file; a person's name means theirs."""
    path = Path(name)
    return path if path.suffix == ".safetensors" else find_person(name).adapter


def _compare(args: argparse.Namespace, progress: Progress) -> Outcome:
    from lipsync.model.lora import find_base_of, load_adapter
    from lipsync.studio.compare import side_by_side

    path = _file(args.adapter)
    base = find_base_of(load_adapter(path))
    models = service.Models()
    with tempfile.TemporaryDirectory() as folder:
        made = [Path(folder) / name for name in ("base.mp4", "adapter.mp4")]
        for out, used in zip(made, (None, path), strict=True):
            order = Order(
                args.template,
                out,
                text=args.text or service.SAMPLE_TEXT,
                audio=args.audio,
                voice=args.voice or "",
                adapter=used,
                base=base,
                device=args.device,
                settings={} if args.seed is None else {"seed": args.seed},
            )
            service.render(order, models, progress)
        frames = side_by_side(made[0], made[1], args.out)
    values: dict[str, Any] = {"out": str(args.out), "left": base, "right": str(path), "frames": frames}
    return Outcome(values, f"{args.out}: left {base}, right {path.stem}, {frames} frames")


def _blend(args: argparse.Namespace, progress: Progress) -> Outcome:
    from lipsync.model.lora import blend_adapters, load_adapter, save_adapter

    weighted = []
    for text in args.adapters:
        name, _, weight = text.rpartition("=")
        try:
            weighted.append((load_adapter(_file(name)), float(weight)))
        except ValueError as error:
            raise UsageError(f"expected ADAPTER=WEIGHT, such as ada.safetensors=0.7, found {text!r}") from error
    if args.out.suffix != ".safetensors":
        raise UsageError(f"--out {args.out}: an adapter is one .safetensors file")
    blended = blend_adapters(weighted)
    save_adapter(args.out, blended)
    return Outcome({"adapter": str(args.out), **blended.notes}, f"{args.out}: {blended.person}")


def _merge(args: argparse.Namespace, progress: Progress) -> Outcome:
    from lipsync.model.base import load_base
    from lipsync.model.lora import find_base_of, load_adapter, merge_adapter

    found = load_adapter(_file(args.adapter))
    base = load_base(find_base_of(found), "cpu")
    folder = merge_adapter(base, found, args.name)
    values = {"base": args.name, "folder": str(folder), "person": found.person}
    return Outcome(values, f"{folder}: {base.name} with {found.person} merged in; use it with --base {args.name}")
