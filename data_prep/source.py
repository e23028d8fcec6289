"""One footage file → its clips: decode, follow the faces, judge sound and sync, crop, write.

The file is decoded twice: once to follow the faces, which must be known from end to end before a steady window can be
laid over them, and once to crop the windows of what is kept. Memory: the landmarks, and the windows of one clip.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from data_prep.clips import (
    ClipFiles,
    Dropped,
    Span,
    crop_windows,
    cut_spans,
    jpeg,
    slice_mel,
    slice_sound,
    uncovered,
    write_clip,
)
from data_prep.quality import brightness, clip_score, sharpness, span_reason, window_reason
from data_prep.speaker import SyncJudge, file_sync, score_curve, silent_rivals
from lipsync.config import PrepareConfig
from lipsync.faces.detect import FaceDetector
from lipsync.faces.track import Tracker
from lipsync.media import probe, read_frames, read_sound
from lipsync.progress import Progress
from lipsync.speech.features import MEL_RATE_HZ, SILENCE_DB, level, loudness_db, speech_activity
from lipsync.training.clipstore import ClipRecord
from lipsync.types import Frame, Sound, VideoInfo

_MOST_PICTURES = 120  # thumbnails held of one file while it is read
_LONG_GAP_S = 0.5  # shorter times without a face between tracks are not listed
_FIRST_PASS = 0.75  # share of a file's time, for progress
_LOST_S = 1.0  # pictures that end this much before the stated length say that the file breaks off


@dataclass
class SourceResult:
    """What became of one footage file. Times are on the file's own clock."""

    source: str
    duration_s: float
    clips: list[ClipRecord] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    id: str = ""
    frame_rate: float = 0.0
    width: int = 0
    height: int = 0
    cuts_s: list[float] = field(default_factory=list)
    offset_frames: float = 0.0
    offset_score: float = 0.0
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Tools:
    """What every file is prepared with."""

    config: PrepareConfig
    detector: FaceDetector
    judge: SyncJudge


class FilePart:
    """Reports one file of a stage that counts files, in steps of a fiftieth."""

    def __init__(self, progress: Progress, name: str) -> None:
        self.progress, self.name, self.at = progress, name, 0.0

    def reach(self, share: float) -> None:
        """`share` of the file is done."""
        if share >= self.at + 0.02 or share >= 1.0 > self.at:
            self.progress.advance(min(share, 1.0) - self.at, self.name)
            self.at = min(share, 1.0)


class _Pictures:
    """Thumbnails of a file at even times, at most _MOST_PICTURES: every second one is let go when there are more."""

    def __init__(self) -> None:
        self.held: list[tuple[float, bytes]] = []
        self.every, self.count = 5, 0

    def take(self, frame: Frame) -> None:
        """Consider one frame; call with every frame in order."""
        if self.count % self.every == 0:
            self.held.append((frame.time_s, jpeg(frame.image)))
        self.count += 1
        if len(self.held) > _MOST_PICTURES:
            self.held, self.every = self.held[::2], self.every * 2

    def of(self, start_s: float, end_s: float) -> bytes | None:
        """The picture nearest to the middle of a stretch, None when none lies in it."""
        inside = [item for item in self.held if start_s <= item[0] <= end_s]
        return min(inside, key=lambda item: abs(item[0] - (start_s + end_s) / 2))[1] if inside else None


@dataclass(frozen=True)
class _Candidate:
    """A span that may become a clip: how much of it is speech, and how sound and mouth agree at each lag."""

    span: Span
    speech_share: float
    curve: np.ndarray


