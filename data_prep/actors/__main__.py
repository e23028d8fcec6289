"""`python -m data_prep.actors --out DIR`: videos of actors speaking made-up sentences, and a contact sheet."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from data_prep.actors.actor import Actor
from data_prep.actors.cast import cast
from data_prep.actors.footage import ExactFootage, render_footage
from data_prep.actors.made_up import random_actor
from data_prep.actors.sentences import passage
from lipsync.errors import LipsyncError
from lipsync.media.read import read_frames
from lipsync.progress import Progress, Terminal

SHEET_COLUMNS = 6


def people(count: int, language: str | None) -> list[Actor]:
    """The named actors first, then made-up ones; all in one language if that is given."""
    named = cast()
    chosen = list(named[:count]) + [random_actor(seed) for seed in range(max(0, count - len(named)))]
    if language is None:
        return chosen
    spoken = [f"espeak:{language}" + "+".join(["", *actor.voice.split("+")[1:]]) for actor in chosen]
    return [replace(actor, language=language, voice=voice) for actor, voice in zip(chosen, spoken, strict=True)]


def contact_strip(footage: ExactFootage, columns: int = SHEET_COLUMNS) -> np.ndarray:
    """uint8 (H, columns·W, 3): frames of the footage at equal distances."""
    wanted = set(np.linspace(0, len(footage.times_s) - 1, columns).round().astype(int).tolist())
    shown = [frame.image for frame in read_frames(footage.path) if frame.index in wanted]
    return np.hstack(shown + [shown[-1]] * (columns - len(shown)))


def render_all(
    actors: list[Actor],
    folder: Path,
    seconds: float,
    size_px: int,
    seed: int,
    progress: Progress,
) -> Path:
    """Film every actor into `folder`; returns the contact sheet's path."""
    folder.mkdir(parents=True, exist_ok=True)
    strips = []
    for actor in actors:
        progress.start(f"film {actor.name}", None, "frames")
        text = passage(actor.language, actor.seed + seed, seconds)
        footage = render_footage(
            actor,
            text,
            folder / f"{actor.name.lower()}.mp4",
            size_px=(size_px, size_px),
            seed=seed,
            on_frame=lambda _: progress.advance(),
        )
        progress.done(str(footage.path))
        strips.append(contact_strip(footage))
    sheet = folder / "contact_sheet.png"
    cv2.imwrite(str(sheet), np.vstack(strips)[..., ::-1])
    return sheet


def main() -> int:
    """Parse the command line and film."""
    parser = argparse.ArgumentParser(prog="python -m data_prep.actors", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--count", type=int, default=len(cast()), help="how many actors; the named ones first")
    parser.add_argument("--seconds", type=float, default=6.0, help="about how long each speaks")
    parser.add_argument("--size", type=int, default=384, help="side of the picture, px")
    parser.add_argument("--language", default=None, help="one language for all; each actor's own when left out")
    parser.add_argument("--seed", type=int, default=0, help="another seed: other sentences, other takes")
    given = parser.parse_args()
    try:
        sheet = render_all(
            people(given.count, given.language), given.out, given.seconds, given.size, given.seed, Terminal()
        )
    except LipsyncError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{sheet}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
