"""Learn a person: a dataset of their clips → one adapter file.

Two short runs of the same loop as pretraining, with the base frozen: the way of speaking (LoRA and a style vector on
the shape model), then the look (LoRA on the pixel model). A part of the person's clips is held out; the step that does
best on it is kept, and step 0, the base itself, competes.
"""

import copy
import json
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from lipsync.consent import Consent
from lipsync.errors import ConsentError, DatasetError
from lipsync.model.base import DEFAULT_BASE, Base, load_base
from lipsync.model.lora import Adapter, LoraSettings, lora_tensors, save_adapter, wrap_pixel, wrap_shape
from lipsync.progress import Progress, Silent
from lipsync.training.clipstore import Clip, load_clips
from lipsync.training.loop import LoopConfig, Task, train
from lipsync.training.pixel_task import PixelTask, PixelTaskConfig
from lipsync.training.shape_task import ShapeClip, ShapeTask, ShapeTaskConfig, shape_clips
from lipsync.training.windows import WindowTaskConfig, load_windows


@dataclass(frozen=True)
class FinetuneConfig:
    """How long and how to learn a person. `minutes` is for all of it."""

    minutes: float = 10.0
    shape_share: float = 0.2
    least_footage_s: float = 8.0
    held_out_share: float = 0.12
    most_frames: int = 24_000
    lora: LoraSettings = field(default_factory=LoraSettings)
    shape_task: ShapeTaskConfig = field(default_factory=lambda: ShapeTaskConfig(style_share=1.0))
    pixel_task: PixelTaskConfig = field(
        default_factory=lambda: PixelTaskConfig(windows=WindowTaskConfig(batch=2, chunk_frames=5), held_out_batches=3)
    )
    shape_loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(learning_rate=2e-3, warmup_steps=20, ema_decay=0.99, evaluations=6)
    )
    pixel_loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(learning_rate=5e-4, warmup_steps=20, ema_decay=0.99, evaluations=6)
    )


@dataclass(frozen=True)
class FinetuneResult:
    """Where the adapter is and what it gained on held-out footage; `card` has 'before' and 'after' of each reading."""

    adapter: Path
    person: str
    footage_s: float
    seconds: float
    card: dict[str, dict[str, float]]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"adapter": str(self.adapter)}


class _PersonShape(ShapeTask):
    """The shape task of one person: their style vector is always on."""

    def export(self, path: Path) -> None:
        save_file(lora_tensors(self.wrapped) | {"style": self.style}, path)

    def __init__(
        self, wrapped: Any, clips: list[ShapeClip], held_out: list[ShapeClip], config: ShapeTaskConfig
    ) -> None:
        # One name for all clips, labelled or not: without a name no style would be learned.
        super().__init__(wrapped.get_base_model(), [replace(c, person="them") for c in clips], held_out, config)
        self.wrapped = wrapped
        nn.init.zeros_(self.styles.weight)  # start as the base's average person

    @property
    def style(self) -> torch.Tensor:
        return self.styles.weight.detach()[0].clone()

    @property
    def styles(self) -> nn.Embedding:
        styles = self.model.styles
        assert isinstance(styles, nn.Embedding)
        return styles

    def evaluate(self) -> dict[str, float]:
        rows = [self.follow(clip, self.style) for clip in self.held_out]
        corr = np.array([r[0] for r in rows if np.isfinite(r[0])])
        return {"score": float(corr.mean()), "spread": float(np.median([r[1] for r in rows]))}


class _PersonPixels(PixelTask):
    wrapped: Any = None

    def export(self, path: Path) -> None:
        save_file(lora_tensors(self.wrapped), path)


def finetune(
    dataset: Path,
    out: Path,
    *,
    base: str = DEFAULT_BASE,
    config: FinetuneConfig | None = None,
    consent: Consent | None = None,
    resume: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
) -> FinetuneResult:
    """Learn one person.

    Args:
        dataset: a folder made by `prepare`.
        out: the adapter's file name; beside it OUT.run/ keeps what is needed to resume, and the logs.
        consent: the person's record; it travels in the adapter.
        resume: continue an interrupted run.

    Raises:
        ConsentError: no consent. DatasetError: too little footage, with what was found.
        CheckpointError: no base, or nothing to resume.
    """
    config, progress, out = config or FinetuneConfig(), progress or Silent(), Path(out)
    if consent is None:
        raise ConsentError(
            "nobody is learned without a consent record; give one with --consent or on the person's page"
        )
    consent.check("video")
    began = time.monotonic()
    clips = usable_clips(dataset, config)
    train_clips, held_out = hold_out(clips, config.held_out_share)
    loaded = load_base(base, device)
    run = out.with_name(out.name + ".run")
    shape, shape_card = _learn_shape(loaded, train_clips, held_out, config, run / "shape", resume, progress)
    pixel, pixel_card = _learn_pixels(loaded, train_clips, held_out, config, run / "pixel", resume, progress)
    card = shape_card | pixel_card
    footage_s = sum(c.record.duration_s for c in clips)
    notes = {
        "person": consent.subject,
        "consent": consent.to_json(),
        "consent_digest": consent.digest,
        "base": base,
        "base_hash": loaded.hash,
        "footage_s": round(footage_s, 1),
        "clips": len(clips),
        "card": card,
    }
    style = shape.pop("style")
    save_adapter(out, Adapter(pixel, shape, style, config.lora, notes))
    return FinetuneResult(out, consent.subject, round(footage_s, 1), round(time.monotonic() - began, 1), card)


