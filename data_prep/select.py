"""The best minutes of a dataset: clips that are good, and together show much of how a person speaks.

    value(S) = Σ_groups w_g · Σ_bins √(seconds of bin b in S),        seconds weigh as much as their clip's score

Clips are taken one by one, each the one that adds most value a second (Nemhauser, Wolsey & Fisher 1978), so that the
tenth minute of one pose adds little and the first of another adds much. Groups: mouth shapes (opening × width), sounds
(clusters of the log-mel: what phonemes are where nobody transcribed), head poses, light.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.page import draw_page
from data_prep.quality import mouth_shapes, usual_width
from lipsync.errors import ConfigError
from lipsync.training.clipstore import MEL_PAD_S, Clip, ClipRecord, load_clips, write_manifest

SELECTION = "selection.json"
SOUNDS = 24
_WEIGHTS = {"mouth shapes": 1.0, "sounds": 1.0, "head poses": 0.7, "light": 0.4}
_YAW_DEG, _PITCH_DEG, _LUMA = (-20.0, -8.0, 8.0, 20.0), (-12.0, 4.0, 14.0), (60.0, 100.0, 150.0)
_SOUND_SHARE = -0.75  # a mel frame whose mean lies under this is silence


@dataclass(frozen=True)
class Choice:
    """One clip of a dataset: taken or not, and why."""

    id: str
    taken: bool
    reason: str


@dataclass(frozen=True)
class Selection:
    """What was chosen. `coverage`: per group, the share of all seconds' bins that the chosen clips show."""

    minutes: float
    choices: tuple[Choice, ...]
    coverage: dict[str, float]


def select_best(dataset: Path, minutes: float) -> Selection:
    """Keep the best minutes of a dataset in its manifest; its files stay, so that preparing again brings all back.

    Raises:
        ConfigError: `minutes` is not more than 0. DatasetError: there is no dataset, or it is damaged.
    """
    if not minutes > 0:
        raise ConfigError(f"best minutes: expected more than 0, found {minutes:g}")
    clips = list(load_clips(Path(dataset)))
    records = [clip.record for clip in clips]
    seconds = bin_seconds(clips)
    taken = choose(records, seconds, 60 * minutes)
    selection = _explain(records, seconds, taken)
    chosen = set(taken)
    write_manifest(Path(dataset), [record for i, record in enumerate(records) if i in chosen])
    _write(Path(dataset), selection)
    return selection


def bin_seconds(clips: Sequence[Clip]) -> dict[str, np.ndarray]:
    """Per group, how many seconds of each clip fall into each bin: float64 (C, B)."""
    centres = _sound_clusters(clips)
    rows: dict[str, list[np.ndarray]] = {name: [] for name in _WEIGHTS}
    usual = usual_width([clip.mouth for clip in clips])
    for clip in clips:
        gap_s = 1 / clip.record.frame_rate
        pose = np.digitize(clip.pose_deg[:, 0], _YAW_DEG) * 4 + np.digitize(clip.pose_deg[:, 1], _PITCH_DEG)
        rows["mouth shapes"].append(np.bincount(mouth_shapes(clip.mouth, usual), minlength=15) * gap_s)
        rows["head poses"].append(np.bincount(pose, minlength=20) * gap_s)
        light = np.zeros(4)
        light[np.digitize(clip.record.brightness, _LUMA)] = clip.record.duration_s
        rows["light"].append(light)
        heard = _voiced(clip)
        nearest = ((heard[:, None] - centres) ** 2).sum(-1).argmin(1) if len(heard) else np.zeros(0, int)
        rows["sounds"].append(np.bincount(nearest, minlength=SOUNDS) / 100)
    return {name: np.array(values, np.float64) for name, values in rows.items()}


def _voiced(clip: Clip) -> np.ndarray:
    """The log-mel of a clip where it sounds, in 16 bands, its loudness taken off: (T, 16)."""
    pad = round(MEL_PAD_S * 100)
    bands = clip.log_mel[pad : len(clip.log_mel) - pad].reshape(-1, 16, 5).mean(-1)
    loud = bands.mean(1, keepdims=True)
    return (bands - loud)[loud[:, 0] > _SOUND_SHARE]


