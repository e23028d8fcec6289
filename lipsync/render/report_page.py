"""A render's report as one HTML page: pictures inlined, timelines as SVG, no script, nothing fetched; light or dark."""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from lipsync.progress import format_s

if TYPE_CHECKING:
    from lipsync.render.report import Shown, Sync

PX_A_SECOND, WAVE_PX, LEAST_PX, MOST_PX = 120, 150, 1000, 24_000
_COLOURS = ("#d9772b", "#8a6fd1", "#c84a4a", "#2f9fb5", "#b0508a", "#7a9a3a", "#59616b")
_CLOSED = set("pbm")

_STYLE = """
:root{color-scheme:light dark;--bg:#f7f7f5;--card:#fff;--ink:#1d2126;--soft:#5d6670;--line:#e2e4e6;--seen:#c2571a;
--heard:#3d7ea6;--good:#2a9d74;--warn:#9a5b00;--warnbg:#fff4de}
@media(prefers-color-scheme:dark){:root{--bg:#15181b;--card:#1e2226;--ink:#e8eaec;--soft:#9aa3ad;--line:#32383e;
--seen:#f09a5e;--heard:#6fb1d8;--good:#48bd93;--warn:#f0b968;--warnbg:#33290f}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1080px;margin:0 auto;padding:28px 16px 64px}
h1{font-size:1.5rem;margin:0 0 4px;overflow-wrap:anywhere}h2{font-size:1.15rem;margin:34px 0 8px}
p{margin:4px 0;max-width:72ch}.soft{color:var(--soft);font-size:.88rem}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 16px}
.big{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:10px;margin:18px 0}
.big b{display:block;font-size:1.6rem;line-height:1.2;font-variant-numeric:tabular-nums}
.warn{background:var(--warnbg);border-radius:10px;padding:10px 14px;margin:8px 0}
.key{display:flex;flex-wrap:wrap;gap:4px 16px;margin:8px 0;font-size:.88rem}
.key i{display:inline-block;width:.75em;height:.75em;border-radius:3px;margin-right:.4em}
.scroll{overflow-x:auto}.row{display:flex;gap:8px;margin:8px 0;align-items:flex-start}
figure{margin:0;flex:none}figure img{height:190px;border-radius:6px;display:block}
figcaption{font-size:.76rem;color:var(--soft)}
svg{display:block}svg text{fill:var(--soft);font:11px system-ui,sans-serif}
table{border-collapse:collapse;font-size:.86rem;font-variant-numeric:tabular-nums}
td,th{padding:3px 14px 3px 0;text-align:left}th{color:var(--soft);font-weight:400}
.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:12px}
"""


def draw_page(result: dict[str, Any], settings: dict[str, Any], sync: "Sync | None", shown: Sequence["Shown"]) -> str:
    """The page as text. `result`: the values of a RenderResult; sync None: not measured."""
    parts = [
        "<!doctype html><html lang=en><head><meta charset=utf-8>",
        '<meta name=viewport content="width=device-width,initial-scale=1"><title>Render report</title>',
        f"<style>{_STYLE}</style></head><body><main>",
        _head(result, sync),
        *[f"<div class=warn>{escape(text)}</div>" for text in result["warnings"]],
        _pictures(shown),
        _passed(result),
        _sync(sync),
        _phonemes(sync),
        _settings(result, settings),
        "</main></body></html>\n",
    ]
    return "\n".join(part for part in parts if part)


def _head(result: dict[str, Any], sync: "Sync | None") -> str:
    outside, left = result["largest_outside_difference"], len(result["passed_through"])
    cards = [
        (format_s(result["duration_s"]), f"{result['frames']} frames, {result['width']} × {result['height']}"),
        (str(result["rendered"]), "frames with a new mouth"),
        (str(left), "frames left as they were"),
        (f"{outside} of 255", "largest difference outside the mask, before encoding"),
    ]
    if sync is not None and np.isfinite(sync.correlation):
        cards.append((f"{sync.correlation:.2f}", "correlation of the mouth seen with the sound"))
    big = "".join(f"<div class=card><b>{escape(value)}</b>{escape(text)}</div>" for value, text in cards)
    who = f"; the person is {escape(result['person'])}" if result["person"] else ""
    return (
        f"<h1>{escape(str(result['out']).replace(chr(92), '/').rsplit('/', 1)[-1])}</h1>"
        f"<p class=soft>Synthetic video: the mouth was generated with the base {escape(result['base'])} "
        f"({escape(result['base_hash'][:16])}){who}; seed {result['seed']}.</p><div class=big>{big}</div>"
    )


