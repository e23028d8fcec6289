"""Check a dataset against its description in lipsync/training/clipstore.py, before anything is learned from it."""

import json
import wave
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from lipsync.config import from_mapping
from lipsync.errors import ConfigError, DatasetError, MediaError
from lipsync.faces.align import MOUTH_POINTS
from lipsync.media import read_frames
from lipsync.progress import Progress, Silent
from lipsync.speech.features import MEL_RATE_HZ, MELS, SAMPLE_RATE_HZ
from lipsync.training.clipstore import MANIFEST, MEL_PAD_S, ClipRecord

_REQUIRED = ("id", "source", "frames", "frame_rate", "duration_s", "start_s", "inter_ocular_px")
# What a line of the manifest holds: meaning, least, most.
_MEANS: dict[str, tuple[str, float, float]] = {
    "id": ("name of the clip's files below clips/", 0, 0),
    "source": ("name of the footage file", 0, 0),
    "person": ("who is seen; empty when nobody said", 0, 0),
    "start_s": ("where the clip begins in the footage, seconds", -60.0, np.inf),
    "duration_s": ("length, seconds", 1e-3, 3600.0),
    "frames": ("number of windows", 1, 1e6),
    "frame_rate": ("frames a second", 1.0, 1000.0),
    "inter_ocular_px": ("distance between the eyes in the footage, px", 1.0, 1e4),
    "offset_frames": ("how late the footage's sound comes, frames; readers correct it", -1e3, 1e3),
    "offset_score": ("how well mouth and sound agree there", -1.0, 1.0),
    "sharpness": ("mean |Laplacian| of the windows, grey levels", 0.0, 2040.0),
    "yaw_deg": ("median turn of the head to the side, degrees", -180.0, 180.0),
    "pitch_deg": ("median nod of the head, degrees", -180.0, 180.0),
    "brightness": ("mean luma of the windows, grey levels", 0.0, 255.0),
    "speech_share": ("share of the time in which something is said", 0.0, 1.0),
    "score": ("how much the clip teaches", 0.0, 1.0),
    "language": ("language spoken, a code such as en", 0, 0),
    "rights": ("by what right it is used", 0, 0),
    "origin": ("where the footage comes from", 0, 0),
    "flags": ("faults of a clip that was kept, such as music", 0, 0),
    "seen_as": ("number of the person within the footage file, -1 when not told apart", -1.0, 1e4),
}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a dataset. `line` of the manifest, 0 where it is about no line."""

    file: str
    line: int
    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.what}: expected {self.expected}, found {self.found}"


def validate(dataset: Path, progress: Progress | None = None) -> list[Problem]:
    """Everything that is wrong with a dataset folder; an empty list when it can be learned from.

    Reads every file: about a minute for an hour of clips.

    Raises:
        DatasetError: the folder holds no manifest at all.
    """
    dataset, progress = Path(dataset), progress or Silent()
    manifest = dataset / MANIFEST
    if not manifest.is_file():
        raise DatasetError(
            f"{dataset} is no dataset: {MANIFEST} is missing. Make one with: lipsync prepare FOOTAGE --out {dataset}"
        )
    records, problems = _records(manifest)
    progress.start("checking clips", len(records), "clips")
    for line, record in records:
        problems += [Problem(file, line, what, want, got) for file, what, want, got in _clip_problems(dataset, record)]
        progress.advance(1, record.id)
    progress.done(f"{len(problems)} problems")
    return problems


def schema() -> dict[str, dict[str, Any]]:
    """What a line of the manifest holds: per field its type, what it means with its unit, its least and most value."""
    out: dict[str, dict[str, Any]] = {}
    for field in fields(ClipRecord):
        means, least, most = _MEANS.get(field.name, ("", 0, 0))
        kind = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", str(field.type))
        out[field.name] = {"type": kind, "required": field.name in _REQUIRED, "means": means}
        if least != most:
            out[field.name] |= {"least": least, **({"most": most} if np.isfinite(most) else {})}
    return out


def _records(manifest: Path) -> tuple[list[tuple[int, ClipRecord]], list[Problem]]:
    """The manifest's good lines with their numbers, and what is wrong with the others."""
    records: list[tuple[int, ClipRecord]] = []
    problems: list[Problem] = []
    seen: dict[str, int] = {}
    name = str(manifest)
    lines = manifest.read_text(encoding="utf-8", errors="replace").splitlines()
    if not lines:
        problems.append(Problem(name, 0, "clips", "at least one line", "an empty file"))
    for number, line in enumerate(lines, 1):
        read = _record(line, f"{name}:{number}")
        if isinstance(read, ClipRecord):
            bad = list(_value_problems(read))
            if read.id in seen:
                bad.append(("id", "one that no other line has", f"{read.id} of line {seen[read.id]}"))
            seen.setdefault(read.id, number)
            if not bad:
                records.append((number, read))
        else:
            bad = [read]
        problems += [Problem(name, number, *entry) for entry in bad]
    return records, problems


