"""What became of the footage, in figures: report.json, and with page.py the same for people: report.html.

Every second of a file has one verdict: it lies in a kept clip, or else in the dropped stretch that begins first there,
or else nothing was seen in it ("no face"). So minutes kept and minutes dropped by reason add up to minutes in.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.clips import uncovered
from data_prep.page import draw_page
from data_prep.source import SourceResult

REPORT_HTML, REPORT_JSON = "report.html", "report.json"
KEPT = "kept"
_LEAST_STRETCH_S = 1e-3
# What each histogram counts minutes of: title, field of ClipRecord, first edge, last edge, bins, unit.
_HISTOGRAMS = (
    ("Head turned to the side", "yaw_deg", -40.0, 40.0, 16, "°"),
    ("Head nodded", "pitch_deg", -35.0, 35.0, 14, "°"),
    ("Distance between the eyes", "inter_ocular_px", 0.0, 240.0, 12, "px"),
    ("Sharpness", "sharpness", 0.0, 12.0, 12, "grey levels"),
    ("Light", "brightness", 0.0, 255.0, 15, "grey levels"),
    ("Share of speech", "speech_share", 0.0, 1.0, 10, ""),
    ("Sound late by", "offset_frames", -12.5, 12.5, 25, "frames"),
    ("Mouth follows the sound", "offset_score", -0.2, 1.0, 12, "correlation"),
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
    "too dark": "Use footage with more light on the face.",
    "blurred": "Use sharper footage: in focus, less compressed, or filmed closer.",
    "repeated frames": "The frame rate was raised by repeating frames: use the original file.",
    "the file breaks off": "The file is truncated: copy or download it again.",
    "unreadable": "The file could not be read; its message stands beside it.",
    "a picture, not a video": "Only video teaches how somebody speaks; a photo can be a template instead.",
}


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
    for result in results:
        out += [_warning(result.source, text, "") for text in result.warnings]
        if not result.clips:
            reasons = ", ".join(sorted({d.reason for d in result.dropped})) or "no face"
            advice = next((_ADVICE[d.reason] for d in result.dropped if d.reason in _ADVICE), "")
            out.append(_warning(result.source, f"nothing of it could be used: {reasons}", advice))
    return out


def _warning(about: str, found: str, advice: str) -> dict[str, str]:
    return {"about": about, "found": found, "advice": advice}


def write_report(dataset: Path, results: Sequence[SourceResult]) -> None:
    """Write report.json and report.html into the dataset folder; each appears only when it is whole."""
    report = summarize(results)
    for name, text in (
        (REPORT_JSON, json.dumps(report, ensure_ascii=False, indent=1) + "\n"),
        (REPORT_HTML, draw_page(report, Path(dataset) / "thumbs")),
    ):
        part = Path(dataset) / f"{name}.part"
        part.write_text(text, encoding="utf-8")
        part.replace(Path(dataset) / name)
