"""The preparation report as one HTML page: everything inside, nothing fetched, no script, light and dark.

Built from the values of report.summarize. Pictures are the dataset's thumbnails, inlined; long lists are thinned
evenly and the page says so.
"""

import base64
from collections.abc import Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

from lipsync.progress import format_s

_MOST_PICTURES, _MOST_SOURCES = 48, 120
_FEW = 4
# Kept first; then reasons that lie with the picture, the sound, the file. Unknown reasons take the last colour.
_COLOURS = {
    "kept": "#2a9d74",
    "no face": "#9aa3ad",
    "face too small": "#e0a030",
    "turned away": "#d9772b",
    "head tilted": "#c9a27a",
    "too short": "#c3c9cf",
    "no speech": "#6f8fd6",
    "not speaking": "#4866b0",
    "out of sync": "#2f9fb5",
    "mouth does not move": "#8a6fd1",
    "still picture": "#a58be0",
    "too dark": "#59616b",
    "blurred": "#c96a9b",
    "repeated frames": "#b0508a",
    "no sound": "#c84a4a",
    "silent sound": "#d96b6b",
    "upside down": "#b98a2e",
    "mouth covered": "#7a9a3a",
    "text over the mouth": "#5f7f6a",
    "sound drifts": "#1f7f95",
}
_OTHER = "#a8473c"
_PEOPLE = ("#3d7ea6", "#d9772b", "#8a6fd1", "#b0508a", "#59616b", "#c84a4a")

_STYLE = """
:root{color-scheme:light dark;--bg:#f7f7f5;--card:#fff;--ink:#1d2126;--soft:#5d6670;--line:#e2e4e6;--bar:#3d7ea6;
--warn:#9a5b00;--warnbg:#fff4de}
@media(prefers-color-scheme:dark){:root{--bg:#15181b;--card:#1e2226;--ink:#e8eaec;--soft:#9aa3ad;--line:#32383e;
--bar:#6fb1d8;--warn:#f0b968;--warnbg:#33290f}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1080px;margin:0 auto;padding:28px 16px 64px}
h1{font-size:1.6rem;margin:0 0 4px;line-height:1.25}h2{font-size:1.15rem;margin:36px 0 10px}
h3{font-size:.95rem;margin:0;font-weight:600;overflow-wrap:anywhere}
p{margin:4px 0;max-width:70ch}.soft{color:var(--soft);font-size:.88rem}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 16px}
.big{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:10px;margin:18px 0}
.big b{display:block;font-size:1.7rem;line-height:1.2;font-variant-numeric:tabular-nums}
.key{display:flex;flex-wrap:wrap;gap:4px 16px;margin-top:10px;font-size:.88rem}
.key i{display:inline-block;width:.75em;height:.75em;border-radius:3px;margin-right:.4em}
.warn{background:var(--warnbg);border-radius:10px;padding:10px 14px;margin:8px 0}.warn b{color:var(--warn)}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(230px,1fr));gap:12px}
.sheet{display:grid;grid-template-columns:repeat(auto-fill,minmax(96px,1fr));gap:10px}
.sheet.wide{grid-template-columns:repeat(auto-fill,minmax(140px,1fr))}
figure{margin:0}figure img{width:100%;aspect-ratio:1;object-fit:cover;border-radius:8px;display:block;
background:var(--line)}
figure.wide img{aspect-ratio:16/10;object-position:50% 25%}
figcaption{font-size:.74rem;line-height:1.3;color:var(--soft);margin-top:3px;overflow-wrap:anywhere}
svg{display:block;width:100%;height:auto}svg text{fill:var(--soft);font:11px system-ui,sans-serif}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums}
th{color:var(--soft);font-weight:400;text-align:right;padding:4px 8px}.list td{padding:3px 16px 3px 0}
.heat td{padding:6px 12px;text-align:center;border-radius:4px;
background:color-mix(in srgb,var(--bar) var(--share),transparent)}
.src{margin:10px 0}.src .row{display:flex;justify-content:space-between;gap:12px;flex-wrap:wrap}
"""


def draw_page(report: dict[str, Any], thumbs: Path) -> str:
    """The page as text. `thumbs`: the folder that the report's thumbnails lie in; missing ones are left out."""
    parts = [
        "<!doctype html><html lang=en><head><meta charset=utf-8>",
        '<meta name=viewport content="width=device-width,initial-scale=1"><title>Footage report</title>',
        f"<style>{_STYLE}</style></head><body><main>",
        _head(report),
        _warnings(report["warnings"]),
        _kept_sheet(report["sources"], thumbs),
        _dropped_sheet(report["sources"], thumbs),
        _histograms(report["histograms"]) if report["clips"] else "",
        _poses(report["pose_minutes"]) if report["clips"] and "pose_minutes" in report else "",
        _mouths(report["mouth_minutes"]) if report["clips"] and "mouth_minutes" in report else "",
        _selection(report["selection"], report["sources"]) if "selection" in report else "",
        _timelines(report["sources"]),
        "</main></body></html>\n",
    ]
    return "\n".join(part for part in parts if part)