def _sound_clusters(clips: Sequence[Clip], rounds: int = 8) -> np.ndarray:
    """SOUNDS centres of what is heard: (SOUNDS, 16). k-means from frames spread evenly over a fixed order."""
    heard = np.concatenate([_voiced(clip)[::7] for clip in clips]) if clips else np.zeros((0, 16))
    if len(heard) < SOUNDS:
        return np.zeros((SOUNDS, 16))
    heard = heard[:: max(1, len(heard) // 20_000)]
    order = np.argsort(heard @ np.linspace(-1, 1, 16), kind="stable")
    centres = heard[order[np.linspace(0, len(heard) - 1, SOUNDS).astype(int)]]
    for _ in range(rounds):
        nearest = ((heard[:, None] - centres) ** 2).sum(-1).argmin(1)
        centres = np.stack([heard[nearest == k].mean(0) if (nearest == k).any() else centres[k] for k in range(SOUNDS)])
    return centres


def choose(records: Sequence[ClipRecord], seconds: dict[str, np.ndarray], wanted_s: float) -> list[int]:
    """Places of the clips to take, in the order in which they were taken."""
    left, taken, total_s = list(range(len(records))), [], 0.0
    covered = {name: np.zeros(values.shape[1]) for name, values in seconds.items()}
    while left and total_s < wanted_s:
        gains = [sum(_gains(covered, seconds, records[i], i).values()) / records[i].duration_s for i in left]
        best = left[int(np.argmax(gains))]
        left.remove(best)
        taken.append(best)
        total_s += records[best].duration_s
        for name, values in seconds.items():
            covered[name] += values[best] * records[best].score
    return taken


def _gains(
    covered: dict[str, np.ndarray], seconds: dict[str, np.ndarray], record: ClipRecord, place: int
) -> dict[str, float]:
    """What one more clip adds to each group."""
    return {
        name: _WEIGHTS[name] * float((np.sqrt(now + record.score * seconds[name][place]) - np.sqrt(now)).sum())
        for name, now in covered.items()
    }


def _explain(records: Sequence[ClipRecord], seconds: dict[str, np.ndarray], taken: Sequence[int]) -> Selection:
    covered = {name: np.zeros(values.shape[1]) for name, values in seconds.items()}
    reasons = {}
    for i in taken:
        gains = _gains(covered, seconds, records[i], i)
        usual = {name: np.mean([seconds[name][j].sum() for j in taken]) for name in seconds}
        best = sorted(gains, key=lambda name: -gains[name] / max(_WEIGHTS[name] * usual[name], 1e-9))[:2]
        reasons[i] = f"adds {best[0]} and {best[1]}; score {records[i].score:.2f}"
        for name, values in seconds.items():
            covered[name] += values[i] * records[i].score
    choices = []
    for i, record in enumerate(records):
        left_out = f"has {', '.join(record.flags)}" if record.flags else f"adds little more; score {record.score:.2f}"
        choices.append(Choice(record.id, i in reasons, reasons.get(i, left_out)))
    coverage = {
        name: round(float((values[list(taken)].sum(0) > 0.2).sum() / max(1, (values.sum(0) > 0.2).sum())), 3)
        for name, values in seconds.items()
    }
    minutes = sum(records[i].duration_s for i in taken) / 60
    return Selection(round(minutes, 4), tuple(choices), coverage)


def _write(dataset: Path, selection: Selection) -> None:
    """selection.json, and the same in the report where there is one; each appears only when it is whole."""
    values: dict[str, Any] = {
        "minutes": selection.minutes,
        "coverage": selection.coverage,
        "choices": [vars(choice) for choice in selection.choices],
    }
    texts = {SELECTION: json.dumps(values, ensure_ascii=False, indent=1) + "\n"}
    if (dataset / "report.json").is_file():
        report = {**json.loads((dataset / "report.json").read_text(encoding="utf-8")), "selection": values}
        texts["report.json"] = json.dumps(report, ensure_ascii=False, indent=1) + "\n"
        texts["report.html"] = draw_page(report, dataset / "thumbs")
    for name, text in texts.items():
        part = dataset / f"{name}.part"
        part.write_text(text, encoding="utf-8")
        part.replace(dataset / name)