def usable_clips(dataset: Path, config: FinetuneConfig) -> list[Clip]:
    """The dataset's clips, at most `most_frames` of them evenly over it. Raises DatasetError when there are too few."""
    clips = list(load_clips(Path(dataset)))
    seconds = sum(c.record.duration_s for c in clips)
    if len(clips) < 2 or seconds < config.least_footage_s:
        raise DatasetError(
            f"{dataset} holds {len(clips)} clip(s), {seconds:.1f} s of usable footage; to learn a person at least 2 "
            f"clips and {config.least_footage_s:.0f} s are needed, and 5 to 10 minutes are good"
        )
    frames = sum(c.record.frames for c in clips)
    if frames <= config.most_frames:
        return clips
    keep = np.linspace(0, len(clips) - 1, max(2, int(len(clips) * config.most_frames / frames))).round().astype(int)
    return [clips[i] for i in sorted(set(keep.tolist()))]


def hold_out(clips: list[Clip], share: float) -> tuple[list[Clip], list[Clip]]:
    """(train, held out): every n-th clip is held out, at least one and never all."""
    every = max(2, round(1 / share))
    held = [c for i, c in enumerate(clips) if i % every == every - 1] or clips[-1:]
    return [c for c in clips if all(c is not h for h in held)], held


def _learn_shape(
    base: Base,
    clips: list[Clip],
    held_out: list[Clip],
    config: FinetuneConfig,
    run: Path,
    resume: bool,
    progress: Progress,
) -> tuple[dict[str, torch.Tensor], dict[str, dict[str, float]]]:
    space = base.shape.space
    wrapped = wrap_shape(_copy(base.shape), config.lora)
    task = _PersonShape(wrapped, shape_clips(clips, space), shape_clips(held_out, space), config.shape_task)
    loop = replace(config.shape_loop, minutes=config.minutes * config.shape_share)
    before, after = _run(task, loop, run, resume, progress)
    names = {"score": "opening_correlation", "spread": "opening_spread"}
    return load_file(run / "best.safetensors"), _card(before, after, names)


def _learn_pixels(
    base: Base,
    clips: list[Clip],
    held_out: list[Clip],
    config: FinetuneConfig,
    run: Path,
    resume: bool,
    progress: Progress,
) -> tuple[dict[str, torch.Tensor], dict[str, dict[str, float]]]:
    wrapped = wrap_pixel(_copy(base.pixel), config.lora)
    model: Any = wrapped.get_base_model()
    task = _PersonPixels(model, load_windows(clips), load_windows(held_out), config.pixel_task)
    task.wrapped = wrapped
    loop = replace(config.pixel_loop, minutes=config.minutes * (1 - config.shape_share))
    before, after = _run(task, loop, run, resume, progress)
    return load_file(run / "best.safetensors"), _card(
        before, after, {"score": "mouth_score", "sharpness": "mouth_sharpness"}
    )


def _run(
    task: Task, loop: LoopConfig, run: Path, resume: bool, progress: Progress
) -> tuple[dict[str, float], dict[str, float]]:
    """Train; returns held-out readings before and at the best step, which is step 0 when nothing was better."""
    before_file, best = run / "before.json", run / "best.safetensors"
    if resume and before_file.is_file():
        before = json.loads(before_file.read_text())
    else:
        resume = False
        run.mkdir(parents=True, exist_ok=True)
        before = task.evaluate()
        before_file.write_text(json.dumps(before))
        task.export(best)
    train(
        task,
        loop,
        run,
        resume=resume and (run / "state.safetensors").is_file(),
        progress=progress,
        best_score=before["score"],
    )
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    scored = [{k.removeprefix("held_out_"): v for k, v in row.items() if k.startswith("held_out_")} for row in rows]
    return before, max([before, *[s for s in scored if s]], key=lambda s: s["score"])


def _card(before: dict[str, float], after: dict[str, float], names: dict[str, str]) -> dict[str, dict[str, float]]:
    return {name: {"before": round(before[key], 4), "after": round(after[key], 4)} for key, name in names.items()}


def _copy(model: nn.Module) -> nn.Module:
    return copy.deepcopy(model).train()
