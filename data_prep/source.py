"""What was followed of one footage file → its clips: judge speech, sync and windows, choose, write.

Pictures were decoded once, by segments (segments.py), and their windows looked at once (inspection.py); here what was
found of all of them is put together. Memory: the landmarks of one file, the sound of one clip.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from data_prep.clips import Dropped, Span, jpeg, slice_mel, slice_sound, uncovered
from data_prep.engine import Tools
from data_prep.inspection import Inspected, file_loudness_db, speech_share
from data_prep.listen import sound_flags
from data_prep.looks import NOT_TOLD, tell_apart
from data_prep.quality import clip_score, span_reason
from data_prep.segments import Cut, Followed, Segment, read_followed
from data_prep.sights import judge_pictures, unpack
from data_prep.speaker import file_sync, score_curve, silent_rivals
from data_prep.voice_activity import voice_activity
from lipsync.errors import MediaError, NoFaceError, SpeechError
from lipsync.media import read_frames, read_sound, write_wav
from lipsync.speech.features import SAMPLE_RATE_HZ, SILENCE_DB, level, speech_activity
from lipsync.training.clipstore import MEL_PAD_S, ClipRecord
from lipsync.types import Sound, VideoInfo

_SOUND_EDGE_S = MEL_PAD_S + 0.1  # of sound read before and after a clip
_LONG_GAP_S = 0.5  # shorter times without a face between tracks are not listed
_LOST_S = 1.0  # pictures that end this much before the stated length say that the file breaks off
_SAME_PERSON_OFTEN = 0.05  # of a file's time: who is seen less is not counted among its people


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
class SourceJob:
    """One file to be judged: its clips are called `name`_000, `name`_001, … below the dataset folder `out`.

    `error`: why it cannot be read, "" when it can. No segments where there is nothing to be followed. `inspected`: of
    every segment, its spans.
    """

    path: Path
    name: str
    out: Path
    info: VideoInfo | None
    segments: tuple[Segment, ...] = ()
    error: str = ""
    inspected: tuple[list[Inspected], ...] = ()


@dataclass(frozen=True)
class _Candidate:
    """A span that may become a clip: how much of it is speech, and how sound and mouth agree at each lag."""

    cut: Cut
    inspected: Inspected
    person: int
    speech_share: float
    curve: np.ndarray

    @property
    def span(self) -> Span:
        return self.cut.span


def judge_source(tools: Tools, job: SourceJob) -> SourceResult:
    """Write one file's clips. A file that cannot be read is a result too, and never stops the others."""
    try:
        if job.info is None or job.error:
            raise MediaError(job.error)
        return _judge(tools, job, job.info)
    except (MediaError, NoFaceError, SpeechError) as error:
        broken = [Dropped(0.0, 0.0, "unreadable")]
        return SourceResult(job.path.name, 0.0, [], broken, job.name, warnings=[str(error)])


def _judge(tools: Tools, job: SourceJob, info: VideoInfo) -> SourceResult:
    rate = round(float(info.frame_rate), 4)
    result = SourceResult(job.path.name, info.duration_s, [], [], job.name, rate, info.width, info.height)
    loudness = file_loudness_db(job.path, job.segments[0].content) if job.segments else None
    reason = "a picture, not a video" if info.is_still else _sound_reason(loudness)
    pictures: list[tuple[float, bytes]] = []
    if reason or loudness is None:
        pictures = [(info.duration_s / 2, jpeg(f.image)) for f in _first(job.path)]
        result.dropped.append(Dropped(0.0, info.duration_s, reason))
    else:
        parts = _followed(job, tools)
        pictures = [picture for part in parts for picture in part.pictures]
        _describe(parts, info, result)
        inspected = [one for found in job.inspected for one in found]
        cuts = sorted(zip((c for p in parts for c in p.cuts), inspected, strict=True), key=_order)
        if reason := _picture_reason(pictures, tools, result):
            result.dropped = [Dropped(0.0, result.duration_s, reason)]
            cuts = []
        candidates = _judged(cuts, info, tools, result)
        _write(candidates, loudness, info, job.out, tools, result)
        if result.clips and abs(result.offset_frames) >= 1:
            late = "late" if result.offset_frames > 0 else "early"
            result.warnings.append(f"its sound comes {abs(result.offset_frames):.1f} frames {late}; corrected")
    ordered = sorted(result.dropped, key=lambda d: (d.start_s, d.end_s, d.reason))
    result.dropped = [_illustrated(d, pictures, f"{job.name}_drop{i:03d}", job.out) for i, d in enumerate(ordered)]
    return result


def _picture_reason(pictures: Sequence[tuple[float, bytes]], tools: Tools, result: SourceResult) -> str:
    if not tools.judge.learned:
        return ""
    reason, notes = judge_pictures(unpack([picture for _, picture in pictures]), tools.config.checks)
    result.warnings += notes
    return reason


