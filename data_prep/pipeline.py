"""Footage → dataset: decode, follow the faces, cut clips, write them, and say why the rest was dropped.

Each source file is a unit of work: its clips are recorded in `sources/NAME.json` when they are all written, so a run
that was interrupted continues with the next file and a finished one is not done again.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from data_prep.clips import Dropped, Span, crop_windows, cut_spans, slice_mel, slice_sound, write_clip
from lipsync.config import PrepareConfig, from_mapping, to_mapping
from lipsync.errors import DatasetError, MediaError
from lipsync.faces.detect import FaceDetector, open_detector
from lipsync.faces.track import track_faces
from lipsync.media import probe, read_frames, read_sound
from lipsync.progress import Progress, Silent
from lipsync.speech.features import MEL_RATE_HZ, level, log_mel, speech_activity
from lipsync.training.clipstore import ClipRecord, write_manifest
from lipsync.types import Sound, VideoInfo

VIDEO_SUFFIXES = {".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ts", ".flv", ".wmv", ".3gp"}


@dataclass
class SourceResult:
    """What became of one footage file."""

    source: str
    duration_s: float
    clips: list[ClipRecord] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)


def find_footage(paths: Iterable[Path]) -> list[Path]:
    """Files, and all video files below folders, in a fixed order. Raises MediaError when there is none."""
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            found += sorted(p for p in path.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES)
        elif path.exists():
            found.append(path)
        else:
            raise MediaError(f"{path}: no such file or folder")
    if not found:
        raise MediaError("no video files were found; give files or folders that hold some (.mp4, .mov, .mkv, …)")
    return found


def prepare(
    footage: Iterable[Path],
    out: Path,
    config: PrepareConfig | None = None,
    labels: Mapping[str, Mapping[str, str]] | None = None,
    progress: Progress | None = None,
) -> list[SourceResult]:
    """Turn footage into a dataset folder.

    Args:
        footage: files or folders.
        out: the dataset folder; made when missing, continued when it holds earlier work with the same settings.
        labels: per file name or path ending: person, language, rights, origin.

    Returns:
        One result per file, in order.

    Raises:
        MediaError: no footage. DatasetError: nothing usable in any of it; says the reasons.
    """
    config, progress, labels = config or PrepareConfig(), progress or Silent(), labels or {}
    files, out = find_footage(footage), Path(out)
    (out / "sources").mkdir(parents=True, exist_ok=True)
    detector = open_detector(config.detector)
    results = []
    progress.start("preparing footage", len(files), "files")
    for path in files:
        results.append(_source(path, out, config, _label(path, labels), detector))
        progress.advance(1, path.name)
    clips = [clip for result in results for clip in result.clips]
    progress.done(f"{len(clips)} clips")
    if not clips:
        reasons = sorted({d.reason for r in results for d in r.dropped})
        raise DatasetError(f"no usable clip in {len(files)} file(s): {', '.join(reasons)}. Use footage with one frontal, speaking face")
    write_manifest(out, clips)
    return results


def _label(path: Path, labels: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
    for depth in range(len(path.parts), 0, -1):
        key = "/".join(path.parts[-depth:])
        if key in labels:
            return labels[key]
    return {}


def _source(path: Path, out: Path, config: PrepareConfig, label: Mapping[str, str], detector: FaceDetector) -> SourceResult:
    """One file, or what an earlier run with the same settings left of it."""
    name = source_id(path, config)
    done = out / "sources" / f"{name}.json"
    if done.is_file():
        return _read_result(done)
    try:
        result = _process(path, name, out, config, label, detector)
    except MediaError as error:
        result = SourceResult(path.name, 0.0, [], [Dropped(0.0, 0.0, f"unreadable: {error}")])
    part = done.with_suffix(".part")
    part.write_text(json.dumps(asdict(result), ensure_ascii=False))
    part.replace(done)
    return result


def _read_result(path: Path) -> SourceResult:
    values = json.loads(path.read_text())
    clips = [from_mapping(ClipRecord, clip, str(path)) for clip in values["clips"]]
    return SourceResult(values["source"], values["duration_s"], clips, [Dropped(**d) for d in values["dropped"]])


def source_id(path: Path, config: PrepareConfig) -> str:
    """A name for this file under these settings: stem and 8 hex digits of a hash of content and settings."""
    digest = hashlib.blake2b(json.dumps(to_mapping(config), sort_keys=True).encode(), digest_size=4)
    digest.update(str(path.stat().st_size).encode())
    with path.open("rb") as file:
        digest.update(file.read(1 << 20))
    return f"{path.stem}_{digest.hexdigest()}"


def _process(path: Path, name: str, out: Path, config: PrepareConfig, label: Mapping[str, str], detector: FaceDetector) -> SourceResult:
    info = probe(path)
    result = SourceResult(path.name, info.duration_s)
    sound = read_sound(path)
    if sound is None or not len(sound.samples):
        result.dropped.append(Dropped(0.0, info.duration_s, "no sound"))
        return result
    spans: list[Span] = []
    for first, track in track_faces(read_frames(path, tolerant=True), detector):
        found, dropped = cut_spans(first, track, config)
        spans += found
        result.dropped += dropped
    if not spans and not result.dropped:
        result.dropped.append(Dropped(0.0, info.duration_s, "no face"))
    mel, active = log_mel(level(sound)), speech_activity(sound)
    for span, windows in crop_windows(path, spans, config.window.size_px):
        start_s, end_s = float(span.times_s[0]), float(span.times_s[-1])
        share = _share(active, sound, start_s, end_s)
        if share < config.least_speech_share:
            result.dropped.append(Dropped(start_s, end_s, "no speech"))
            continue
        clip = f"{name}_{len(result.clips):03d}"
        write_clip(out, clip, span, windows, slice_mel(mel, sound.start_s, start_s, end_s), slice_sound(sound, start_s, end_s), info.frame_rate, config.window_crf)
        result.clips.append(_record(clip, path, span, info, share, sharpness(windows), label))
    return result


def _share(active: np.ndarray, sound: Sound, start_s: float, end_s: float) -> float:
    first, last = (max(0, round((t - sound.start_s) * MEL_RATE_HZ)) for t in (start_s, end_s))
    part = active[first:last]
    return float(part.mean()) if len(part) else 0.0


def sharpness(windows: np.ndarray) -> float:
    """Mean absolute Laplacian of the windows' luma, grey levels: what blur and compression take away."""
    luma = windows[:: max(1, len(windows) // 8)].astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    laplacian = 4 * luma[:, 1:-1, 1:-1] - luma[:, :-2, 1:-1] - luma[:, 2:, 1:-1] - luma[:, 1:-1, :-2] - luma[:, 1:-1, 2:]
    return float(np.abs(laplacian).mean())


def _record(clip: str, path: Path, span: Span, info: VideoInfo, share: float, sharp: float, label: Mapping[str, str]) -> ClipRecord:
    return ClipRecord(
        id=clip,
        source=path.name,
        person=label.get("person", ""),
        start_s=round(float(span.times_s[0]), 4),
        duration_s=round(float(span.times_s[-1] - span.times_s[0]) + 1 / float(info.frame_rate), 4),
        frames=len(span.times_s),
        frame_rate=float(info.frame_rate),
        inter_ocular_px=round(float(np.median(span.pose.scale)), 1),
        sharpness=round(sharp, 2),
        yaw_deg=round(float(np.median(span.pose.yaw_deg)), 1),
        speech_share=round(share, 3),
        language=label.get("language", ""),
        rights=label.get("rights", ""),
        origin=label.get("source", label.get("origin", "")),
    )
