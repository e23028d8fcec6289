"""What the page shows, as HTML made from plain values; every text from outside is escaped."""

import os
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from lipsync.progress import format_s
from lipsync.studio.jobs import CANCELLED, DONE, FAILED, WAITING, Snapshot
from lipsync.studio.service import stretches
from lipsync.training.card_words import card_rows

MOST_ROWS = 20  # a longer table scrolls
CURVE_WIDTH, CURVE_HEIGHT = 240, 44
CURVES = (
    ("shape/loss", "Loss, way of speaking"),
    ("shape/held_out_own_correlation", "Mouth moves with their voice (held out)"),
    ("pixel/loss", "Loss, look"),
    ("pixel/held_out_cross_sync", "Does what another's speech asks (held out)"),
    ("pixel/held_out_mouth_sharpness", "Sharpness of the mouth (held out)"),
)

BACKGROUND_WORDS = {
    "separated": "the original's music and noises, its voice taken out",
    "replaced": "a quiet room: the old voice replaced by the room's own tone",
    "ducked": "the original's sound, turned down while somebody speaks (the old voice can still be heard faintly)",
    "silent": "nothing",
    "by hand": "made by hand",
}


def job_card(job: Snapshot | None) -> str:
    """The state of a job: a bar with the time left, or how it ended."""
    if job is None:
        return ""
    if job.state == DONE:
        return _card(
            "done", job.title, "Finished.", _faint(" · ".join(s for s in job.finished if not s.endswith(": 0 s")))
        )
    if job.state == FAILED:
        return _card("failed", job.title, without_folders(job.error))
    if job.state == CANCELLED:
        return _card("stopped", job.title, "Stopped. What was finished is kept.")
    if job.state == WAITING:
        return _card("running", job.title, "Waits for the job before it.")
    left = "" if job.left_s is None else f"{format_s(job.left_s)} left"
    percent = 0 if job.share is None else round(100 * job.share)
    bar = f'<div class="bar{" unknown" if job.share is None else ""}"><i style="width:{percent}%"></i></div>'
    line = " · ".join(part for part in (job.stage or "Working", f"{percent} %" if job.share else "", left) if part)
    return _card("running", job.title, line, bar + loss_curve(job.readings) + _faint(job.note))


def without_folders(text: str) -> str:
    """A message with files that were uploaded called as their owner calls them."""
    folder = os.environ.get("GRADIO_TEMP_DIR", "")
    return re.sub(re.escape(folder) + r"[/\\][0-9a-f]{16,}[/\\]", "", text) if folder else text


def _faint(text: str) -> str:
    return f'<p class="faint">{escape(text)}</p>' if text else ""


def _card(kind: str, title: str, text: str, more: str = "") -> str:
    live = 'role="alert"' if kind == "failed" else 'role="status"'
    return f'<div class="card {kind}" {live}><b>{escape(title)}</b><p>{escape(text)}</p>{more}</div>'


