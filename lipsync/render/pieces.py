"""Finished pieces of a render, kept beside its output until that is whole: what was done is not done again.

    OUT's folder / .NAME.pieces /  job.json   what is rendered: pieces of another job are thrown away
                                   00000.mp4  00000.json  00000.npz    a piece, what it holds, what the next takes over

A piece counts once its .json is there, which is written last and appears in one step.
"""

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

import lipsync
from lipsync.config import RenderConfig, to_mapping
from lipsync.model.base import Base
from lipsync.render.blocks import Carry, Start
from lipsync.types import Sound


@dataclass(frozen=True)
class Record:
    """A finished piece: its first picture's ticks, its last picture's time, and what was done in it.

    passed: [position, time_s, reason] of pictures left as they were. following: where the next block begins.
    """

    number: int
    frames: int
    first_pts: int
    first_s: float
    last_s: float
    rendered: int
    largest_outside: int
    passed: list[list[Any]]
    following: dict[str, Any] = field(default_factory=dict)


class Pieces:
    """The folder of a job's pieces.

    Args:
        out: the job's output.
        key: what is rendered and how, see `job_key`; pieces of another key are removed.
    """

    def __init__(self, out: Path, key: str) -> None:
        self.folder = out.absolute().with_name(f".{out.name[:100]}.pieces")
        note = self.folder / "job.json"
        if self.folder.is_dir() and not (note.is_file() and json.loads(note.read_text() or "{}").get("key") == key):
            shutil.rmtree(self.folder)
        self.folder.mkdir(exist_ok=True)
        _write(note, json.dumps({"key": key, "version": lipsync.__version__}).encode())

    def path(self, number: int) -> Path:
        """The video of a piece."""
        return self.folder / f"{number:05d}.mp4"

    def done(self) -> list[Record]:
        """The pieces that are finished, from the first on without a gap."""
        out = []
        while (note := self.path(len(out)).with_suffix(".json")).is_file() and self.path(len(out)).is_file():
            out.append(Record(**json.loads(note.read_text())))
        return out

    def save(self, record: Record, carry: Carry | None) -> None:
        """Note that a piece is finished; its video is in its place."""
        if carry is not None:
            file = self.path(record.number).with_suffix(".npz")
            with file.open("wb") as target:
                np.savez(target, **{f.name: np.asarray(getattr(carry, f.name)) for f in fields(carry)})
            older = self.path(record.number - 1).with_suffix(".npz")
            older.unlink(missing_ok=True)
        _write(self.path(record.number).with_suffix(".json"), json.dumps(asdict(record)).encode())

    def carried(self, record: Record) -> tuple[Start, Carry | None]:
        """Where the part after a finished piece begins, and with what."""
        if not self.path(record.number).with_suffix(".npz").is_file():
            return Start(**record.following), None
        with np.load(self.path(record.number).with_suffix(".npz"), allow_pickle=False) as arrays:
            values = {name: value.item() if value.ndim == 0 else value for name, value in arrays.items()}
        return Start(**record.following), Carry(**values)

    def drop(self) -> None:
        """Remove all."""
        shutil.rmtree(self.folder, ignore_errors=True)


def job_key(base: Base, config: RenderConfig, *inputs: Path | Sound | None) -> str:
    """One hash of everything that decides a render's frames: models, settings, inputs."""
    digest = hashlib.sha256(json.dumps([lipsync.__version__, base.hash, base.person, to_mapping(config)]).encode())
    for model in (base.shape, base.pixel):
        for value in model.state_dict().values():
            digest.update(value.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
    if base.style is not None:
        digest.update(base.style.detach().float().cpu().numpy().tobytes())
    for given in inputs:
        if isinstance(given, Path):
            stat = given.stat()
            digest.update(f"{given.absolute()} {stat.st_size} {stat.st_mtime_ns}".encode())
        elif given is not None:
            digest.update(f"{given.sample_rate_hz} {given.start_s} {given.samples.shape}".encode())
            digest.update(np.ascontiguousarray(given.samples).tobytes())
        digest.update(b"|")
    return digest.hexdigest()


def _write(path: Path, data: bytes) -> None:
    part = path.with_suffix(path.suffix + ".part")
    part.write_bytes(data)
    os.replace(part, path)
