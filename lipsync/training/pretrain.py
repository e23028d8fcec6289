"""Train the base: shape model, sync judges, offsets of the footage, pixel model. Split by person, never by clip.

RUN/shape/best.safetensors and RUN/pixel/best.safetensors are the results; RUN/pixel/sheet_STEP.png shows held-out
people at each evaluation (rows: as they are, as made, what differs). `publish` makes them a base, in bfloat16.
Started several times over (parallel.py), all processes do the same work but for the batches that each draws.
"""

import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import torch

from lipsync.errors import CheckpointError, DatasetError
from lipsync.model.base import checkpoints_folder
from lipsync.model.checkpoint import file_hash, load_model, save_model
from lipsync.model.pixel import PixelModel, PixelModelConfig
from lipsync.model.speech_to_shape import ShapeModel, ShapeModelConfig
from lipsync.progress import Progress, Silent
from lipsync.sync.judge import JUDGES, judge_file
from lipsync.training.clipstore import Clip, ClipRecord
from lipsync.training.judging import JudgesConfig, in_sync, learn_judges
from lipsync.training.lines import line_clips, read_lines
from lipsync.training.loop import LoopConfig, TrainState, begun, train
from lipsync.training.packed import load_any
from lipsync.training.parallel import current
from lipsync.training.pixel_task import LipReader, PixelTask, PixelTaskConfig, detail_for
from lipsync.training.shape_task import ShapeTask, ShapeTaskConfig, fit_shape_space, shape_clips
from lipsync.training.windows import WindowTaskConfig, load_windows


@dataclass(frozen=True)
class PretrainConfig:
    """A base: its two models, how each is learned, and who is held out."""

    shape_model: ShapeModelConfig = field(default_factory=ShapeModelConfig)
    pixel_model: PixelModelConfig = field(default_factory=PixelModelConfig)
    shape_task: ShapeTaskConfig = field(default_factory=ShapeTaskConfig)
    pixel_task: PixelTaskConfig = field(
        default_factory=lambda: PixelTaskConfig(windows=WindowTaskConfig(foreign_share=0.2), follow=0.2, inner_weight=5)
    )
    shape_loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(minutes=8, learning_rate=1e-3, ema_decay=0.998, evaluations=5)
    )
    pixel_loop: LoopConfig = field(default_factory=lambda: LoopConfig(minutes=110, learning_rate=8e-4, evaluations=12))
    judges: JudgesConfig = field(default_factory=JudgesConfig)
    shape_rounds: int = 2
    held_out_one_in: int = 7
    leave_out: tuple[str, ...] = ()
    threads: int = 0
    compile: bool = False  # the pixel model, by torch.compile: a minute at the start, for runs on a GPU


GPU = PretrainConfig(
    pixel_task=PixelTaskConfig(
        windows=WindowTaskConfig(batch=48, foreign_share=0.2), follow=0.2, inner_weight=5, workers=14
    ),
    shape_task=ShapeTaskConfig(batch=64),
    judges=JudgesConfig(loop=replace(JudgesConfig().loop, minutes=2)),
    shape_loop=LoopConfig(minutes=3, learning_rate=2e-3, ema_decay=0.998, evaluations=5),
    pixel_loop=LoopConfig(
        minutes=22, learning_rate=1.5e-3, warmup_steps=300, evaluations=12, save_every_s=120, ema_decay=0.9995
    ),
    compile=True,
)  # one data-centre GPU and sixteen cores; not run on one yet
PRESETS = {"cpu": PretrainConfig(), "gpu": GPU}


def last_minutes(config: PretrainConfig, minutes: float) -> PretrainConfig:
    """The same with each part's time scaled: shape, both judges and pixels together take `minutes`."""
    loops = (config.shape_loop, config.judges.loop, config.pixel_loop)
    scale = minutes / (loops[0].minutes + 2 * loops[1].minutes + loops[2].minutes)
    shape, judges, pixel = (replace(loop, minutes=loop.minutes * scale) for loop in loops)
    return replace(config, shape_loop=shape, judges=replace(config.judges, loop=judges), pixel_loop=pixel)