def _colour(verdict: str) -> str:
    return _COLOURS.get(verdict, _OTHER)


def _minutes(minutes: float) -> str:
    return format_s(60 * minutes)


def _head(report: dict[str, Any]) -> str:
    total, kept = report["minutes_in"], report["minutes_kept"]
    share = f"{100 * kept / total:.0f} %" if total else "–"
    cards = (
        (_minutes(total), f"of footage in {report['files']} file{'s' * (report['files'] != 1)}"),
        (_minutes(kept), f"kept, {share} of it"),
        (str(report["clips"]), "clips to learn from"),
        (str(report["files_without_clips"]), "files of which nothing could be used"),
    )
    big = "".join(f"<div class=card><b>{escape(value)}</b>{escape(text)}</div>" for value, text in cards)
    verdicts = {"kept": kept, **report["minutes_dropped"]}
    at, bars = 0.0, []
    for verdict, minutes in verdicts.items():
        width = 1000 * minutes / total if total else 0.0
        bars.append(
            f'<rect x="{at:.2f}" width="{width:.2f}" height="26" fill="{_colour(verdict)}">'
            f"<title>{escape(verdict)}: {_minutes(minutes)}</title></rect>"
        )
        at += width
    key = "".join(
        f'<span><i style="background:{_colour(v)}"></i>{escape(v)} · {_minutes(m)}</span>' for v, m in verdicts.items()
    )
    return (
        f"<h1>What became of the footage</h1><p class=soft>Every second has one verdict: kept, or why not.</p>"
        f"<div class=big>{big}</div><div class=card>"
        f'<svg viewBox="0 0 1000 26" preserveAspectRatio="none" style="height:26px" role=img '
        f'aria-label="Minutes by verdict">{"".join(bars)}</svg><div class=key>{key}</div></div>'
    )


def _warnings(warnings: Sequence[dict[str, str]]) -> str:
    if not warnings:
        return ""
    rows = [
        f"<div class=warn><b>{escape(w['found'][:1].upper() + w['found'][1:])}</b>"
        f"{'' if w['about'] == 'all footage' else ' · ' + escape(w['about'])}"
        f"{'<br>' + escape(w['advice']) if w['advice'] else ''}</div>"
        for w in warnings
    ]
    first = [row for row, w in zip(rows, warnings, strict=True) if w["about"] == "all footage"]
    rest = [row for row, w in zip(rows, warnings, strict=True) if w["about"] != "all footage"]
    if len(rest) <= _FEW:
        first, rest = first + rest, []
    more = f"<details><summary>{len(rest)} notes on single files</summary>{''.join(rest)}</details>" if rest else ""
    return f"<h2>What to know</h2>{''.join(first)}{more}"


def _kept_sheet(sources: Sequence[dict[str, Any]], thumbs: Path) -> str:
    clips = [clip for source in sources for clip in source["clips"]]
    shown = _thinned(clips, _MOST_PICTURES)
    figures = [_figure(thumbs / f"{c['id']}.jpg", _caption(c), "") for c in shown]
    return _sheet("Kept", "The window of each clip that the lips will be learned from", figures, len(clips))


def _caption(clip: dict[str, Any]) -> str:
    flags = f" · {', '.join(clip['flags'])}" if clip.get("flags") else ""
    return f"{clip['source']} at {_clock(clip['start_s'])} · score {clip['score']:.2f}{flags}"