def prepare_source(path: Path, name: str, out: Path, tools: Tools, part: FilePart) -> SourceResult:
    """Write the clips of one file below the dataset folder `out`; their ids are `name`_000, `name`_001, …

    Raises:
        MediaError: the file cannot be read at all. A file that breaks off gives what comes before the break.
    """
    info = probe(path)
    rate = round(float(info.frame_rate), 4)
    result = SourceResult(path.name, info.duration_s, [], [], name, rate, info.width, info.height)
    pictures = _Pictures()
    sound = None if info.is_still else read_sound(path, tolerant=True)
    reason = "a picture, not a video" if info.is_still else _sound_reason(sound)
    if reason or sound is None:
        for frame in read_frames(path, tolerant=True):
            pictures.take(frame)
            break
        result.dropped.append(Dropped(0.0, info.duration_s, reason))
    else:
        spans = _follow(info, tools, pictures, result, part)
        candidates = _judge(spans, level(sound), info, tools, result)
        _write(candidates, sound, info, out, tools.config, result, part)
    result.dropped = [_illustrated(d, pictures, f"{name}_drop{i:03d}", out) for i, d in enumerate(_in_order(result))]
    return result


def _sound_reason(sound: Sound | None) -> str:
    if sound is None or not len(sound.samples):
        return "no sound"
    return "silent sound" if loudness_db(sound) <= SILENCE_DB else ""


def _in_order(result: SourceResult) -> list[Dropped]:
    return sorted(result.dropped, key=lambda d: (d.start_s, d.end_s, d.reason))


def _illustrated(dropped: Dropped, pictures: _Pictures, name: str, out: Path) -> Dropped:
    """The same with its picture written, where there is one; times rounded to what the manifest holds."""
    picture = pictures.of(dropped.start_s, dropped.end_s)
    if picture is not None:
        (out / "thumbs").mkdir(parents=True, exist_ok=True)
        (out / "thumbs" / f"{name}.jpg").write_bytes(picture)
    file = f"{name}.jpg" if picture is not None else ""
    return Dropped(round(dropped.start_s, 4), round(dropped.end_s, 4), dropped.reason, file)


def _follow(
    info: VideoInfo, tools: Tools, pictures: _Pictures, result: SourceResult, part: FilePart
) -> list[Span]:
    """First pass: the usable spans of all tracks by their first frame; the rest goes to `result.dropped`."""
    tools.detector.reset()
    tracker = Tracker(tools.detector)
    for frame in read_frames(info.path, tolerant=True):
        tracker.update(frame)
        pictures.take(frame)
        part.reach(_FIRST_PASS * frame.time_s / max(info.duration_s, 1e-3))
    spans: list[Span] = []
    tracks = [(first, track) for first, track in tracker.finish() if len(track.faces)]
    for first, track in tracks:
        found, dropped = cut_spans(first, track, tools.config)
        spans += found
        result.dropped += dropped
    gap_s = 1 / float(info.frame_rate)
    read_s = tracker.times_s[-1] + gap_s if tracker.times_s else 0.0
    seen = [(float(t.times_s[0]) - gap_s, float(t.times_s[-1]) + gap_s) for _, t in tracks]
    away = uncovered(seen, 0.0, read_s)
    result.dropped += [Dropped(a, b, "no face") for a, b in away if b - a >= min(_LONG_GAP_S, read_s)]
    result.cuts_s = [round(tracker.times_s[i], 4) for i in tracker.cuts]
    if read_s < info.duration_s - _LOST_S:
        result.dropped.append(Dropped(read_s, info.duration_s, "the file breaks off"))
        result.warnings.append(f"it breaks off at {read_s:.1f} s of {info.duration_s:.1f} s: copy it again")
    result.duration_s = round(max(info.duration_s, read_s), 4)
    return sorted(spans, key=lambda s: (s.first, s.last, float(s.pose.translation[0, 0])))