def _order(item: tuple[Cut, Inspected]) -> tuple[int, int, float]:
    cut = item[0]
    return cut.span.first, cut.span.last, float(cut.span.pose.translation[0, 0])


def _first(path: Path) -> Iterator:
    for frame in read_frames(path, tolerant=True):
        yield frame
        return


def _sound_reason(loudness: float | None) -> str:
    if loudness is None:
        return "no sound"
    return "silent sound" if loudness <= SILENCE_DB else ""


def _followed(job: SourceJob, tools: Tools) -> list[Followed]:
    parts, frames = [], 0
    for segment in job.segments:
        folder = job.out / "work" / segment.cut_id(tools.config)
        parts.append(read_followed(folder, frames))
        frames += parts[-1].frames
    return parts


def _describe(parts: Sequence[Followed], info: VideoInfo, result: SourceResult) -> None:
    """What pictures alone tell of the file: cuts, times without a face, what the segments dropped, where it ends."""
    gap_s = 1 / float(info.frame_rate)
    lasts = [part.last_s for part in parts if part.last_s is not None]
    read_s = lasts[-1] + gap_s if lasts else 0.0
    seen = [(a - gap_s, b + gap_s) for part in parts for a, b in part.seen]
    away = uncovered(seen, 0.0, read_s)
    result.dropped += [d for part in parts for d in part.dropped]
    result.dropped += [Dropped(a, b, "no face") for a, b in away if b - a >= min(_LONG_GAP_S, read_s)]
    result.cuts_s = [round(time_s, 4) for part in parts for time_s in part.cuts_s]
    if read_s < info.duration_s - _LOST_S:
        result.dropped.append(Dropped(read_s, info.duration_s, "the file breaks off"))
        result.warnings.append(f"it breaks off at {read_s:.1f} s of {info.duration_s:.1f} s: copy it again")
    result.duration_s = round(max(info.duration_s, read_s), 4)


def _illustrated(dropped: Dropped, pictures: Sequence[tuple[float, bytes]], name: str, out: Path) -> Dropped:
    """The same with a picture of its middle written, where there is one; times rounded to what the manifest holds."""
    middle_s, reach_s = (dropped.start_s + dropped.end_s) / 2, (dropped.end_s - dropped.start_s) / 2 + 0.5
    near = min(pictures, key=lambda item: abs(item[0] - middle_s), default=None)
    file = ""
    if near is not None and abs(near[0] - middle_s) <= reach_s:
        file = f"{name}.jpg"
        (out / "thumbs").mkdir(parents=True, exist_ok=True)
        (out / "thumbs" / file).write_bytes(near[1])
    return Dropped(round(dropped.start_s, 4), round(dropped.end_s, 4), dropped.reason, file)


def _judged(
    spans: list[tuple[Cut, Inspected]], info: VideoInfo, tools: Tools, result: SourceResult
) -> list[_Candidate]:
    """Drop what does not speak or move; find the file's offset; of faces seen at once keep the one that speaks."""
    config, gap_s = tools.config, 1 / float(info.frame_rate)
    spans = spans if all(one.curve is not None for _, one in spans) else _judged_whole(spans, info, tools)
    cuts = [cut for cut, _ in spans]
    people = tell_apart([(c.looks, c.span.end_s - c.span.start_s, (c.span.first, c.span.last)) for c in cuts])
    _count_people(people, cuts, result)
    found: list[_Candidate] = []
    for (cut, inspected), person in zip(spans, people, strict=True):
        span, share, curve = cut.span, inspected.speech_share or 0.0, inspected.curve
        reason = _pick_reason(person, config.pick) or span_reason(span, share, config)
        if reason or curve is None:
            result.dropped.append(Dropped(span.start_s, span.end_s, reason))
        else:
            found.append(_Candidate(cut, inspected, person, share, curve))
    losers = silent_rivals([c.span for c in found], [float(c.curve.max()) for c in found])
    found = _without(found, losers, "not speaking", result)
    lengths_s = [c.span.end_s - c.span.start_s + gap_s for c in found]
    shares = [c.speech_share for c in found]
    sync = file_sync([c.curve for c in found], lengths_s, tools.judge, config.checks.most_drift_frames, shares)
    result.offset_frames, result.offset_score = sync.offset_frames, round(sync.score, 3)
    return _without(found, sync.apart, sync.reason, result)


def _judged_whole(spans: list[tuple[Cut, Inspected]], info: VideoInfo, tools: Tools) -> list[tuple[Cut, Inspected]]:
    """The same with what a judge that sees no pixels makes of the sound of the whole file."""
    sound = level(read_sound(info.path, tolerant=True) or Sound(np.zeros(1, np.float32), SAMPLE_RATE_HZ))
    active = voice_activity(sound) if tools.judge.learned else speech_activity(sound)
    heard, gap_s = tools.judge.heard(sound), 1 / float(info.frame_rate)
    reach, out = round(tools.config.offset_reach_s / gap_s), []
    for cut, one in spans:
        share = speech_share(active, sound, cut.span.start_s, cut.span.end_s + gap_s)
        curve = score_curve(cut.span, heard, sound.start_s, gap_s, reach)
        out.append((cut, replace(one, curve=curve, speech_share=share)))
    return out


