"""The commands that make a base: pretrain, pack. They run where there is little more than torch: see packed.py."""

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

from lipsync.cli.run import Outcome, given
from lipsync.config import from_mapping, to_mapping
from lipsync.errors import Cancelled, ConfigError
from lipsync.progress import Progress, Silent
from lipsync.training.parallel import current, join, leave
from lipsync.training.pretrain import PRESETS, PretrainConfig, last_minutes, publish
from lipsync.training.pretrain import pretrain as learn_base


class Deadline:
    """Progress that ends the work at a time: the next word of progress raises Cancelled, and the run is saved."""

    def __init__(self, shown: Progress, minutes: float) -> None:
        self.shown, self.end_s = shown, time.monotonic() + 60 * minutes

    def start(self, stage: str, total: float | None = None, unit: str = "") -> None:
        """Passed on."""
        self.shown.start(stage, total, unit)

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        """Passed on, unless time is up."""
        if time.monotonic() > self.end_s:
            raise Cancelled("the time given with --stop-after is up")
        self.shown.advance(amount, note)

    def done(self, note: str = "") -> None:
        """Passed on."""
        self.shown.done(note)


def pretrain(args: argparse.Namespace, progress: Progress) -> Outcome:
    """`lipsync pretrain`."""
    from lipsync.model.base import pick_device

    config = from_mapping(PretrainConfig, _settings(args), str(args.config or args.preset))
    config = last_minutes(config, args.minutes) if args.minutes else config
    if args.seed is not None:
        shape, pixel = (dataclasses.replace(loop, seed=args.seed) for loop in (config.shape_loop, config.pixel_loop))
        config = dataclasses.replace(config, shape_loop=shape, pixel_loop=pixel)
    device = join(pick_device(args.device))
    first = current().first
    if first:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "config.json").write_text(json.dumps(to_mapping(config), indent=2) + "\n", encoding="utf-8")
    shown = progress if first else Silent()
    shown = Deadline(shown, args.stop_after) if args.stop_after and first else shown  # the others follow
    try:
        state = learn_base(
            args.data,
            args.out,
            config,
            start=args.start,
            lines=args.lines,
            resume=args.resume,
            device=device,
            progress=shown,
        )
    except Cancelled as error:
        if not args.stop_after:
            raise
        leave()
        return Outcome({"run": str(args.out), "stopped": str(error)}, f"{args.out}: {error}; go on with --resume")
    leave()
    values = {"run": str(args.out), **dataclasses.asdict(state)}
    if not first:
        return Outcome(values, "")
    if args.publish:
        values["base"] = str(publish(args.out, args.publish))
    text = f"{args.out}: {state.step} steps, best score {state.best_score:.4f} at step {state.best_step}"
    return Outcome(values, text)


def pack(args: argparse.Namespace, progress: Progress) -> Outcome:
    """`lipsync pack`."""
    from lipsync.training.packed import pack

    size = pack(args.datasets, args.out, progress=progress, **given(args, "crf"))
    values = {"out": str(args.out), "bytes": size}
    return Outcome(values, f"{args.out}: {size / 2**20:.1f} MiB; pretrain takes it wherever it takes a dataset folder")


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    """The preset's settings, with those of --config put over them."""
    settings = to_mapping(PRESETS[args.preset])
    return _merged(settings, _read_settings(args.config)) if args.config else settings


def _merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = {name: (under[name], value) for name, value in over.items() if name in under}
    nested = {n: _merged(a, b) for n, (a, b) in both.items() if isinstance(a, dict) and isinstance(b, dict)}
    return under | over | nested


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ConfigError(f"{path}: no settings can be read there ({error})") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected one JSON object, found {type(values).__name__}")
    return values
