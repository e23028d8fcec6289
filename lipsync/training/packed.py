"""A dataset in one small file, to send to the machine that trains: windows as video, everything else quantised.

    NAME.pack is a safetensors file: one uint8 tensor a clip, and the manifest's records in the metadata under "clips".
    A clip's tensor is three blobs, each with its length before it (8 bytes, little endian):
      video   the windows as H.264 in MP4, encoded again at `crf`
      arrays  xz of: mouth int16 (F, 31, 3), steps of 1/2000 eye distance, differences over time; times float64 (F,);
              projection float32 (F, 4, 2), [mouth, 1] · projection = points in px; pose int16 (F, 3), steps of 0.02°
      mel     xz of uint8 (T, 80): −1…MEL_TOP in 255 steps

What it costs: mouths within 0.00025 eye distances, mel within 0.006. Reading needs OpenCV, NumPy and safetensors only;
a packed file stands wherever `pretrain` takes a dataset folder.
"""

import dataclasses
import json
import lzma
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from lipsync.config import from_mapping
from lipsync.errors import DatasetError
from lipsync.faces.align import fit_projection, project
from lipsync.progress import Progress, Silent
from lipsync.training.clipstore import Clip, ClipRecord, decode_windows, load_clips

MEL_TOP = 2.0
MOUTH_STEP, POSE_STEP_DEG = 1 / 2000, 1 / 50
MOUTH_BYTES = 31 * 3 * 2  # a frame
FORMAT = "lipsync-pack-2"


@dataclass(frozen=True)
class PackedClip(Clip):
    """A clip whose windows lie in memory as video."""

    video: bytes = b""

    def windows(self) -> np.ndarray:
        """uint8 (F, S, S, 3), RGB."""
        with tempfile.NamedTemporaryFile(suffix=".mp4", delete=False) as file:
            file.write(self.video)
        try:
            return decode_windows(Path(file.name), self.record.frames)
        finally:
            os.unlink(file.name)


def pack(datasets: list[Path], out: Path, crf: int = 26, progress: Progress | None = None) -> int:
    """Write the clips of datasets as one file, which appears only when it is whole; returns its size in bytes.

    Raises:
        DatasetError: a dataset is none, or two clips share a name.
    """
    progress, tensors, records = progress or Silent(), {}, []
    clips = list(load_clips(datasets))
    progress.start("packing", len(clips), "clips")
    for clip in clips:
        if clip.record.id in tensors:
            raise DatasetError(f"two clips are called {clip.record.id}; pack datasets that share no footage")
        blobs = (_encoded(clip, crf), _arrays(clip), _squeezed(mel_bytes(clip.log_mel)))
        joined = b"".join(len(blob).to_bytes(8, "little") + blob for blob in blobs)
        tensors[clip.record.id] = np.frombuffer(joined, np.uint8)
        records.append(dataclasses.asdict(clip.record))
        progress.advance()
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(out.name + ".part")
    save_file(tensors, part, {"format": FORMAT, "clips": json.dumps(records, ensure_ascii=False)})
    part.replace(out)
    progress.done()
    return out.stat().st_size


def read_pack(path: Path) -> Iterator[PackedClip]:
    """The clips of a packed file. Raises DatasetError naming the file."""
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise DatasetError(f"{path}: expected a packed dataset ({FORMAT}), found {metadata.get('format')!r}")
            for number, values in enumerate(json.loads(metadata["clips"]), 1):
                record = from_mapping(ClipRecord, values, f"{path}: clip {number}")
                yield _unpacked(path, record, file.get_tensor(record.id).tobytes())
    except (SafetensorError, OSError, lzma.LZMAError) as error:
        raise DatasetError(f"{path}: not a packed dataset, or cut short ({error}); send it again") from error


def _unpacked(path: Path, record: ClipRecord, joined: bytes) -> PackedClip:
    blobs, at = [], 0
    for _ in range(3):
        size = int.from_bytes(joined[at : at + 8], "little")
        blobs.append(joined[at + 8 : at + 8 + size])
        at += 8 + size
    frames, arrays = record.frames, lzma.decompress(blobs[1])
    at = frames * MOUTH_BYTES
    mouth, parts = mouth_of(arrays[:at]), []
    for kind, shape in (("<f8", (frames,)), ("<f4", (frames, 4, 2)), ("<i2", (frames, 3))):
        count = int(np.prod(shape))
        parts.append(np.frombuffer(arrays, kind, count, at).reshape(shape))
        at += count * np.dtype(kind).itemsize
    points = project(mouth, parts[1])
    pose = (parts[2] * POSE_STEP_DEG).astype(np.float32)
    mel = mel_of(lzma.decompress(blobs[2]))
    return PackedClip(record, path, parts[0].copy(), mouth, points.astype(np.float32), pose, mel, blobs[0])


def _arrays(clip: Clip) -> bytes:
    mouth = mouth_bytes(clip.mouth)
    projection = fit_projection(mouth_of(mouth), clip.points).astype("<f4")
    pose = np.rint(clip.pose_deg / POSE_STEP_DEG).astype("<i2")
    return _squeezed(mouth + clip.times_s.astype("<f8").tobytes() + projection.tobytes() + pose.tobytes())


def mouth_bytes(mouth: np.ndarray) -> bytes:
    """Mouths (F, 31, 3) in head units, quantised, as differences over time: MOUTH_BYTES a frame."""
    whole = np.rint(mouth / MOUTH_STEP).clip(-32000, 32000).astype(np.int32)
    return np.diff(whole, axis=0, prepend=np.zeros_like(whole[:1])).astype("<i2").tobytes()


def mouth_of(data: bytes) -> np.ndarray:
    """What `mouth_bytes` wrote: float32 (F, 31, 3)."""
    steps = np.frombuffer(data, "<i2").reshape(-1, 31, 3)
    return (np.cumsum(steps, 0, dtype=np.int32) * MOUTH_STEP).astype(np.float32)


def mel_bytes(log_mel: np.ndarray) -> bytes:
    """A log-mel (T, 80) in 255 steps from −1 to MEL_TOP: a byte a value."""
    return np.rint((log_mel.clip(-1, MEL_TOP) + 1) * (255 / (MEL_TOP + 1))).astype(np.uint8).tobytes()


def mel_of(data: bytes) -> np.ndarray:
    """What `mel_bytes` wrote: float32 (T, 80)."""
    mel = np.frombuffer(data, np.uint8).reshape(-1, 80).astype(np.float32)
    return mel * np.float32((MEL_TOP + 1) / 255) - 1


def _squeezed(data: bytes) -> bytes:
    return lzma.compress(data, preset=9)


def _encoded(clip: Clip, crf: int) -> bytes:
    """The windows as H.264, slowly: small."""
    from lipsync.media import VideoWriter  # writing needs PyAV, reading does not

    windows = clip.windows()
    rate = Fraction(clip.record.frame_rate).limit_denominator(1001)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "windows.mp4"
        size = windows.shape[1]
        with VideoWriter(path, width=size, height=size, frame_rate=rate, crf=crf, preset="veryslow") as writer:
            for window in windows:
                writer.write(window)
        return path.read_bytes()


def load_any(sources: Iterable[Path]) -> Iterator[Clip]:
    """Every clip of dataset folders and packed files, in order."""
    for source in sources:
        yield from read_pack(Path(source)) if Path(source).is_file() else load_clips(Path(source))