def _without(
    found: list[_Candidate], places: set[int] | frozenset[int], reason: str, result: SourceResult
) -> list[_Candidate]:
    result.dropped += [Dropped(found[i].span.start_s, found[i].span.end_s, reason) for i in sorted(places)]
    return [candidate for i, candidate in enumerate(found) if i not in places]


def _pick_reason(person: int, pick: str) -> str:
    """Why a person's clips are left out; '' when they are wanted."""
    if not pick:
        return ""
    if person == NOT_TOLD:
        return "not told apart"
    return "" if person == (0 if pick == "most" else int(pick)) else "another person"


def _count_people(people: Sequence[int], cuts: Sequence[Cut], result: SourceResult) -> None:
    """Say when a file shows several people for a while."""
    lengths = np.array([c.span.end_s - c.span.start_s for c in cuts])
    seen_s = [float(lengths[np.array(people) == p].sum()) for p in sorted(set(people)) if p != NOT_TOLD]
    often = [s for s in seen_s if s >= _SAME_PERSON_OFTEN * max(result.duration_s, 1e-3)]
    if len(often) > 1:
        times = ", ".join(f"{s:.0f} s" for s in often[:6])
        result.warnings.append(f"{len(often)} people are seen in it ({times}); --pick most takes the first alone")


def _write(
    candidates: list[_Candidate], loudness: float, info: VideoInfo, out: Path, tools: Tools, result: SourceResult
) -> None:
    """Write the candidates whose windows are sharp, light and moving enough."""
    gap_s = 1 / float(info.frame_rate)
    for candidate in candidates:
        span, reason = candidate.span, candidate.inspected.reason
        if reason:
            result.dropped.append(Dropped(span.start_s, span.end_s, reason))
            continue
        name = f"{result.id}_{len(result.clips):03d}"
        sound = _sound_around(info, span.start_s, span.end_s + gap_s)
        mel = slice_mel(sound, span.start_s, span.end_s, loudness)
        own = slice_sound(sound, span.start_s, span.end_s + gap_s)
        _write_clip(out, name, candidate, mel, own)
        flags = sound_flags(own, voice_activity(own), tools.config.checks) if tools.judge.learned else ()
        result.clips.append(_record(name, candidate, info, result, flags))


def _sound_around(info: VideoInfo, start_s: float, end_s: float) -> Sound:
    """The sound of a stretch and of what a mel needs around it; silence where there is none."""
    first_s = start_s - _SOUND_EDGE_S if start_s > _SOUND_EDGE_S else None
    sound = read_sound(info.path, start_s=first_s, end_s=end_s + _SOUND_EDGE_S, tolerant=True)
    return sound or Sound(np.zeros(0, np.float32), SAMPLE_RATE_HZ, start_s)


def _write_clip(out: Path, name: str, candidate: _Candidate, log_mel: np.ndarray, own: Sound) -> None:
    """The files of one clip, see clipstore.py; its windows are the file in work/ under a second name."""
    clips, thumbs, cut, span = out / "clips", out / "thumbs", candidate.cut, candidate.span
    for made in (clips, thumbs):
        made.mkdir(parents=True, exist_ok=True)
    windows = clips / f"{name}.mp4"
    windows.unlink(missing_ok=True)
    try:
        os.link(cut.windows, windows)
    except OSError:  # a file system without hard links
        shutil.copyfile(cut.windows, windows)
    angles = np.stack([span.pose.yaw_deg, span.pose.pitch_deg, span.pose.roll_deg], 1)
    arrays = {
        "times_s": span.times_s - span.times_s[0],
        "mouth": span.mouth.astype(np.float16),
        "points": span.points.astype(np.float16),
        "pose_deg": angles.astype(np.float16),
        "log_mel": log_mel.astype(np.float16),
    }
    save_file({key: np.ascontiguousarray(value) for key, value in arrays.items()}, clips / f"{name}.safetensors")
    write_wav(clips / f"{name}.wav", own)
    (thumbs / f"{name}.jpg").write_bytes(candidate.inspected.thumbnail)


def _record(
    name: str,
    candidate: _Candidate,
    info: VideoInfo,
    result: SourceResult,
    flags: tuple[str, ...],
) -> ClipRecord:
    span, sharp = candidate.span, candidate.inspected.sharpness
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
        brightness=round(candidate.inspected.brightness, 1),
        speech_share=round(candidate.speech_share, 3),
        score=round(clip_score(span, sharp, candidate.speech_share, flags), 3),
        flags=flags,
        seen_as=candidate.person,
    )