def _pictures(shown: Sequence["Shown"]) -> str:
    if not shown:
        return ""
    rows = []
    for moment in shown:
        figures = "".join(
            f'<figure><img alt="" src="data:image/jpeg;base64,{data}"><figcaption>{escape(title)}, '
            f"{moment.time_s:.2f} s</figcaption></figure>"
            for title, data in moment.pictures.items()
        )
        rows.append(f"<div class='row scroll'>{figures}</div>")
    text = "Grey means no difference. What differs outside the outline is the encoder's work: before encoding, every "
    text += "pixel there was compared with the source's, see above."
    note = f"<p class=soft>{text}</p>" if any(len(moment.pictures) > 2 for moment in shown) else ""
    return f"<h2>Pictures</h2>{note}{''.join(rows)}"


def _passed(result: dict[str, Any]) -> str:
    """Frames left as they were: a bar over the whole video, and a list of stretches with their reasons."""
    passed, total_s = result["passed_through"], max(result["duration_s"], 1e-6)
    if not passed:
        return "<h2>Frames left as they were</h2><p>None: every frame has a new mouth.</p>"
    runs: list[list[dict[str, Any]]] = []
    for frame in passed:
        if runs and runs[-1][-1]["frame"] + 1 == frame["frame"] and runs[-1][-1]["reason"] == frame["reason"]:
            runs[-1].append(frame)
        else:
            runs.append([frame])
    reasons = list(dict.fromkeys(run[0]["reason"] for run in runs))
    colours = {reason: _COLOURS[k % len(_COLOURS)] for k, reason in enumerate(reasons)}
    scale, first_s, bars = 1000 / total_s, _first_s(result), []
    for run in runs:
        at, width = (run[0]["time_s"] - first_s) * scale, max(1.5, len(run) / result["frame_rate"] * scale)
        bars.append(f'<rect x="{at:.1f}" width="{width:.1f}" height="22" fill="{colours[run[0]["reason"]]}"/>')
    key = "".join(f'<span><i style="background:{colours[reason]}"></i>{escape(reason)}</span>' for reason in reasons)
    lines = "".join(
        f"<tr><td>{run[0]['time_s']:.2f}–{run[-1]['time_s']:.2f} s<td>{len(run)} frame{'s' * (len(run) > 1)}"
        f"<td>{escape(run[0]['reason'])}"
        for run in runs[:200]
    )
    more = f"<p class=soft>and {len(runs) - 200} more stretches</p>" if len(runs) > 200 else ""
    return (
        "<h2>Frames left as they were</h2><svg viewBox='0 0 1000 22' width='100%' preserveAspectRatio='none'>"
        f"<rect width='1000' height='22' fill='var(--good)' opacity='.35'/>{''.join(bars)}</svg>"
        f"<div class=key><span><i style='background:var(--good);opacity:.5'></i>new mouth</span>{key}</div>"
        f"<table>{lines}</table>{more}"
    )


def _first_s(result: dict[str, Any]) -> float:
    """When the first picture is shown: what passed first cannot be earlier than its frame number says."""
    first = result["passed_through"][0]
    return max(0.0, first["time_s"] - first["frame"] / result["frame_rate"])