def is_held_out(record: ClipRecord, one_in: int) -> bool:
    """Whether a clip's person is kept for scoring: a hash of the name decides; clips without a name train."""
    return bool(record.person) and zlib.crc32(record.person.encode()) % one_in == 0


def split(clips: Iterable[Clip], config: PretrainConfig) -> tuple[list[Clip], list[Clip]]:
    """(train, held out). Raises DatasetError when either is empty."""
    known = [c for c in clips if c.record.person not in config.leave_out]
    train_clips = [c for c in known if not is_held_out(c.record, config.held_out_one_in)]
    held_out = [c for c in known if is_held_out(c.record, config.held_out_one_in)]
    if not train_clips or not held_out:
        raise DatasetError(
            f"{len(train_clips)} clips to train on and {len(held_out)} of held-out people: both are needed; "
            "add footage of more named people"
        )
    return train_clips, held_out


def pretrain_shape(
    datasets: list[Path],
    run: Path,
    config: PretrainConfig,
    progress: Progress | None = None,
    device: str = "cpu",
    *,
    resume: bool = False,
    lines: Path | None = None,
) -> float:
    """Learn the shape model in rounds; after each the footage's sound offsets are corrected. Returns the best score.

    With `resume`, what RUN holds of it is taken up where it was. `lines` is a file of actors' lines (lines.py).

    The judges are learned before the last round, which so hears every clip in sync. RUN/shape/best.safetensors,
    RUN/shape/offsets.json: seconds added to each clip's sound times, RUN/judge/{supervisor,scorer}/best.safetensors.
    """
    progress = progress or Silent()
    torch.set_num_threads(config.threads or torch.get_num_threads())
    _same_lines(run, lines, resume)
    train_clips, held_out = split(load_any(datasets), config)
    space, _ = fit_shape_space(train_clips)
    torch.manual_seed(config.shape_loop.seed)
    model = ShapeModel(config.shape_model)
    model.set_space(space)
    model = model.to(device)
    long_enough = [c for c in held_out if len(c.times_s) >= 40] or held_out
    exact = line_clips(read_lines(lines), space) if lines else []
    heard, scored = shape_clips(train_clips, space), shape_clips(long_enough, space)
    task = ShapeTask(model, heard, scored, config.shape_task, exact)
    as_found = {c.name: float(c.times_s[0]) for c in task.train_clips + task.held_out}
    state, loop = TrainState(), replace(config.shape_loop, minutes=config.shape_loop.minutes / config.shape_rounds)
    for part in range(config.shape_rounds):
        if part and part == config.shape_rounds - 1:
            offsets = _offsets(task, as_found)
            judges = run / "judge"
            learn_judges(train_clips, held_out, space, offsets, judges, config.judges, progress, device, resume=resume)
            judge = load_model(judges / "supervisor" / "best.safetensors", "judge", device)
            for clips, found in ((task.train_clips, train_clips), (task.held_out, long_enough)):
                clips[:] = in_sync(judge, clips, found, as_found, config.judges.least_confidence)
        folder = run / "shape" / f"round{part}"
        state = train(task, loop, folder, resume=resume and begun(folder), progress=progress)
        if part < config.shape_rounds - 1:
            task.correct_offsets(task.train_clips)
            task.correct_offsets(task.held_out)
    if current().first:
        (run / "shape" / "offsets.json").write_text(json.dumps(_offsets(task, as_found)))
        best = run / "shape" / f"round{config.shape_rounds - 1}" / "best.safetensors"
        (run / "shape" / "best.safetensors").write_bytes(best.read_bytes())
    current().wait()
    return state.best_score


