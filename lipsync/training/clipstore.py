"""The dataset folder: what `prepare` writes, and what training, evaluation and the app read.

    DATASET/
      manifest.jsonl          one JSON object a clip: see ClipRecord
      clips/ID.mp4            the windows, S×S px, H.264
      clips/ID.safetensors    times_s (F,), mouth (F, 31, 3) head units, points (F, 31, 2) window px, pose_deg (F, 3),
                              log_mel (T, 80)
      clips/ID.wav            the clip's sound, 16 kHz mono

The mel of a clip starts MEL_PAD_S before its first frame; times are in seconds from the clip's first frame. A clip's
`offset_frames` says by how many frames its sound comes late (positive) in the footage: `mel_times_s` corrects it.
Reading needs only OpenCV, NumPy and safetensors.
"""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from lipsync.config import from_mapping
from lipsync.errors import ConfigError, DatasetError

MANIFEST = "manifest.jsonl"
MEL_PAD_S = 0.5


@dataclass(frozen=True)
class ClipRecord:
    """One line of the manifest. `source` is the footage file's name, `start_s` the clip's place in it."""

    id: str
    source: str
    person: str
    start_s: float
    duration_s: float
    frames: int
    frame_rate: float
    inter_ocular_px: float
    offset_frames: float = 0.0
    offset_score: float = 0.0
    sharpness: float = 0.0
    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    brightness: float = 0.0  # mean luma of the windows, 0 to 255
    speech_share: float = 0.0
    score: float = 0.0
    language: str = ""
    rights: str = ""
    origin: str = ""
    flags: tuple[str, ...] = ()  # faults of a clip that was kept: data_prep/listen.py
    seen_as: int = -1  # number of the person within the source, 0 who is seen most; -1: not told apart


@dataclass(frozen=True)
class Clip:
    """A clip in memory, windows left on disk until `windows()` is called."""

    record: ClipRecord
    folder: Path
    times_s: np.ndarray  # float64 (F,)
    mouth: np.ndarray  # float32 (F, 31, 3), head units
    points: np.ndarray  # float32 (F, 31, 2), window px
    pose_deg: np.ndarray  # float32 (F, 3): yaw, pitch, roll
    log_mel: np.ndarray  # float32 (T, 80)

    @property
    def mel_times_s(self) -> np.ndarray:
        """The frames' times on the clock of a mel that starts at 0, footage offset corrected: float64 (F,)."""
        return self.times_s + MEL_PAD_S + self.record.offset_frames / self.record.frame_rate

    def windows(self) -> np.ndarray:
        """uint8 (F, S, S, 3), RGB. Raises DatasetError when the file holds another number of frames."""
        return decode_windows(self.folder / "clips" / f"{self.record.id}.mp4", self.record.frames)


def decode_windows(path: Path, count: int) -> np.ndarray:
    """The pictures of a video: uint8 (F, S, S, 3), RGB. Raises DatasetError when there are not `count`."""
    video = cv2.VideoCapture(str(path))
    frames = []
    while True:
        ok, image = video.read()
        if not ok:
            break
        frames.append(image[:, :, ::-1])
    video.release()
    if len(frames) != count:
        raise DatasetError(f"{path}: found {len(frames)} frames, the manifest says {count}; prepare again")
    return np.ascontiguousarray(np.stack(frames))


def read_manifest(folder: Path) -> list[ClipRecord]:
    """The clips of a dataset. Raises DatasetError naming file and line."""
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise DatasetError(
            f"{folder} is no dataset: {MANIFEST} is missing. Make one with: lipsync prepare FOOTAGE --out {folder}"
        )
    records = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            values: dict[str, Any] = json.loads(line)
            records.append(from_mapping(ClipRecord, values, f"{path}:{number}"))
        except (json.JSONDecodeError, TypeError, AttributeError) as error:
            raise DatasetError(
                f"{path}:{number}: expected one JSON object with a clip's fields, found {line[:60]!r}"
            ) from error
        except ConfigError as error:
            raise DatasetError(str(error)) from error
    return records


def write_manifest(folder: Path, records: list[ClipRecord]) -> None:
    """Write the manifest whole: to a temporary name, then renamed."""
    path = Path(folder) / MANIFEST
    part = path.with_suffix(".part")
    part.write_text(
        "".join(json.dumps(dataclasses.asdict(r), ensure_ascii=False) + "\n" for r in records), encoding="utf-8"
    )
    part.replace(path)


def load_clip(folder: Path, record: ClipRecord) -> Clip:
    """Read one clip's arrays. Raises DatasetError naming the file."""
    path = Path(folder) / "clips" / f"{record.id}.safetensors"
    try:
        arrays = load_file(path)
        fields = {name: arrays[name] for name in ("times_s", "mouth", "points", "pose_deg", "log_mel")}
    except (OSError, SafetensorError, KeyError) as error:
        raise DatasetError(f"{path}: missing or broken ({error}); prepare the footage again") from error
    times = fields.pop("times_s").astype(np.float64)
    return Clip(record, Path(folder), times, **{name: value.astype(np.float32) for name, value in fields.items()})


def load_clips(folders: list[Path] | Path) -> Iterator[Clip]:
    """Every clip of one or several datasets, in manifest order."""
    for folder in [folders] if isinstance(folders, str | Path) else folders:
        for record in read_manifest(Path(folder)):
            yield load_clip(Path(folder), record)