def _sync(sync: "Sync | None") -> str:
    if sync is None:
        return "<h2>Mouth and sound</h2><p>Not measured: the video is too long for that.</p>"
    if not np.isfinite(sync.seen).any():
        return ""
    length_s = float(sync.times_s[-1]) if len(sync.times_s) > 1 else 1.0
    width = int(np.clip(length_s * PX_A_SECOND, LEAST_PX, MOST_PX))
    top = max(0.05, float(np.nanmax(np.concatenate([sync.seen, sync.heard]))))
    x, lines = sync.times_s * width / max(length_s, 1e-6), []
    for name, values in (("heard", sync.heard), ("seen", sync.seen)):
        y = WAVE_PX - 8 - np.clip(values / top, 0, 1) * (WAVE_PX - 24)
        lines += [f"<path d='{path}' fill='none' stroke='var(--{name})' stroke-width='1.6'/>" for path in _paths(x, y)]
    scale, marks = width / max(length_s, 1e-6), []
    step_s = 1 if width / max(length_s, 1) > 40 else 10
    for second in range(0, int(length_s) + 1, step_s):
        at = second * scale
        marks.append(f"<path d='M{at:.1f} 0V{WAVE_PX}' stroke='var(--line)'/>")
        marks.append(f"<text x='{at + 3:.1f}' y='10'>{second} s</text>")
    for row, said in enumerate((sync.phonemes, sync.words)):
        for one in said if scale > 30 else []:
            bold = " font-weight='700' style='fill:var(--seen)'" if row == 0 and one.text[:1] in _CLOSED else ""
            marks.append(
                f"<text x='{one.start_s * scale:.1f}' y='{WAVE_PX + 14 + 16 * row}'{bold}>{escape(one.text)}</text>"
            )
    return (
        "<h2>Mouth and sound</h2><p class=soft>Opening of the mouth in distances of the eyes: as landmarks see it in "
        "the finished file, and as the shape model hears it in the sound"
        f"{'; below, what is said (p, b, m stand out: there the lips must meet)' if sync.phonemes else ''}.</p>"
        "<div class=key><span><i style='background:var(--seen)'></i>seen</span>"
        f"<span><i style='background:var(--heard)'></i>heard</span></div><div class='card scroll'>"
        f"<svg width='{width}' height='{WAVE_PX + 40}'>{''.join(marks)}{''.join(lines)}</svg></div>"
    )


def _paths(x: np.ndarray, y: np.ndarray) -> list[str]:
    """Unbroken lines through the points that are known."""
    paths, at = list[str](), 0
    known = np.isfinite(y)
    while at < len(x):
        if not known[at]:
            at += 1
            continue
        end = at
        while end < len(x) and known[end]:
            end += 1
        paths.append("M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x[at:end], y[at:end], strict=True)))
        at = end
    return paths


def _phonemes(sync: "Sync | None") -> str:
    rows = [] if sync is None else sync.by_phoneme()
    if not rows:
        return ""
    most = max(0.02, *(max(row[2:]) for row in rows))
    lines = "".join(
        f"<tr><td>{escape(text)}<td>{count}<td>{seen:.3f}<td>{heard:.3f}<td><svg width='220' height='14'>"
        f"<rect y='1' width='{max(0.0, 220 * seen / most):.0f}' height='5' fill='var(--seen)'/>"
        f"<rect y='8' width='{max(0.0, 220 * heard / most):.0f}' height='5' fill='var(--heard)'/></svg>"
        for text, count, seen, heard in rows
    )
    return f"<h2>By phoneme</h2><table><tr><th>phoneme<th>times<th>seen<th>heard<th></tr>{lines}</table>"


def _settings(result: dict[str, Any], settings: dict[str, Any]) -> str:
    stages = "".join(f"<tr><td>{escape(name)}<td>{seconds:.1f} s" for name, seconds in result["seconds"].items())
    per_frame = 1000 * result["seconds"].get("render", 0.0) / max(result["frames"], 1)
    chosen = "".join(f"<tr><td>{escape(name)}<td>{escape(str(value))}" for name, value in settings.items())
    kept = "".join(f"<tr><td>pieces {escape(str(k))}<td>{escape(str(v))}" for k, v in result.get("pieces", {}).items())
    return (
        "<h2>How it was made</h2><div class=two><div class=card><table>"
        f"<tr><th>stage<th>time</tr>{stages}<tr><td>a frame<td>{per_frame:.0f} ms{kept}</table>"
        "<p class=soft>Planning, generating, pasting and encoding run at the same time; render is all of it.</p></div>"
        f"<div class=card><table><tr><th>setting<th></tr>{chosen}</table></div></div>"
    )