def _same_lines(run: Path, lines: Path | None, resume: bool) -> None:
    """Keep in RUN which lines it learns from. Raises CheckpointError where a resumed run had others."""
    kept, found = run / "lines.json", file_hash(lines) if lines else None
    if resume and kept.is_file() and json.loads(kept.read_text()) != found:
        raise CheckpointError(
            f"{run} was begun with {'other lines' if lines else 'actors’ lines'}: give the same --lines, or begin anew"
        )
    if current().first:
        run.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(found))


def _offsets(task: ShapeTask, as_found: dict[str, float]) -> dict[str, float]:
    """Seconds by which each clip's frames were moved on the clock of its sound."""
    return {c.name: round(float(c.times_s[0]) - as_found[c.name], 4) for c in task.train_clips + task.held_out}


def pretrain_pixel(
    datasets: list[Path],
    run: Path,
    config: PretrainConfig,
    *,
    resume: bool = False,
    start: Path | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> TrainState:
    """Learn the pixel model; `start` are weights to begin from. RUN's supervisor reads its lips where there is one."""
    torch.set_num_threads(config.threads or torch.get_num_threads())
    train_clips, held_out = split(load_any(datasets), config)
    known = run / "shape" / "offsets.json"
    offsets = json.loads(known.read_text()) if known.is_file() else {}
    torch.manual_seed(config.pixel_loop.seed)
    model = load_model(start, "pixel") if start else PixelModel(config.pixel_model)
    model.config = replace(model.config, detail=0.0)  # measured anew at the end
    model = model.to(device).to(memory_format=torch.channels_last)
    if config.compile:
        model.compile()
    judge, reader = run / "judge" / "supervisor" / "best.safetensors", None
    if judge.is_file():
        shape = load_model(run / "shape" / "best.safetensors", "shape")
        reader = LipReader(load_model(judge, "judge", device), shape.space)
    loaded = load_windows(train_clips, offsets), load_windows(held_out, offsets)
    task = PixelTask(model, *loaded, config.pixel_task, reader)

    def show(state: TrainState) -> None:
        cv2.imwrite(str(run / "pixel" / f"sheet_{state.step:06d}.png"), task.sheet()[:, :, ::-1])

    progress = progress or Silent()
    state = train(task, config.pixel_loop, run / "pixel", resume=resume, progress=progress, on_evaluate=show)
    if current().first:
        best = load_model(run / "pixel" / "best.safetensors", "pixel", device)
        best.config = replace(best.config, detail=0.0)  # of a run that had been finished before
        best.config = replace(best.config, detail=detail_for(best, loaded[0]))
        save_model(run / "pixel" / "best.safetensors", best, "pixel")
    current().wait()
    return state


def pretrain(
    datasets: list[Path],
    run: Path,
    config: PretrainConfig | None = None,
    *,
    resume: bool = False,
    start: Path | None = None,
    lines: Path | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> TrainState:
    """All of it, one after the other; a finished shape model is not learned again when resuming.

    `start`: weights that the pixel model begins with. `lines`: actors' lines for the shape model.
    """
    config = config or PretrainConfig()
    if not (resume and (run / "shape" / "best.safetensors").is_file()):
        pretrain_shape(datasets, run, config, progress, device, resume=resume, lines=lines)
    resume = resume and begun(run / "pixel")
    return pretrain_pixel(datasets, run, config, resume=resume, start=start, device=device, progress=progress)


def publish(run: Path, name: str) -> Path:
    """Write a run's best weights to the checkpoints folder, in bfloat16; returns the folder of the base `name`."""
    folder = checkpoints_folder() / name
    for kind in ("shape", "pixel"):
        model = load_model(run / kind / "best.safetensors", kind)
        save_model(folder / f"{kind}.safetensors", model, kind, dtype=torch.bfloat16)
    for which in JUDGES:
        if (run / "judge" / which / "best.safetensors").is_file():
            model = load_model(run / "judge" / which / "best.safetensors", "judge")
            save_model(judge_file(which), model, "judge", dtype=torch.bfloat16)
    return folder
