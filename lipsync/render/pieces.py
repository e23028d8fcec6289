"""Finished pieces of a render: what was done is not done again, after an interruption or after an edit.

    FOLDER /  job.json   what is rendered (a hash), and how many pieces it has once all were there
              00000.mp4  00000.json  00000.npz    a piece; what it holds and what it followed; its order, and what the
                                                  next piece takes over

A piece counts once its .json is there, which is written last and appears in one step. It holds as long as what it was
made from is the same: models, settings and template (the folder's key), its pictures' order and times, and the mouth
shapes and the sound of its own stretch, and when the mouth speaks next to it (`Record.told`). Pieces of another key are
removed.

The folder lies hidden beside the output and goes when that is whole; or it is the caller's and stays: then it holds
one render's pieces and no more, about as much as the output itself and 4 MB a piece. One render works in it at a time:
it is locked (flock, on systems that have it) until `close`, or until the process ends.
"""

import errno
import hashlib
import json
import os
import re
import sys
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

import lipsync
from lipsync.config import RenderConfig, to_mapping
from lipsync.errors import UsageError
from lipsync.faces.occlusion import WEIGHTS as OCCLUSION_WEIGHTS
from lipsync.model.base import Base
from lipsync.model.checkpoint import file_hash
from lipsync.render.carry import Carry, Start, each_its_own
from lipsync.render.sequence import Sequence

LAYOUT = 4  # count up when the division into pieces changes, what a piece holds, its pictures, or the plan of them
_OWN = re.compile(r"\d{5}\.(mp4|json|npz)(\.part)?|job\.json(\.part)?|\.\d{5}\.[0-9a-f]{8}\.part\.mp4")


@dataclass(frozen=True)
class Record:
    """A finished piece: its first picture's ticks, its last picture's time, and what was done in it.

    passed: [position, time_s, reason] of pictures left as they were. following: where the next piece begins.
    lead: positions before its first that only ran in. told: a hash of what it followed, see `told_by`.
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
    lead: int = 0
    told: str = ""

    @property
    def last(self) -> int:
        """One past its last frame, counted from the output's first."""
        return int(self.following["first"])

    @property
    def first(self) -> int:
        """Its first frame, counted from the output's first."""
        return self.last - self.frames


