"""Mouths at full size: how sharp against the skin around them, how steady, how near to the source beside the lips.

    python tests/bench/pasted.py FILES... [--speech SPEECH.wav] [--base base] [--frames 50] [--keep FOLDER]

Each file is dubbed with foreign speech and measured after encoding, source and result at the same times: sharpness is
mean |∇²Y| over the lips (old and new together) by that of the skin around them, of the source's own ratio; flicker is
the mean second difference over time on the lips, of the source's; skin is the mean low-frequency difference beside the
lips in grey levels. Prints a table and then one JSON line; asserts nothing.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from lipsync.config import RenderConfig, WindowConfig
from lipsync.errors import LipsyncError
from lipsync.faces.align import OUTER_LIP, crop_window
from lipsync.faces.detect import open_detector
from lipsync.faces.follow import follow_face, read_stretch
from lipsync.media import read_sound
from lipsync.model.base import Base, load_base
from lipsync.render.dub import dub
from lipsync.render.place import enlarged
from lipsync.types import Sound

AROUND = 0.11  # how far the skin reaches around the lips, of the window's side


def regions(mouths: Sequence[np.ndarray], times: int, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Lips of all mouths (31, 2) window px together, and the skin around them: bool (n·S, n·S)."""
    side, lips = times * size_px, np.zeros((times * size_px,) * 2, np.uint8)
    for mouth in mouths:
        cv2.fillConvexPoly(lips, cv2.convexHull(np.rint((mouth[OUTER_LIP] + 0.5) * times).astype(np.int32)), 1)
    near, wide = (cv2.dilate(lips, np.ones((max(3, int(r * side)),) * 2, np.uint8)) for r in (0.04, 2 * AROUND))
    ring = (wide > 0) & (near == 0)
    ring[: side // 9], ring[-side // 8 :] = False, False
    return lips > 0, ring


def measure(source: Path, result: Path, frames: int) -> dict[str, float]:
    """The figures of one pair of files, over their first `frames` frames in which both faces are seen."""
    size = WindowConfig.size_px
    old, new = (follow_face(file, open_detector(), WindowConfig(), face="largest") for file in (source, result))
    times = int(np.clip(np.ceil(1 / np.linalg.norm(np.nanmedian(old.transforms[:, 0, :2], axis=0))), 1, 8))
    rows, pictures, masks = [], list[tuple[np.ndarray, np.ndarray]](), list[np.ndarray]()
    pairs = zip(read_stretch(old, 0, len(old)), read_stretch(new, 0, len(new)), strict=True)
    for k, images in islice(enumerate(pairs), frames):
        if not (old.seen[k] and new.seen[k]):
            continue
        matrix = enlarged(old.transforms[k], times)
        grey = [
            cv2.cvtColor(crop_window(image, matrix, times * size), cv2.COLOR_RGB2GRAY).astype(np.float32)
            for image in images
        ]
        placed = np.stack([new.mouth_px()[k]]) @ old.transforms[k][:, :2].T + old.transforms[k][:, 2]
        lips, ring = regions([old.points[k], placed[0]], times, size)
        edges = [np.abs(cv2.Laplacian(image, cv2.CV_32F)) for image in grey]
        apart = cv2.GaussianBlur(grey[1] - grey[0], (0, 0), 3.0 * times)
        rows.append([*(float(e[m].mean()) for e in edges for m in (lips, ring)), float(np.abs(apart[ring]).mean())])
        pictures.append((grey[0], grey[1]))
        masks.append(lips)
    found = np.array(rows)
    second = [
        np.mean(
            [
                np.abs(c[i] - 2 * b[i] + a[i])[m].mean()
                for a, b, c, m in zip(*triples(pictures), masks[1:-1], strict=True)
            ]
        )
        for i in (0, 1)
    ]
    return {
        "sharpness": float(np.median(found[:, 2] / found[:, 3]) / np.median(found[:, 0] / found[:, 1])),
        "lips": float(np.median(found[:, 2] / found[:, 0])),
        "skin": float(np.median(found[:, 3] / found[:, 1])),
        "beside": float(np.median(found[:, 4])),
        "flicker": float(second[1] / max(second[0], 1e-6)),
    }


def triples(items: list[tuple[np.ndarray, np.ndarray]]) -> tuple[list, list, list]:
    """Items before, at and after each but the ends."""
    return items[:-2], items[1:-1], items[2:]


def run(files: list[Path], speech: Sound, base: Base, frames: int, folder: Path) -> list[dict[str, object]]:
    """A row for each file; what could not be done is a row with its error."""
    rows: list[dict[str, object]] = []
    for file in files:
        out, begun = folder / f"{file.stem}_pasted.mp4", time.process_time()
        try:
            result = dub(file, speech, out, base, RenderConfig(face="largest"))
            cost = 1000 * (time.process_time() - begun) / result.frames
            values = measure(file, out, frames) | {"cpu_ms_a_frame": cost, "passed": float(len(result.passed_through))}
            rows.append({"file": file.name, **{name: round(value, 3) for name, value in values.items()}})
        except LipsyncError as error:
            rows.append({"file": file.name, "error": str(error)})
    return rows


def main() -> None:
    """See the file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--speech", type=Path, help="default: the sound of the next file")
    parser.add_argument("--base", default="base")
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--keep", type=Path, help="leave the videos here")
    args = parser.parse_args()
    speech = read_sound(args.speech or args.files[-1], sample_rate_hz=None)
    if speech is None:
        parser.error("the speech has no sound")
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        rows = run(args.files, speech, load_base(args.base, "auto"), args.frames, folder)
    for row in rows:
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    done = [row for row in rows if "error" not in row]
    medians = {name: round(float(np.median([float(str(row[name])) for row in done])), 3) for name in list(done[0])[1:]}
    print(json.dumps({"bench": "pasted", "files": len(done), "medians": medians}))


if __name__ == "__main__":
    main()