def _record(line: str, where: str) -> ClipRecord | tuple[str, str, str]:
    """The clip of a manifest line, or (what, expected, found)."""
    try:
        values = json.loads(line)
    except json.JSONDecodeError as error:
        return "line", "one JSON object", f"{line[:60]!r} ({error.msg})"
    if not isinstance(values, dict):
        return "line", "one JSON object", repr(line[:60])
    missing = [key for key in _REQUIRED if key not in values]
    if missing:
        return "fields", ", ".join(_REQUIRED), f"no {', '.join(missing)}"
    try:
        return from_mapping(ClipRecord, {"person": "", **values}, where)
    except ConfigError as error:
        return "fields", f"those of a clip ({', '.join(f.name for f in fields(ClipRecord))})", str(error)


def _value_problems(record: ClipRecord) -> Iterator[tuple[str, str, str]]:
    """(what, expected, found) of a line's own values."""
    if not record.id or "/" in record.id or record.id.startswith("."):
        yield "id", "a plain file name", repr(record.id)
    for name in ("frames", "frame_rate", "duration_s"):
        value = getattr(record, name)
        if not (np.isfinite(value) and value > 0):
            yield name, "more than 0", str(value)
            return
    for field in fields(ClipRecord):
        value = getattr(record, field.name)
        _, least, most = _MEANS.get(field.name, ("", 0, 0))
        if isinstance(value, float) and not np.isfinite(value):
            yield field.name, "a number", str(value)
        elif isinstance(value, int | float) and least != most and not least <= value <= most:
            yield field.name, f"{least:g} to {most:g}", str(value)


def _clip_problems(dataset: Path, record: ClipRecord) -> Iterator[tuple[str, str, str, str]]:
    """(file, what, expected, found) of one clip's files."""
    base = dataset / "clips" / record.id
    paths = [base.with_name(base.name + suffix) for suffix in (".safetensors", ".mp4", ".wav")]
    for path, check in zip(paths, (_array_problems, _picture_problems, _sound_problems), strict=True):
        if not path.is_file():
            yield str(path), "file", "one for every clip", "none"
            continue
        for what, want, got in check(path, record):
            yield str(path), what, want, got


def _array_problems(path: Path, record: ClipRecord) -> Iterator[tuple[str, str, str]]:
    try:
        arrays = load_file(path)
    except (SafetensorError, OSError) as error:
        yield "content", "a safetensors file", str(error)
        return
    frames = record.frames
    shapes = {
        "times_s": (frames,),
        "mouth": (frames, MOUTH_POINTS, 3),
        "points": (frames, MOUTH_POINTS, 2),
        "pose_deg": (frames, 3),
    }
    for name, shape in shapes.items():
        if name not in arrays:
            yield name, f"an array {shape}", "none"
        elif arrays[name].shape != shape:
            yield name, f"shape {shape}", str(arrays[name].shape)
    mel = arrays.get("log_mel")
    if mel is None or mel.ndim != 2 or mel.shape[1] != MELS:
        yield "log_mel", f"an array (T, {MELS})", "none" if mel is None else str(mel.shape)
    for name, values in sorted(arrays.items()):
        bad = int((~np.isfinite(values)).sum())
        if bad:
            yield name, "numbers", f"{bad} that are NaN or infinite"
    times = arrays.get("times_s")
    if times is None or times.shape != (frames,) or not np.isfinite(times).all():
        return
    if times[0] != 0 or (np.diff(times) <= 0).any():
        yield "times_s", "increasing from 0", f"first {times[0]:g}, least step {np.diff(times).min(initial=np.inf):g}"
    if mel is not None and mel.ndim == 2:
        wanted = 1 + round((float(times[-1]) + 2 * MEL_PAD_S) * MEL_RATE_HZ)
        if abs(len(mel) - wanted) > 1:
            yield "log_mel", f"{wanted} frames for {times[-1]:.2f} s and {MEL_PAD_S:g} s on both sides", str(len(mel))


def _picture_problems(path: Path, record: ClipRecord) -> Iterator[tuple[str, str, str]]:
    count, size = 0, (0, 0)
    try:
        for frame in read_frames(path):
            count, size = count + 1, frame.image.shape[:2]
    except MediaError as error:
        yield "content", "a video", str(error)
        return
    if count != record.frames:
        yield "frames", str(record.frames), str(count)
    if size[0] != size[1]:
        yield "windows", "squares", f"{size[1]}×{size[0]} px"


def _sound_problems(path: Path, record: ClipRecord) -> Iterator[tuple[str, str, str]]:
    try:
        with wave.open(str(path)) as file:
            rate, channels, stated = file.getframerate(), file.getnchannels(), file.getnframes()
            length = len(file.readframes(stated)) // (file.getsampwidth() * channels)
    except (wave.Error, EOFError, OSError) as error:
        yield "content", "a WAV file", str(error) or type(error).__name__
        return
    if (rate, channels) != (SAMPLE_RATE_HZ, 1):
        yield "sound", f"{SAMPLE_RATE_HZ} Hz, mono", f"{rate} Hz, {channels} channels"
    elif abs(length / rate - record.duration_s) > 1.5 / record.frame_rate:
        yield "length", f"{record.duration_s:.3f} s", f"{length / rate:.3f} s"
