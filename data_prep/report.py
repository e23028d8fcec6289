"""What became of the footage, in figures: report.json, and with page.py the same for people: report.html.

Every second of a file has one verdict: it lies in a kept clip, or else in the dropped stretch that begins first there,
or else nothing was seen in it ("no face"). So minutes kept and minutes dropped by reason add up to minutes in.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from data_prep.clips import uncovered
from data_prep.mirror import find_mirrored, group_by_person
from data_prep.page import draw_page
from data_prep.quality import mouth_shapes, usual_width
from data_prep.sights import unpack
from data_prep.source import SourceResult

REPORT_HTML, REPORT_JSON = "report.html", "report.json"
KEPT = "kept"
_LEAST_STRETCH_S = 1e-3
_FRONTAL_DEG = 12.0
_YAW_EDGES_DEG, _PITCH_EDGES_DEG = (-40, -25, -10, 10, 25, 40), (-35, -20, -5, 10, 25, 35)
_OPENINGS = ("closed", "hardly open", "half open", "open", "wide open")
_WIDTHS = ("rounded", "as at rest", "spread")
# What each histogram counts minutes of: title, field of ClipRecord, first edge, last edge, bins, unit.
_HISTOGRAMS = (
    ("Head turned to the side", "yaw_deg", -40.0, 40.0, 16, "°"),
    ("Head nodded", "pitch_deg", -35.0, 35.0, 14, "°"),
    ("Distance between the eyes", "inter_ocular_px", 0.0, 240.0, 12, "px"),
    ("Sharpness", "sharpness", 0.0, 12.0, 12, "grey levels"),
    ("Light", "brightness", 0.0, 255.0, 15, "grey levels"),
    ("Share of speech", "speech_share", 0.0, 1.0, 10, ""),
    ("Sound late by", "offset_frames", -15.5, 15.5, 31, "frames"),
    ("Mouth follows the sound", "offset_score", -0.2, 1.0, 12, ""),
    ("Score", "score", 0.0, 1.0, 10, ""),
)
# What to do about a reason that takes much of the footage.
_ADVICE = {
    "no face": "Leave out footage without the person, or film so that the face stays in the picture.",
    "face too small": "Film closer, or in a higher resolution: the eyes should be at least 64 px apart.",
    "turned away": "Use more footage in which the person looks towards the camera.",
    "head tilted": "Turn the footage upright, or use footage in which the head is upright.",
    "too short": "Use longer takes: cuts and looks aside leave pieces too short to learn from.",
    "no sound": "Bring the version of the file that has its sound.",
    "silent sound": "The sound track is silent: bring the version that has the speech.",
    "no speech": "Cut away long pauses, or use footage in which the person talks more.",
    "not speaking": "Other faces are fine: they were left out because they do not follow the sound.",
    "out of sync": "Sound and lips disagree there: look for a dubbed or edited part, or another version of the file.",
    "still picture": "A picture under a voice teaches nothing: use footage in which the person is filmed speaking.",
    "mouth does not move": "The voice seems to be somebody else's: use footage in which the person is seen speaking.",
    "upside down": "Turn the footage by half a turn and bring it again.",
    "mouth covered": "Use footage without a hand, microphone or cup before the mouth.",
    "text over the mouth": "Captions lie over the mouth: bring the version without them, or with captions lower down.",
    "sound drifts": "Sound and picture run at different speeds: convert the original again.",
    "too dark": "Use footage with more light on the face.",
    "blurred": "Use sharper footage: in focus, less compressed, or filmed closer.",
    "repeated frames": "The frame rate was raised by repeating frames: use the original file.",
    "the file breaks off": "The file is truncated: copy or download it again.",
    "unreadable": "The file could not be read; its message stands beside it.",
    "a picture, not a video": "Only video teaches how somebody speaks; a photo can be a template instead.",
}


# What to do about faults of clips that were kept.
_FLAG_ADVICE = {
    "telephone sound": "It carries nothing above 4 kHz: record with a microphone, or leave it out.",
    "clipped sound": "The recording was too loud: bring it again with less gain, if there is another one.",
    "music": "Bring the speech without music under it, or separate it first.",
    "second voice": "Somebody else may be heard too: leave out what is spoken over.",
}
# Reasons that are worth naming shot by shot.
_SHOT_REASONS = {
    "mouth covered": "the mouth is covered",
    "text over the mouth": "text lies over the mouth",
    "turned away": "the head is turned away",
    "blurred": "the picture is blurred",
    "too dark": "it is too dark",
    "still picture": "the picture stands still",
}
_SHOT_SHARE, _SHOT_S = 0.25, 2.0


@dataclass(frozen=True)
class Stretch:
    """A part of a file and its one verdict: KEPT, or why it was dropped."""

    start_s: float
    end_s: float
    verdict: str


def timeline(result: SourceResult) -> list[Stretch]:
    """The file from 0 to its end in stretches that neither overlap nor leave a gap."""
    kept = [(clip.start_s, clip.start_s + clip.duration_s) for clip in result.clips]
    stretches = [Stretch(a, b, KEPT) for a, b in _joined(kept, result.duration_s)]
    for dropped in sorted(result.dropped, key=lambda d: (d.start_s, d.end_s)):
        taken = [(s.start_s, s.end_s) for s in stretches]
        free = uncovered(taken, max(0.0, dropped.start_s), min(dropped.end_s, result.duration_s))
        stretches += [Stretch(a, b, dropped.reason) for a, b in free if b - a > _LEAST_STRETCH_S]
    rest = uncovered([(s.start_s, s.end_s) for s in stretches], 0.0, result.duration_s)
    return _filled(sorted(stretches, key=lambda s: s.start_s), rest)


def _joined(spans: Sequence[tuple[float, float]], end_s: float) -> list[tuple[float, float]]:
    """Overlapping spans as one each, none beyond end_s."""
    gaps = uncovered(spans, 0.0, end_s)
    return uncovered(gaps, 0.0, end_s) if spans else []


def _filled(stretches: list[Stretch], rest: list[tuple[float, float]], least_s: float = 0.1) -> list[Stretch]:
    """Times between stretches: short ones belong to the stretch before, the others had no face."""
    out = sorted(stretches + [Stretch(a, b, "") for a, b in rest], key=lambda s: s.start_s)
    for i, gap in enumerate(out):
        if not gap.verdict:
            near = out[i - 1].verdict if i else next((s.verdict for s in out if s.verdict), "")
            short = gap.end_s - gap.start_s < least_s
            out[i] = Stretch(gap.start_s, gap.end_s, (near if short else "") or "no face")
    merged: list[Stretch] = []
    for stretch in out:
        if merged and merged[-1].verdict == stretch.verdict:
            merged[-1] = Stretch(merged[-1].start_s, stretch.end_s, stretch.verdict)
        else:
            merged.append(stretch)
    return merged


def summarize(results: Sequence[SourceResult]) -> dict[str, Any]:
    """The report as plain values; see the keys written below. Minutes are minutes of footage."""
    by_verdict: dict[str, float] = defaultdict(float)
    sources = []
    for result in results:
        stretches = timeline(result)
        for stretch in stretches:
            by_verdict[stretch.verdict] += (stretch.end_s - stretch.start_s) / 60
        sources.append({**asdict(result), "timeline": [asdict(s) for s in stretches]})
    kept = by_verdict.pop(KEPT, 0.0)
    dropped = sorted(by_verdict.items(), key=lambda item: (-item[1], item[0]))
    return {
        "files": len(results),
        "clips": sum(len(r.clips) for r in results),
        "minutes_in": round(sum(r.duration_s for r in results) / 60, 4),
        "minutes_kept": round(kept, 4),
        "minutes_dropped": {reason: round(minutes, 4) for reason, minutes in dropped},
        "files_without_clips": sum(not r.clips for r in results),
        "histograms": [_histogram(results, *row) for row in _HISTOGRAMS],
        "pose_minutes": _pose_minutes(results),
        "warnings": _warnings(results, kept, by_verdict),
        "sources": sources,
    }


def _histogram(
    results: Sequence[SourceResult], title: str, name: str, low: float, high: float, bins: int, unit: str
) -> dict[str, Any]:
    """Minutes of kept footage per bin; what lies outside low…high counts in the outermost bins."""
    clips = [clip for result in results for clip in result.clips]
    values = np.clip([getattr(clip, name) for clip in clips], low, high) if clips else np.zeros(0)
    minutes = [clip.duration_s / 60 for clip in clips]
    counts, edges = np.histogram(values, bins, (low, high), weights=minutes)
    return {
        "title": title,
        "field": name,
        "unit": unit,
        "edges": np.round(edges, 4).tolist(),
        "minutes": np.round(counts, 4).tolist(),
        "median": round(float(np.median(values)), 3) if clips else None,
    }


def _pose_minutes(results: Sequence[SourceResult]) -> dict[str, Any]:
    """Minutes of kept footage by turn (columns) and nod (rows) of the head."""
    clips = [clip for result in results for clip in result.clips]
    yaw = np.clip([c.yaw_deg for c in clips], _YAW_EDGES_DEG[0], _YAW_EDGES_DEG[-1])
    pitch = np.clip([c.pitch_deg for c in clips], _PITCH_EDGES_DEG[0], _PITCH_EDGES_DEG[-1])
    minutes = [c.duration_s / 60 for c in clips]
    table = np.histogram2d(pitch, yaw, (_PITCH_EDGES_DEG, _YAW_EDGES_DEG), weights=minutes)[0]
    return {"yaw_deg": _YAW_EDGES_DEG, "pitch_deg": _PITCH_EDGES_DEG, "minutes": np.round(table, 4).tolist()}


def mouth_minutes(dataset: Path, results: Sequence[SourceResult]) -> dict[str, Any]:
    """Minutes of kept footage by opening (rows) and width (columns) of the mouth: what of its sounds can be seen."""
    mouths = [
        (load_file(file)["mouth"].astype(np.float64), clip.frame_rate)
        for clip in (clip for result in results for clip in result.clips)
        if (file := dataset / "clips" / f"{clip.id}.safetensors").is_file()
    ]
    usual = usual_width([mouth for mouth, _ in mouths])
    table = np.zeros(len(_OPENINGS) * len(_WIDTHS))
    for mouth, rate in mouths:
        table += np.bincount(mouth_shapes(mouth, usual), minlength=len(table)) / rate / 60
    minutes = np.round(table.reshape(len(_OPENINGS), len(_WIDTHS)), 4).tolist()
    return {"opening": _OPENINGS, "width": _WIDTHS, "minutes": minutes}


def _warnings(results: Sequence[SourceResult], kept: float, dropped: dict[str, float]) -> list[dict[str, str]]:
    """What a creator should know or do, most weighty first: {"about", "found", "advice"}."""
    out = []
    total = kept + sum(dropped.values())
    if kept < 2.0:
        found = f"only {kept:.1f} minutes can be learned from"
        out.append(_warning("all footage", found, "Bring more: ten minutes of one person speaking is a good start."))
    for reason, minutes in sorted(dropped.items(), key=lambda item: -item[1]):
        if total and minutes / total >= 0.1 and reason in _ADVICE:
            found = f"{100 * minutes / total:.0f} % of the footage was dropped: {reason}"
            out.append(_warning("all footage", found, _ADVICE[reason]))
    people = {clip.person for result in results for clip in result.clips if clip.person}
    if len(people) > 1:
        found = f"{len(people)} people are in it: {', '.join(sorted(people)[:6])}{' …' if len(people) > 6 else ''}"
        out.append(_warning("all footage", found, "To learn one person, prepare that person's footage alone."))
    small = [clip for result in results for clip in result.clips if clip.inter_ocular_px < 45]
    if small and sum(clip.duration_s for clip in small) / 60 > 0.3 * kept:
        found = "the face is small in much of what was kept"
        out.append(_warning("all footage", found, "Teeth and lips stay soft: film closer or in a higher resolution."))
    out += _flag_warnings(results)
    for result in results:
        out += [_warning(result.source, text, "") for text in result.warnings]
        out += _shot_warnings(result)
        if not result.clips:
            reasons = ", ".join(sorted({d.reason for d in result.dropped})) or "no face"
            advice = next((_ADVICE[d.reason] for d in result.dropped if d.reason in _ADVICE), "")
            out.append(_warning(result.source, f"nothing of it could be used: {reasons}", advice))
    return out


def _flag_warnings(results: Sequence[SourceResult]) -> list[dict[str, str]]:
    clips = [clip for result in results for clip in result.clips]
    counts = Counter(flag for clip in clips for flag in clip.flags)
    return [
        _warning("all footage", f"{flag} in {count} of {len(clips)} clips that were kept", _FLAG_ADVICE.get(flag, ""))
        for flag, count in counts.most_common()
    ]


def _shot_warnings(result: SourceResult) -> list[dict[str, str]]:
    """Shots that lose much to one fault of the picture."""
    edges = [0.0, *result.cuts_s, result.duration_s]
    out = []
    for number, (start_s, end_s) in enumerate(pairwise(edges), 1):
        for reason, text in _SHOT_REASONS.items():
            hit_s = sum(
                max(0.0, min(d.end_s, end_s) - max(d.start_s, start_s)) for d in result.dropped if d.reason == reason
            )
            if hit_s >= _SHOT_S and hit_s >= _SHOT_SHARE * (end_s - start_s):
                share = f"{min(100, 100 * hit_s / (end_s - start_s)):.0f} % of shot {number}"
                out.append(_warning(result.source, f"{text} in {share}", _ADVICE[reason]))
    return out


def _mirrored(results: Sequence[SourceResult], thumbs: Path) -> list[dict[str, str]]:
    """Files that show a person mirrored against their other files, by the pictures of their clips."""
    out = []
    clips = [(clip.person, result.id or result.source, clip) for result in results for clip in result.clips]
    names = {result.id or result.source: result.source for result in results}
    for files in group_by_person([(person, file) for person, file, _ in clips]).values():
        windows: dict[str, list[np.ndarray]] = {file: [] for file in files}
        for _, file, clip in clips:
            picture = thumbs / f"{clip.id}.jpg"
            if file in windows and abs(clip.yaw_deg) < _FRONTAL_DEG and picture.is_file():
                windows[file] += unpack([picture.read_bytes()])
        for file in find_mirrored(windows):
            advice = "Left and right are swapped against the other files: mirror it back before you prepare it."
            out.append(_warning(names[file], "it seems to be mirrored", advice))
    return out


def _warning(about: str, found: str, advice: str) -> dict[str, str]:
    return {"about": about, "found": found, "advice": advice}


def write_report(dataset: Path, results: Sequence[SourceResult]) -> None:
    """Write report.json and report.html into the dataset folder; each appears only when it is whole."""
    report = summarize(results)
    report["mouth_minutes"] = mouth_minutes(Path(dataset), results)
    report["warnings"] += _mirrored(results, Path(dataset) / "thumbs")
    for name, text in (
        (REPORT_JSON, json.dumps(report, ensure_ascii=False, indent=1) + "\n"),
        (REPORT_HTML, draw_page(report, Path(dataset) / "thumbs")),
    ):
        part = Path(dataset) / f"{name}.part"
        part.write_text(text, encoding="utf-8")
        part.replace(Path(dataset) / name)
