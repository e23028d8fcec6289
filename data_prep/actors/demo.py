"""The whole way once, on a virtual actor, on this machine: footage → clips → adapter → typed script → video → figures.

    python -m data_prep.actors.demo --out demo

The actor's performance of the script, which training never sees, is the truth that every video is measured against.
Leaves OUT/footage/, OUT/dataset/report.html, OUT/adapter.safetensors, OUT/spoken.mp4, OUT/sheet.png, OUT/result.json.
"""

import argparse
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from data_prep.actors import Actor, cast, passage, render_footage
from data_prep.pipeline import prepare
from lipsync.config import RenderConfig, WindowConfig
from lipsync.consent import Consent
from lipsync.errors import LipsyncError
from lipsync.faces.align import crop_window
from lipsync.faces.detect import open_detector
from lipsync.faces.follow import follow_face
from lipsync.media import read_frames
from lipsync.model.base import Base, load_base
from lipsync.model.lora import apply_adapter, load_adapter
from lipsync.progress import Terminal
from lipsync.render.avatar import say
from lipsync.speech.voices import open_voice
from lipsync.sync.metrics import Evaluation, evaluate
from lipsync.training.finetune import FinetuneConfig, finetune
from lipsync.types import Sound, Speech

SCRIPT = "Hello. Nobody filmed me saying this: my mouth was made from the sound of these words."
OTHER = "Five brown boats were moving past the old stone bridge, while we watched."
SIZE_PX = (320, 320)


@dataclass(frozen=True)
class Made:
    """One row of the table: a video and how it did."""

    name: str
    path: Path
    figures: Evaluation


def main(argv: list[str] | None = None) -> int:
    """Run the demo; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m data_prep.actors.demo", description="The whole way, once.")
    parser.add_argument("--out", type=Path, default=Path("demo"))
    parser.add_argument("--actor", default="Mara", help="one of: " + ", ".join(a.name for a in cast()))
    parser.add_argument("--clips", type=int, default=8, help="sentences to learn from")
    parser.add_argument("--minutes", type=float, default=3.0, help="time to learn")
    args = parser.parse_args(argv)
    actor = next((a for a in cast() if a.name == args.actor), None)
    if actor is None:
        parser.error(f"no actor is called {args.actor!r}")
    time.monotonic()
    try:
        made = run(actor, args.out, args.clips, args.minutes)
    except LipsyncError as error:
        print(f"demo: {error}", file=sys.stderr)  # noqa: T201
        return 1
    print(table(made))  # noqa: T201
    return 0


def run(actor: Actor, out: Path, clips: int, minutes: float) -> list[Made]:
    """All stages; returns the rows of the table."""
    progress = Terminal(every_s=15)
    footage = film(actor, out / "footage", clips, progress)
    prepare([out / "footage"], out / "dataset", progress=progress)
    consent = Consent(actor.name, "the demo", "2026-01-01", f"{actor.name} is a rendered actor, who does not exist.")
    adapter = out / "adapter.safetensors"
    finetune(out / "dataset", adapter, config=FinetuneConfig(minutes=minutes), consent=consent, progress=progress)
    voice = open_voice(actor.voice)
    speech, other = voice.speak(SCRIPT), voice.speak(OTHER)
    base = load_base("base", "auto")
    person = apply_adapter(base, load_adapter(adapter))
    silence = Sound(np.zeros_like(speech.sound.samples), speech.sound.sample_rate_hz)
    plan: list[tuple[str, Speech | Sound, Base, str]] = [
        ("adapter", speech, person, "spoken.mp4"),
        ("base", speech, base, "base.mp4"),
        ("wrong sound", other, person, "wrong_sound.mp4"),
        ("silence", silence, person, "silence.mp4"),
    ]
    truth = out / "true.mp4"
    made = []
    for name, sound, model, file in plan:
        say(sound, footage[0], out / file, model, RenderConfig(seed=1), progress)
        made.append(Made(name, out / file, evaluate(out / file, truth, speech.sound, base, progress)))
    contact_sheet([truth, *(m.path for m in made[1::-1])], out / "sheet.png")
    result = {m.name: m.figures.to_json() for m in made}
    (out / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    return made


def film(actor: Actor, folder: Path, clips: int, progress: Terminal) -> list[Path]:
    """Footage to learn from, and the true performance of the script beside it, by two processes."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [passage(actor.language, i, 5.0) for i in range(clips)]
    jobs = [(actor, line, folder / f"{actor.name.lower()}_{i:02d}.mp4", i + 1) for i, line in enumerate(lines)]
    jobs.append((actor, SCRIPT, folder.parent / "true.mp4", 99))
    progress.start(f"filming {actor.name}, who does not exist", len(jobs), "clips")
    with ProcessPoolExecutor(2) as pool:
        for _ in pool.map(_film_one, jobs):
            progress.advance()
    progress.done()
    return [job[2] for job in jobs[:-1]]


def _film_one(job: tuple[Actor, str, Path, int]) -> None:
    actor, text, path, seed = job
    if not path.is_file():
        render_footage(actor, text, path, size_px=SIZE_PX, seed=seed)


def table(made: list[Made]) -> str:
    """The figures, each against the true performance."""
    columns = ("opening_correlation", "opening_spread_ratio", "landmark_distance", "mouth_sharpness_ratio")
    head = f"{'against the true mouth':24}" + "".join(f"{c.replace('_', ' '):>24}" for c in columns)
    rows = [head]
    for m in made:
        values = [m.figures.values[c] for c in columns]
        rows.append(f"{m.name:24}" + "".join(f"{'–' if v is None else format(v, '.3f'):>24}" for v in values))
    return "\n".join(rows)


def contact_sheet(videos: list[Path], out: Path, columns: int = 12, size_px: int = 160) -> None:
    """The lower face at the same times, a row a video; then how the last row differs from the first."""
    rows = [_row(video, columns, size_px) for video in videos]
    change = np.abs(rows[-1].astype(int) - rows[0]).clip(0, 255).astype(np.uint8)
    cv2.imwrite(str(out), np.concatenate([*rows, change])[:, :, ::-1])


def _row(video: Path, columns: int, size_px: int) -> np.ndarray:
    known = follow_face(video, open_detector(), WindowConfig(size_px=size_px))
    wanted = set(np.linspace(0, 0.92 * len(known), columns).astype(int).tolist())
    blank = np.zeros((size_px, size_px, 3), np.uint8)
    cells = []
    for frame in read_frames(video):
        if frame.index in wanted:
            seen = np.isfinite(known.transforms[frame.index]).all()
            cells.append(crop_window(frame.image, known.transforms[frame.index], size_px) if seen else blank)
    return np.concatenate((cells + [blank] * columns)[:columns], axis=1)


if __name__ == "__main__":
    sys.exit(main())