class Pieces:
    """The folder of a job's pieces.

    Args:
        out: the job's output.
        key: what is rendered and how, see `job_key`; pieces of another key are removed.
        folder: where they are kept for good; None: beside the output, until `drop`.

    Raises:
        UsageError: `folder` holds other things than pieces, is a file, or another render is working in it.
    """

    def __init__(self, out: Path, key: str, folder: Path | None = None) -> None:
        self.folder = folder or out.absolute().with_name(f".{out.name[:100]}.pieces")
        self.key, self.kept = key, folder is not None
        note = self.folder / "job.json"
        if self.folder.exists() and not self.folder.is_dir():
            raise UsageError(f"{self.folder}: a file, where the folder of a render's pieces was expected")
        if self.kept and not _noted(note) and self.folder.is_dir() and any(self.folder.iterdir()):
            raise UsageError(f"{self.folder}: holds files, but no pieces of a render; name a new or an empty folder")
        self.folder.mkdir(exist_ok=True)
        self._lock = _locked(self.folder)
        known = _noted(note)
        self.count: int | None = known.get("count")
        if known.get("key") != key:
            self.count = None
            self._clear()
        self._note()

    def close(self) -> None:
        """Let others work in the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def path(self, number: int) -> Path:
        """The video of a piece."""
        return self.folder / f"{number:05d}.mp4"

    def done(self) -> dict[int, Record]:
        """The pieces that are finished, by number."""
        found = {}
        for note in sorted(self.folder.glob("[0-9]*.json")):
            record = Record(**json.loads(note.read_text()))
            if self.path(record.number).is_file() and note.with_suffix(".npz").is_file():
                found[record.number] = record
        return found

    def begin(self, number: int) -> Path:
        """Where the video of a piece is to be written; what was there no longer counts."""
        self.path(number).with_suffix(".json").unlink(missing_ok=True)
        return self.path(number)

    def save(self, record: Record, order: Sequence, carry: Carry | None) -> None:
        """Note that a piece is finished; its video is in its place."""
        values = {"frames": order.frames, "times_s": order.times_s, "pts": order.pts}
        if carry is not None:
            values |= {f"carry_{f.name}": np.asarray(getattr(carry, f.name)) for f in fields(carry) if f.name != "fine"}
            values |= {f"fine_{k:02d}": picture for k, picture in enumerate(carry.fine)}  # packed one by one
        with self.path(record.number).with_suffix(".npz").open("wb") as target:
            np.savez_compressed(target, allow_pickle=False, **values)
        _write(self.path(record.number).with_suffix(".json"), json.dumps(asdict(record)).encode())

    def order(self, number: int) -> Sequence:
        """What a finished piece shows when, its lead included."""
        with np.load(self.path(number).with_suffix(".npz"), allow_pickle=False) as arrays:
            return Sequence(arrays["frames"], arrays["times_s"], arrays["pts"])

    def carried(self, record: Record) -> tuple[Start, Carry | None]:
        """Where the part after a finished piece begins, and with what."""
        with np.load(self.path(record.number).with_suffix(".npz"), allow_pickle=False) as arrays:
            own = {name.removeprefix("carry_"): arrays[name] for name in arrays.files if name.startswith("carry_")}
            fine = [arrays[name] for name in sorted(arrays.files) if name.startswith("fine_")]
        values = {name: value.item() if value.ndim == 0 else value for name, value in own.items()}
        return Start(**record.following), Carry(**values, fine=each_its_own(fine)) if values else None

    def finish(self, count: int) -> None:
        """All `count` pieces are there and the output is whole: keep these alone, or none."""
        if not self.kept:
            self.drop()
            return
        self._clear(count)
        self.note_count(count)

    def note_count(self, count: int | None) -> None:
        """Note how many pieces there are in all; None: that is not known."""
        self.count = count
        self._note()

    def size_mb(self) -> float:
        """What the folder takes up."""
        return sum(file.stat().st_size for file in self.folder.iterdir() if file.is_file()) / 1e6

    def drop(self) -> None:
        """Remove all, unless it is to be kept."""
        if not self.kept and self.folder.is_dir():
            self._clear()
            (self.folder / "job.json").unlink(missing_ok=True)
            self.folder.rmdir()

    def _clear(self, first: int = 0) -> None:
        """Remove the pieces from `first` on, and what was left half written."""
        for file in self.folder.glob("*") if self.folder.is_dir() else ():
            number = re.match(r"\d{5}", file.name)
            if _OWN.fullmatch(file.name) and file.name != "job.json" and (not number or int(number[0]) >= first):
                file.unlink()

    def _note(self) -> None:
        note = {"key": self.key, "version": lipsync.__version__, "count": self.count}
        _write(self.folder / "job.json", json.dumps(note).encode())


def stale_stretches(good: set[int], count: int | None) -> list[tuple[int, int | None]]:
    """Numbers first ≤ n < stop of pieces to be made, in order; None: as many as come, where `count` is not known."""
    out, at = list[tuple[int, int | None]](), 0
    for number in sorted(good):
        if number > at:
            out.append((at, number))
        at = number + 1
    if count is None or at < count:
        out.append((at, count))
    return out


def first_apart(records: dict[int, Record]) -> int | None:
    """The number of the first piece that does not begin where the piece before it ends; None where all join."""
    for number, record in sorted(records.items()):
        before = 0 if number == 0 else records[number - 1].last if number - 1 in records else record.first
        if record.first != before:
            return number
    return None


def job_key(base: Base, config: RenderConfig, template: Path) -> str:
    """One hash of what decides the pictures of all pieces alike: layout, models, settings, and the template's file."""
    known = [LAYOUT, lipsync.__version__, base.hash, base.person, file_hash(OCCLUSION_WEIGHTS), to_mapping(config)]
    known.append(to_mapping(base.pixel.config))  # an adapter brings its own `detail`
    digest = hashlib.sha256(json.dumps(known).encode())
    digest.update(base.device.type.encode())
    for model in (base.shape, base.pixel):
        for value in model.state_dict().values():
            digest.update(value.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
    for name, windows in sorted(base.references.items()):
        digest.update(name.encode() + windows.detach().cpu().contiguous().numpy().tobytes())
    if base.style is not None:
        digest.update(base.style.detach().float().cpu().numpy().tobytes())
    stat = template.stat()
    digest.update(f"{template.absolute()} {stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.hexdigest()


def told_by(order: Sequence, lead: int, *followed: np.ndarray) -> str:
    """One hash of what a piece follows: its order and times, and arrays: mouth shapes, sound around its frames."""
    digest = hashlib.sha256(str(lead).encode())
    for values in (order.frames, order.times_s, order.pts, *followed):
        digest.update(f"{values.dtype} {values.shape}".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def _locked(folder: Path) -> int | None:
    """An open descriptor that locks a folder; None on systems without such locks."""
    if sys.platform == "win32":
        return None
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise UsageError(
                f"{folder}: another render is working in it; wait until it is done, or name another output or folder"
            ) from error
        return None  # a file system without locks
    return descriptor


def _noted(note: Path) -> dict[str, Any]:
    """What a folder's job.json notes; {} where there is none, or it is not that of a render's pieces."""
    try:
        known = json.loads(note.read_text()) if note.is_file() else {}
    except ValueError:
        return {}
    return known if isinstance(known, dict) and {"key", "version", "count"} <= known.keys() else {}


def _write(path: Path, data: bytes) -> None:
    part = path.with_suffix(path.suffix + ".part")
    part.write_bytes(data)
    os.replace(part, path)
