"""Dub people the base has not learned from, with their own sound, another's and none, and measure the pictures.

    python tests/bench/rendered.py --footage FOLDER [--base base] [--adapter A] [--clips 12] [--steps 2]

Prints a table and then one JSON line; asserts nothing. Held out are the people that pretraining held out (by the hash
of their name in FOLDER/manifest.csv); without a footage folder the cast of virtual actors takes their place.
"""

import argparse
import csv
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from data_prep.actors import cast, render_footage, sentence
from lipsync.config import RenderConfig
from lipsync.errors import LipsyncError
from lipsync.media import probe, read_sound
from lipsync.model.base import Base, load_base
from lipsync.model.lora import apply_adapter, load_adapter
from lipsync.render.dub import dub
from lipsync.sync.metrics import evaluate
from lipsync.training.clipstore import ClipRecord
from lipsync.training.pretrain import PretrainConfig, is_held_out
from lipsync.types import Sound

COLUMNS = (
    "opening_correlation",
    "opening_spread_ratio",
    "landmark_distance",
    "mouth_sharpness_ratio",
    "offset_frames",
    "offset_score",
)


def held_out_files(footage: Path, least_s: float = 2.5, most_s: float = 12.0) -> list[Path]:
    """One file of each held-out person of the catalogue, of a length that is quick to render."""
    one_in, found = PretrainConfig().held_out_one_in, {}
    with (footage / "manifest.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            record = ClipRecord("", row["file"], row["person"], 0.0, 0.0, 0, 25.0, 0.0)
            if (
                is_held_out(record, one_in)
                and row["kind"] == "real"
                and least_s <= float(row["seconds"] or 0) <= most_s
            ):
                found.setdefault(row["person"], footage / row["file"])
    return list(found.values())


def actor_files(folder: Path, count: int) -> list[Path]:
    """Footage of actors, for machines without real footage."""
    files = []
    for i, actor in enumerate(cast()[:count]):
        files.append(folder / f"{actor.name}.mp4")
        render_footage(actor, sentence(actor.language, i), files[-1], size_px=(256, 256), seed=i)
    return files


def measure(files: list[Path], base: Base, steps: int, folder: Path) -> list[dict[str, object]]:
    """A row for each file and kind of sound; what could not be done is a row with its error."""
    rows: list[dict[str, object]] = []
    sounds = {file: read_sound(file, sample_rate_hz=None) for file in files}
    for i, file in enumerate(files):
        own, other = sounds[file], sounds[files[(i + 1) % len(files)]]
        if own is None or other is None:
            continue
        silence = Sound(np.zeros_like(own.samples), own.sample_rate_hz, own.start_s)
        for kind, sound in (("own", own), ("foreign", other), ("silence", silence)):
            out, began = folder / f"{file.stem}_{kind}.mp4", time.monotonic()
            try:
                result = dub(file, sound, out, base, RenderConfig(steps=steps))
                found = evaluate(out, file, base=base).values
            except LipsyncError as error:
                rows.append({"file": file.name, "sound": kind, "error": str(error)})
                continue
            row: dict[str, object] = {"file": file.name, "sound": kind} | {c: found[c] for c in COLUMNS}
            row["frames_per_s"] = round(result.frames / (time.monotonic() - began), 2)
            row["outside"] = result.largest_outside_difference
            rows.append(row)
    return rows


def summary(rows: list[dict[str, object]]) -> dict[str, dict[str, float]]:
    """Medians by kind of sound."""
    out: dict[str, dict[str, float]] = {}
    for kind in ("own", "foreign", "silence"):
        part = [row for row in rows if row["sound"] == kind and "error" not in row]
        out[kind] = {"clips": float(len(part))}
        for column in COLUMNS:
            values = [float(str(row[column])) for row in part if row[column] is not None]
            if values:
                out[kind][column] = round(float(np.median(values)), 3)
    return out


def main() -> None:
    """See the file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--footage", type=Path)
    parser.add_argument("--base", default="base")
    parser.add_argument("--adapter", type=Path)
    parser.add_argument("--files", type=Path, nargs="*")
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--steps", type=int, default=RenderConfig().steps)
    parser.add_argument("--keep", type=Path, help="leave the videos here")
    args = parser.parse_args()
    base = load_base(args.base, "auto")
    if args.adapter:
        base = apply_adapter(base, load_adapter(args.adapter))
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        files = args.files or (held_out_files(args.footage) if args.footage else actor_files(folder, args.clips))
        picks = np.unique(np.linspace(0, len(files) - 1, args.clips).round().astype(int))
        files = [files[k] for k in picks]
        rows = measure(files, base, args.steps, folder)
        seconds = sum(probe(file).duration_s for file in files)
    for row in rows:
        print("  ".join(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()))
    means = summary(rows)
    for kind, values in means.items():
        print(kind, values)
    print(
        json.dumps(
            {"bench": "rendered", "steps": args.steps, "files": len(files), "seconds": seconds, "medians": means}
        )
    )


if __name__ == "__main__":
    main()
