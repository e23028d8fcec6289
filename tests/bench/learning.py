"""Learn a person for a fixed number of steps, and measure on footage that is neither learned from nor chosen by.

    python tests/bench/learning.py --data DATASET --test DATASET [--part shape|pixel] [--steps N] [--set NAME=VALUE …]

NAME is a field of FinetuneConfig, or lora.FIELD. `--full` trains every weight instead of low-rank changes. Prints the
readings at each evaluation and then one JSON line; asserts nothing.
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from lipsync.config import FinetuneConfig, from_mapping, to_mapping
from lipsync.model.base import load_base
from lipsync.model.low_rank import low_rank_tensors
from lipsync.progress import Terminal
from lipsync.training.clipstore import load_clips
from lipsync.training.loop import LoopConfig, train
from lipsync.training.person import PersonPixels, PersonShape
from lipsync.training.person_setup import pixel_task, shape_task, usable_clips


def settings(changes: list[str]) -> FinetuneConfig:
    """The usual settings with changes such as "lora.rank=8"."""
    values: dict[str, Any] = to_mapping(FinetuneConfig())
    for change in changes:
        name, _, text = change.partition("=")
        part = values
        *path, last = name.split(".")
        for inner in path:
            part = part[inner]
        part[last] = json.loads(text)
    return from_mapping(FinetuneConfig, values)


def free(task: PersonShape | PersonPixels) -> None:
    """Train every weight: the low-rank ones stay at zero."""
    for name, weight in task.model.named_parameters():
        weight.requires_grad_("lora_" not in name)


def main() -> None:
    """See the file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--base", default="base")
    parser.add_argument("--part", choices=("shape", "pixel"), required=True)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--set", nargs="*", default=[], dest="changes")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--name", default="")
    args = parser.parse_args()
    config, base = settings(args.changes), load_base(args.base, "auto")
    clips, test = usable_clips(args.data, config), list(load_clips(args.test))
    shared = {c.record.id for c in clips} & {c.record.id for c in test}
    if shared:  # it happened, and 0.93 came of it
        parser.error(f"{len(shared)} clips are in both --data and --test, such as {min(shared)}")
    began = time.monotonic()
    if args.part == "shape":
        task: PersonShape | PersonPixels = shape_task(base, clips, test, config)
        rate = config.shape_learning_rate
    else:
        task = pixel_task(base, {}, clips, test, config)
        rate = config.pixel_learning_rate
    if args.full:
        free(task)
    before, ready_s = task.evaluate(), time.monotonic() - began
    loop = LoopConfig(minutes=60, steps=args.steps, learning_rate=rate, seed=config.seed)
    loop = replace(loop, warmup_steps=config.warmup_steps, ema_decay=config.ema_decay, evaluations=config.evaluations)
    with tempfile.TemporaryDirectory() as folder:
        state = train(task, loop, Path(folder), progress=Terminal(sys.stderr, 30), best_score=1e9)
        rows = [json.loads(line) for line in (Path(folder) / "log.jsonl").read_text().splitlines()]
    curve = [row for row in rows if "held_out_score" in row]
    for row in curve:
        sys.stdout.write(json.dumps(row) + "\n")
    found: dict[str, Any] = {"bench": "learning", "name": args.name, "part": args.part, "data": args.data.name}
    found |= {"footage_s": round(sum(c.record.duration_s for c in clips)), "test_clips": len(test), "steps": args.steps}
    found |= {"changes": args.changes, "full": args.full, "seconds": round(state.seconds), "ready_s": round(ready_s)}
    found |= {"trained": sum(p.numel() for p in task.model.parameters() if p.requires_grad)}
    found |= {"file_kb": round(sum(v.numel() for v in low_rank_tensors(task.model).values()) * 4 / 1000)}
    after = {k.removeprefix("held_out_"): v for k, v in curve[-1].items() if k.startswith("held_out_")}
    found |= {"before": {k: round(v, 4) for k, v in before.items()}, "after": after}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