def loss_curve(readings: Sequence[tuple[float, str]]) -> str:
    """The losses so far as a small line, the mean of neighbours; "" when there are too few."""
    losses = [float(note.split()[1]) for _, note in readings if note.startswith("loss ")]
    if len(losses) < 8:
        return ""
    near = max(1, len(losses) // 20)
    means = [sum(losses[max(0, i - near) : i + 1]) / len(losses[max(0, i - near) : i + 1]) for i in range(len(losses))]
    return _line(means)


def empty(text: str) -> str:
    """What stands where nothing is yet."""
    return f'<div class="empty">{escape(text)}</div>'


def table(rows: Sequence[Sequence[str]], head: Sequence[str]) -> str:
    """A table of texts."""
    heads = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    made = f'<table class="plain"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>'
    return made if len(rows) <= MOST_ROWS else f'<div class="scroll">{made}</div>'


def footage_report(report: Mapping[str, Any]) -> str:
    """What was kept, what was dropped and why, and what to do."""
    if not report:
        return empty("Not prepared yet. After Prepare, this shows what can be learned from and why the rest cannot.")
    kept_s, all_s = 60 * report["minutes_kept"], 60 * report["minutes_in"]
    share = 100 * kept_s / all_s if all_s else 0
    clips = "1 clip" if report["clips"] == 1 else f"{report['clips']} clips"
    head = f"<p><b>{clips} kept</b>: {format_s(kept_s)} of {format_s(all_s)} ({share:.0f} %).</p>"
    rows = [(reason, format_s(60 * minutes)) for reason, minutes in report["minutes_dropped"].items()]
    dropped = table(rows, ("Dropped because", "Time")) if rows else "<p>Nothing was dropped.</p>"
    warnings = [(w["about"], f"{w['found']}. {w['advice']}") for w in report["warnings"][:8]]
    notes = "".join(f"<li><b>{escape(about)}</b>: {escape(text)}</li>" for about, text in warnings)
    return head + dropped + (f"<ul>{notes}</ul>" if notes else "")


def gain_table(notes: Mapping[str, Any]) -> str:
    """What learning gained on footage it did not learn from, in words."""
    card: Mapping[str, Any] = notes.get("card") or {}
    rows = card_rows(card)
    if not rows:
        return ""
    line = f"<p>Learned from {format_s(float(notes.get('footage_s', 0)))} of footage; measured on clips held out.</p>"
    return line + table(rows, ("Held-out footage", "Base", "Learned", "That is"))


def learning_curves(curves: Mapping[str, Sequence[tuple[int, float]]]) -> str:
    """The curves of a run: each with its first, best and last value; "" while there are none."""
    drawn = []
    for name, title in CURVES:
        values = [value for _, value in curves.get(name, [])]
        if len(values) < 2:
            continue
        last = f"{values[0]:.3f} → {values[-1]:.3f} at step {curves[name][-1][0]}"
        drawn.append(f'<figure><figcaption class="faint">{escape(title)}: {last}</figcaption>{_line(values)}</figure>')
    return "".join(drawn)


def _line(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    step, span = CURVE_WIDTH / (len(values) - 1), (high - low) or 1.0
    points = " ".join(f"{i * step:.1f},{2 + (CURVE_HEIGHT - 4) * (high - v) / span:.1f}" for i, v in enumerate(values))
    return (
        f'<svg class="curve" viewBox="0 0 {CURVE_WIDTH} {CURVE_HEIGHT}" role="img" aria-label="the curve so far">'
        f'<polyline points="{points}"/></svg>'
    )


def learn_estimate(report: Mapping[str, Any], ready: str, least_minutes: float) -> str:
    """What the footage is worth, and how long learning will take: `ready` is the measured estimate, "" before it."""
    if not report:
        return empty("Prepare footage first.")
    if ready:
        return "".join(f"<p>{escape(line)}</p>" for line in ready.splitlines())
    kept = report["minutes_kept"]
    text = f"Learns from {format_s(60 * kept)} of footage. Check first, to see how long it takes on this machine."
    few = f" Less than {least_minutes:g} minutes of footage: expect little gain." if kept < least_minutes else ""
    return f"<p>{text}{few}</p>"


def render_account(account: Mapping[str, Any]) -> str:
    """What a render says of itself."""
    if not account:
        return ""
    if "turns" in account:
        return scene_account(account)
    speed = account["duration_s"] / max(1e-6, sum(account["seconds"].get(k, 0) for k in ("plan", "render")))
    rows = [
        ("Frames", f"{account['frames']}, {account['rendered']} with a new mouth"),
        ("Picture", f"{account['width']} × {account['height']}, {account['frame_rate']:.3g} a second"),
        ("Changed outside the mouth's window", f"{account['largest_outside_difference']} of 255 (before encoding)"),
        ("Speed", f"{speed:.2f} × real time"),
        ("Model", f"{account['base']}, seed {account['seed']}, {account['steps']} steps"),
    ]
    passed = account["passed_through"]
    rows += [("Left as it was", "; ".join(stretches(passed)) if passed else "no frame")]
    return table(rows, ("This video", "")) + _remarks(account)


def scene_account(account: Mapping[str, Any]) -> str:
    """What a video of several speakers says of itself."""
    seen = "all side by side" if account["layout"] == "grid" else f"one after another, {len(account['shots'])} shots"
    rows = [
        ("Sentences", f"{len(account['turns'])}, in {format_s(account['duration_s'])}"),
        ("Picture", f"{account['width']} × {account['height']}, {account['frame_rate']:.3g} a second; {seen}"),
        *[(one["name"] or "Narrator", f"{one['rendered']} frames with a new mouth") for one in account["actors"]],
    ]
    return table(rows, ("This video", "")) + _remarks(account)


def _remarks(account: Mapping[str, Any]) -> str:
    """Warnings, and what was measured."""
    notes = "".join(f"<li>{escape(text)}</li>" for text in account["warnings"])
    found = [row for row in account.get("measured", []) if row[2] != "needs a reference"]
    return (f"<ul>{notes}</ul>" if notes else "") + (table(found, ("Measured", "", "")) if found else "")


def dub_account(account: Mapping[str, Any]) -> str:
    """What a dub says of itself: how the sentences fit, what is heard, and what needs a look."""
    if "in_slot" not in account:
        return ""
    late = [text for text in account["warnings"] if text.startswith("segment ")]
    rows = [
        ("Sentences in their time", f"{account['in_slot']} of {account['sentences']}"),
        ("Loudness", f"{account['lufs']:.1f} LUFS, the original {account['source_lufs']:.1f}"),
        ("Under the speech", BACKGROUND_WORDS.get(account["background"], account["background"])),
    ]
    notes = "".join(f"<li>{escape(text)}</li>" for text in late)
    return table(rows, ("This dub", "")) + (f"<ul>{notes}</ul>" if notes else "") + render_account(
        {**account, "warnings": [text for text in account["warnings"] if text not in late]}
    )  # fmt: skip