def _dropped_sheet(sources: Sequence[dict[str, Any]], thumbs: Path) -> str:
    with_picture = [(s["source"], d) for s in sources for d in s["dropped"] if d["thumbnail"]]
    by_reason: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for entry in with_picture:
        by_reason.setdefault(entry[1]["reason"], []).append(entry)
    each = max(2, _MOST_PICTURES // max(1, len(by_reason)))
    shown = [entry for reason in sorted(by_reason) for entry in _thinned(by_reason[reason], each)]
    figures = [
        _figure(thumbs / d["thumbnail"], f"{d['reason']} · {source} at {_clock(d['start_s'])}", "wide")
        for source, d in shown
    ]
    return _sheet("Dropped", "The picture in the middle of a dropped stretch", figures, len(with_picture))


def _sheet(title: str, text: str, figures: list[str], total: int) -> str:
    if not figures:
        return ""
    thinned = f"; {len(figures)} of {total} shown" if len(figures) < total else ""
    kind = "sheet wide" if title == "Dropped" else "sheet"
    return f'<h2>{title}</h2><p class=soft>{text}{thinned}.</p><div class="{kind}">{"".join(figures)}</div>'


def _figure(picture: Path, caption: str, kind: str) -> str:
    data = base64.b64encode(picture.read_bytes()).decode() if picture.is_file() else ""
    image = f'<img alt="" loading=lazy src="data:image/jpeg;base64,{data}">' if data else ""
    return f'<figure class="{kind}">{image}<figcaption>{escape(caption)}</figcaption></figure>'


def _thinned(items: Sequence[Any], most: int) -> list[Any]:
    """At most `most` of the items, spread evenly."""
    if len(items) <= most:
        return list(items)
    return [items[i * len(items) // most] for i in range(most)]


def _clock(time_s: float) -> str:
    return f"{int(time_s) // 60}:{time_s % 60:04.1f}"


def _histograms(histograms: Sequence[dict[str, Any]]) -> str:
    cards = []
    for h in histograms:
        most, bins = max(h["minutes"]) or 1.0, len(h["minutes"])
        step = 300 / bins
        bars = "".join(
            f'<rect x="{i * step + 1:.1f}" y="{100 - 92 * m / most:.1f}" width="{step - 2:.1f}" '
            f'height="{92 * m / most:.1f}" rx="1.5" fill="var(--bar)">'
            f"<title>{h['edges'][i]:g} to {h['edges'][i + 1]:g} {escape(h['unit'])}: {_minutes(m)}</title></rect>"
            for i, m in enumerate(h["minutes"])
            if m > 0
        )
        unit = h["unit"] if h["unit"] in ("", "°") else f" {h['unit']}"
        cards.append(
            f"<div class=card><h3>{escape(h['title'])}</h3><p class=soft>median {h['median']:.3g}{escape(unit)}</p>"
            f'<svg viewBox="0 0 300 118">{bars}<line x1="0" x2="300" y1="100.5" y2="100.5" stroke="var(--line)"/>'
            f'<text x="0" y="115">{h["edges"][0]:g}</text>'
            f'<text x="300" y="115" text-anchor="end">{h["edges"][-1]:g}</text></svg></div>'
        )
    return f"<h2>What was kept looks like</h2><p class=soft>Minutes by value.</p><div class=grid>{''.join(cards)}</div>"


def _poses(poses: dict[str, Any]) -> str:
    """Minutes by turn and nod of the head."""
    yaw, pitch = ([f"{a:g}…{b:g}°" for a, b in pairwise(poses[name])] for name in ("yaw_deg", "pitch_deg"))
    text = "by turn of the head (across) and nod (down). What is empty here is what the lips will be guessed in."
    return _heat("Poses", text, yaw, pitch, poses["minutes"])


def _mouths(mouths: dict[str, Any]) -> str:
    """Minutes by width and opening of the mouth."""
    text = (
        "by width (across) and opening (down). Closed are p, b, m; rounded are o, u, w; spread are e, i, s; "
        "wide open is a. What is empty here was never seen, and will be guessed."
    )
    return _heat("Mouth shapes", text, mouths["width"], mouths["opening"], mouths["minutes"])


def _heat(
    title: str, text: str, columns: Sequence[str], rows: Sequence[str], minutes: Sequence[Sequence[float]]
) -> str:
    """A table of minutes, darker where there is more."""
    most = max((m for row in minutes for m in row), default=0.0) or 1.0
    lines = []
    for name, row in zip(rows, minutes, strict=True):
        cells = "".join(
            f'<td style="--share:{70 * (m / most) ** 0.5:.0f}%">{_minutes(m) if m * 60 >= 0.5 else "–"}</td>'
            for m in row
        )
        lines.append(f"<tr><th>{escape(name)}</th>{cells}</tr>")
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    return (
        f"<h2>{title}</h2><p class=soft>Minutes kept {text}</p><div class='card scroll'><table class=heat>"
        f"<tr><th></th>{head}</tr>{''.join(lines)}</table></div>"
    )


def _selection(selection: dict[str, Any], sources: Sequence[dict[str, Any]]) -> str:
    """The best minutes and why."""
    clips = {clip["id"]: clip for source in sources for clip in source["clips"]}
    taken = [c for c in selection["choices"] if c["taken"] and c["id"] in clips]
    cover = " · ".join(f"{name} {100 * share:.0f} %" for name, share in selection["coverage"].items())
    rows = "".join(
        f"<tr><td>{escape(clips[c['id']]['source'])} at {_clock(clips[c['id']]['start_s'])}</td>"
        f"<td>{escape(c['reason'])}</td></tr>"
        for c in _thinned(taken, _MOST_SOURCES)
    )
    return (
        f"<h2>The best {_minutes(selection['minutes'])}</h2><p class=soft>{len(taken)} of {len(selection['choices'])} "
        f"clips will be learned from; of all there is they show: {escape(cover)}.</p>"
        f"<details><summary>Which, and why</summary><table class=list>{rows}</table></details>"
    )


def _timelines(sources: Sequence[dict[str, Any]]) -> str:
    """Files of which something was dropped, worst first; what was kept whole, folded away."""
    whole = [source for source in sources if _is_whole(source)]
    rest = sorted((source for source in sources if not _is_whole(source)), key=_kept_share)
    out = [_timeline(source) for source in rest[:_MOST_SOURCES]]
    if whole:
        shown = "".join(_timeline(source) for source in _thinned(whole, _MOST_SOURCES))
        out.append(f"<details><summary>{len(whole)} file{'s' * (len(whole) > 1)} kept whole</summary>{shown}</details>")
    few = max(0, len(rest) - _MOST_SOURCES) + max(0, len(whole) - _MOST_SOURCES)
    thinned = f" {few} of {len(sources)} files are in report.json alone." if few else ""
    text = f"Ticks above a bar are cuts; where a file shows several people, the line below tells who.{thinned}"
    return f"<h2>File by file</h2><p class=soft>{text}</p>{''.join(out)}"


def _kept_share(source: dict[str, Any]) -> float:
    kept_s = sum(s["end_s"] - s["start_s"] for s in source["timeline"] if s["verdict"] == "kept")
    return kept_s / max(source["duration_s"], 1e-3)


def _is_whole(source: dict[str, Any]) -> bool:
    return bool(source["clips"]) and all(stretch["verdict"] == "kept" for stretch in source["timeline"])


def _people(source: dict[str, Any]) -> str:
    """Who is seen in the clips of a file that shows several people, as bars under its timeline."""
    if len({clip["seen_as"] for clip in source["clips"]}) < 2:
        return ""
    bars = []
    for clip in source["clips"]:
        who = "not told apart" if clip["seen_as"] < 0 else f"person {clip['seen_as']} (--pick {clip['seen_as']})"
        colour = _PEOPLE[clip["seen_as"] % len(_PEOPLE)] if clip["seen_as"] >= 0 else "var(--line)"
        at, width = (1000 * clip[name] / source["duration_s"] for name in ("start_s", "duration_s"))
        title = f"{_clock(clip['start_s'])}: {who}"
        bars.append(
            f'<rect x="{at:.2f}" y="28" width="{width:.2f}" height="5" fill="{colour}"><title>{title}</title></rect>'
        )
    return "".join(bars)


def _timeline(source: dict[str, Any]) -> str:
    length_s = source["duration_s"]
    facts = [format_s(length_s), f"{source['width']}×{source['height']}", f"{source['frame_rate']:.4g} fps"]
    facts.append(f"{len(source['clips'])} clip{'s' * (len(source['clips']) != 1)}")
    if source["offset_frames"] and source["clips"]:
        facts.append(f"sound moved by {-source['offset_frames']:+.1f} frames")
    bars = people = ""
    if length_s > 0:
        bars = "".join(
            f'<rect x="{1000 * s["start_s"] / length_s:.2f}" y="8" height="18" '
            f'width="{1000 * (s["end_s"] - s["start_s"]) / length_s:.2f}" fill="{_colour(s["verdict"])}">'
            f"<title>{_clock(s['start_s'])} to {_clock(s['end_s'])}: {escape(s['verdict'])}</title></rect>"
            for s in source["timeline"]
        )
        bars += "".join(
            f'<rect x="{1000 * cut / length_s - 1:.2f}" y="0" width="2" height="7" fill="var(--ink)"/>'
            for cut in source["cuts_s"]
        )
        people = _people(source)
    height = 34 if people else 26
    dropped = sorted({s["verdict"] for s in source["timeline"]} - {"kept"})
    why = f"<p class=soft>dropped: {escape(', '.join(dropped))}</p>" if dropped else ""
    notes = "".join(f"<p class=soft>{escape(text)}</p>" for text in source["warnings"])
    return (
        f"<div class='card src'><div class=row><h3>{escape(source['source'])}</h3>"
        f'<span class=soft>{escape(" · ".join(facts))}</span></div><svg viewBox="0 0 1000 {height}" '
        f'preserveAspectRatio="none" style="height:{height}px">{bars}{people}</svg>{why}{notes}</div>'
    )
