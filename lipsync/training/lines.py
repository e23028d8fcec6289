"""Lines that virtual actors speak: exact mouth shapes in many voices and languages, without pictures, in one file.

LINES is a safetensors file: one uint8 tensor a line, xz of mouth int16 (F, 31, 3) in steps of 1/2000 eye distance as
differences over time, times float64 (F,), mel uint8 (T, 80), the same steps as in packed.py; the metadata lists name,
person and frame rate. `python -m data_prep.actors.lines` writes one, `lipsync pretrain --lines` learns from it.
"""

import json
import lzma
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from lipsync.config import from_mapping
from lipsync.errors import DatasetError
from lipsync.faces.align import mouth_opening
from lipsync.model.shape import ShapeSpace, find_neutral
from lipsync.training.packed import MOUTH_BYTES, mel_bytes, mel_of, mouth_bytes, mouth_of
from lipsync.training.shape_task import ShapeClip

FORMAT = "lipsync-lines-1"


@dataclass(frozen=True)
class SpokenLine:
    """times_s (F,) on the clock of log_mel (T, 80), frame k at k/100 s; mouth float32 (F, 31, 3) in head units."""

    name: str
    person: str
    frame_rate: float
    times_s: np.ndarray
    mouth: np.ndarray
    log_mel: np.ndarray


@dataclass(frozen=True)
class _Record:
    name: str
    person: str
    frame_rate: float
    frames: int


def write_lines(lines: Iterable[SpokenLine], out: Path) -> int:
    """Write them as one file, which appears only when it is whole; returns how many. DatasetError: a name twice."""
    tensors, records = {}, []
    for line in lines:
        if line.name in tensors:
            raise DatasetError(f"two lines are called {line.name}; give every line a name of its own")
        record = _Record(line.name, line.person, line.frame_rate, len(line.times_s))
        blob = mouth_bytes(line.mouth) + line.times_s.astype("<f8").tobytes() + mel_bytes(line.log_mel)
        tensors[line.name] = np.frombuffer(lzma.compress(blob), np.uint8)
        records.append(asdict(record))
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(out.name + ".part")
    try:
        save_file(tensors, part, {"format": FORMAT, "lines": json.dumps(records, ensure_ascii=False)})
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
    return len(records)


def read_lines(path: Path) -> list[SpokenLine]:
    """The lines of a file. Raises DatasetError naming it."""
    lines = []
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise DatasetError(f"{path}: expected actors' lines ({FORMAT}), found {metadata.get('format')!r}")
            for number, values in enumerate(json.loads(metadata["lines"]), 1):
                record = from_mapping(_Record, values, f"{path}: line {number}")
                blob, frames = lzma.decompress(file.get_tensor(record.name).tobytes()), record.frames
                mouths, times = MOUTH_BYTES * frames, 8 * frames
                lines.append(
                    SpokenLine(
                        record.name,
                        record.person,
                        record.frame_rate,
                        np.frombuffer(blob, "<f8", frames, mouths).copy(),
                        mouth_of(blob[:mouths]),
                        mel_of(blob[mouths + times :]),
                    )
                )
    except (SafetensorError, OSError, lzma.LZMAError, ValueError, KeyError) as error:
        raise DatasetError(f"{path}: no file of actors' lines, or cut short ({error}); make it again") from error
    return lines


def line_clips(lines: Iterable[SpokenLine], space: ShapeSpace) -> list[ShapeClip]:
    """Encode the lines in a space."""
    clips = []
    for line in lines:
        rest, opening = find_neutral(line.mouth), mouth_opening(line.mouth).astype(np.float32)
        coefficients = np.clip(space.encode(line.mouth, rest), -6, 6)
        clips.append(
            ShapeClip(line.name, line.person, line.frame_rate, line.times_s, line.log_mel, coefficients, opening, rest)
        )
    return clips