def _judge(spans: list[Span], sound: Sound, info: VideoInfo, tools: Tools, result: SourceResult) -> list[_Candidate]:
    """Drop what does not speak or move; find the file's offset; of faces seen at once keep the one that speaks."""
    config, gap_s = tools.config, 1 / float(info.frame_rate)
    active, heard = speech_activity(sound), tools.judge.heard(sound)
    reach = round(config.offset_reach_s / gap_s)
    found: list[_Candidate] = []
    for span in spans:
        share = speech_share(active, sound, span.start_s, span.end_s + gap_s)
        if reason := span_reason(span, share, config):
            result.dropped.append(Dropped(span.start_s, span.end_s, reason))
        else:
            found.append(_Candidate(span, share, score_curve(span, heard, sound.start_s, gap_s, reach)))
    losers = silent_rivals([c.span for c in found], [float(c.curve.max()) for c in found])
    result.dropped += [Dropped(found[i].span.start_s, found[i].span.end_s, "not speaking") for i in sorted(losers)]
    found = [candidate for i, candidate in enumerate(found) if i not in losers]
    sync = file_sync([c.curve for c in found], [c.span.end_s - c.span.start_s + gap_s for c in found], tools.judge)
    result.offset_frames, result.offset_score = sync.offset_frames, round(sync.score, 3)
    result.dropped += [Dropped(found[i].span.start_s, found[i].span.end_s, "out of sync") for i in sorted(sync.apart)]
    if abs(sync.offset_frames) >= 1:
        late = "late" if sync.offset_frames > 0 else "early"
        result.warnings.append(f"its sound comes {abs(sync.offset_frames):.1f} frames {late}; corrected")
    return [candidate for i, candidate in enumerate(found) if i not in sync.apart]


def _write(
    candidates: list[_Candidate],
    sound: Sound,
    info: VideoInfo,
    out: Path,
    config: PrepareConfig,
    result: SourceResult,
    part: FilePart,
) -> None:
    """Second pass: crop the candidates' windows and write those that are sharp, light and moving enough."""
    if not candidates:
        return
    gap_s, levelled = 1 / float(info.frame_rate), level(sound)
    by_span = {id(c.span): c for c in candidates}
    frames = read_frames(info.path, tolerant=True)
    for span, windows in crop_windows(frames, [c.span for c in candidates], config.window.size_px):
        part.reach(_FIRST_PASS + (1 - _FIRST_PASS) * span.end_s / max(info.duration_s, 1e-3))
        if reason := window_reason(windows, config):
            result.dropped.append(Dropped(span.start_s, span.end_s, reason))
            continue
        name = f"{result.id}_{len(result.clips):03d}"
        mel = slice_mel(levelled, span.start_s, span.end_s)
        own = slice_sound(sound, span.start_s, span.end_s + gap_s)
        write_clip(out, ClipFiles(name, span, windows, mel, own), info.frame_rate, config.window_crf)
        result.clips.append(_record(name, by_span[id(span)], windows, info, result))


def speech_share(active: np.ndarray, sound: Sound, start_s: float, end_s: float) -> float:
    """Share of the time from start_s to end_s in which something is said; `active` is of the whole sound."""
    first, last = (max(0, round((t - sound.start_s) * MEL_RATE_HZ)) for t in (start_s, end_s))
    wanted = max(1, round((end_s - start_s) * MEL_RATE_HZ))
    return float(active[first:last].sum() / wanted)


def _record(
    name: str, candidate: _Candidate, windows: np.ndarray, info: VideoInfo, result: SourceResult
) -> ClipRecord:
    span, sharp = candidate.span, sharpness(windows)
    rate = float(info.frame_rate)
    lag = round(result.offset_frames) + len(candidate.curve) // 2
    return ClipRecord(
        id=name,
        source=result.source,
        person="",
        start_s=round(span.start_s, 4),
        duration_s=round(span.end_s - span.start_s + 1 / rate, 4),
        frames=len(span.times_s),
        frame_rate=rate,
        inter_ocular_px=round(float(np.median(span.pose.scale)), 1),
        offset_frames=result.offset_frames,
        offset_score=round(float(candidate.curve[min(lag, len(candidate.curve) - 1)]), 3),
        sharpness=round(sharp, 2),
        yaw_deg=round(float(np.median(span.pose.yaw_deg)), 1),
        pitch_deg=round(float(np.median(span.pose.pitch_deg)), 1),
        brightness=round(brightness(windows), 1),
        speech_share=round(candidate.speech_share, 3),
        score=round(clip_score(span, sharp, candidate.speech_share), 3),
    )
