"""What a run shows while it learns: samples of one fixed line of somebody else, and the curves of its log.

RUN/samples/step_000200.png   eight moments of the line: above the base, below the person as learned so far
RUN/samples/base.npy          the base's performance of it, for runs that are resumed
RUN/samples/latest.mp4        the same as a video with its sound, base on the left
RUN/{shape,pixel}/log.jsonl   a row for each logged step and each evaluation (`held_out_…`)
"""

import json
import os
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from lipsync.errors import LipsyncError, MediaError
from lipsync.media import VideoWriter
from lipsync.types import Sound

SAMPLES, LATEST = "samples", "latest.mp4"
MOMENTS, ZOOM = 8, 2


def keep_base_performance(run: Path, performed: np.ndarray, anew: bool) -> np.ndarray:
    """The base's performance of the line, uint8 (N, S, S, 3): what was kept, or, `anew` or with nothing kept, this one.

    Raises:
        LipsyncError: it cannot be written.
    """
    kept = run / SAMPLES / "base.npy"
    if kept.is_file() and not anew:
        return np.load(kept)
    part = kept.with_suffix(".part")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            np.save(file, performed)
        os.replace(part, kept)
    except OSError as error:
        raise LipsyncError(
            f"{kept} could not be written ({error}): make room on the disk, then go on with --resume"
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return performed


def write_samples(run: Path, step: int, base: np.ndarray, learned: np.ndarray, frame_rate: float, sound: Sound) -> Path:
    """Write the sheet of a step and the latest video.

    Args:
        base, learned: uint8 (N, S, S, 3) windows of the same line.

    Returns:
        The sheet's file.

    Raises:
        LipsyncError: they cannot be written.
    """
    folder = run / SAMPLES
    try:
        folder.mkdir(parents=True, exist_ok=True)
        count = min(len(base), len(learned))
        moments = np.linspace(0, count - 1, min(MOMENTS, count)).round().astype(int)
        sheet = np.concatenate([np.concatenate([part[i] for i in moments], 1) for part in (base, learned)])
        path = folder / f"step_{step:06d}.png"
        ok, coded = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
        if not ok:
            raise LipsyncError(f"{path}: the picture could not be coded")
        part = path.with_suffix(".part")
        part.write_bytes(coded.tobytes())
        os.replace(part, path)
        _write_video(folder / LATEST, base[:count], learned[:count], frame_rate, sound)
    except (OSError, MediaError) as error:
        raise LipsyncError(f"{folder}: samples of step {step} could not be written ({error})") from error
    return path


def _write_video(path: Path, base: np.ndarray, learned: np.ndarray, frame_rate: float, sound: Sound) -> None:
    frames = np.concatenate([base, learned], axis=2)
    height, width = (ZOOM * v for v in frames.shape[1:3])
    rate = Fraction(frame_rate).limit_denominator(1001)
    with VideoWriter(path, width=width, height=height, frame_rate=rate, sound=sound) as writer:
        for frame in frames:
            writer.write(cv2.resize(frame, (width, height), interpolation=cv2.INTER_CUBIC))


def read_curves(run: Path) -> dict[str, list[tuple[int, float]]]:
    """(step, value) of every reading of a run so far, as "pixel/loss" and "shape/held_out_own_correlation"."""
    curves: dict[str, list[tuple[int, float]]] = {}
    for part in ("shape", "pixel"):
        path = run / part / "log.jsonl"
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
            try:
                row = json.loads(line)
            except json.JSONDecodeError:  # the row that is being written
                continue
            for name, value in row.items():
                if name not in ("step", "seconds"):
                    curves.setdefault(f"{part}/{name}", []).append((int(row["step"]), float(value)))
    return curves


def latest_samples(run: Path) -> tuple[Path | None, Path | None]:
    """(newest sheet, video) of a run; None for what is not there yet."""
    sheets = sorted((run / SAMPLES).glob("step_*.png"))
    video = run / SAMPLES / LATEST
    return (sheets[-1] if sheets else None), (video if video.is_file() else None)
