"""The training loop of every model here: steps, average of weights, evaluation, saving, resuming.

    w̄ ← d·w̄ + (1 − d)·w,  d = min(ema_decay, (1 + step) / (10 + step))      learning rate: linear warm-up, then cosine

Everything random in step n is drawn from (seed, n), so a resumed run continues with the same weights as one that never
stopped; with several processes (parallel.py) from (seed, n, process). The number of steps is fixed at the start, from
`steps` or from `minutes` and a probe of the step time.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lipsync.errors import Cancelled, CheckpointError, LipsyncError
from lipsync.progress import Progress, Silent
from lipsync.training.parallel import current

STATE = "state.safetensors"


@dataclass(frozen=True)
class LoopConfig:
    """How long and how fast to learn. `steps` 0: as many as fit into `minutes`, which is always the limit.

    `patience` > 0: stop after so many evaluations in a row without a better score. `save_every_s` > 0: save the state
    at least so often, besides after every evaluation.
    """

    minutes: float = 10.0
    steps: int = 0
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup_steps: int = 100
    clip_norm: float = 1.0
    ema_decay: float = 0.999
    evaluations: int = 10
    seed: int = 0
    patience: int = 0
    save_every_s: float = 0.0
    log_every: int = 50


@dataclass(frozen=True)
class StepResult:
    """A step's loss, readings for the log, and the names of the clips in it."""

    loss: Tensor
    readings: dict[str, float]
    clips: list[str]


class Task(Protocol):
    """What is learned. `model`'s parameters that require gradients are trained, and those of a `critic` if it has one:
    a module that learns along and is saved with the run's state, not exported.
    """

    model: nn.Module

    def step(self, rng: np.random.Generator) -> StepResult:
        """The loss of one batch drawn with `rng` (torch's global generator is seeded as well)."""
        ...

    def evaluate(self) -> dict[str, float]:
        """Readings on held-out data with the weights now in the model; 'score' is there and higher is better."""
        ...

    def export(self, path: Path) -> None:
        """Write the weights now in the model as a file that the product loads."""
        ...


@dataclass
class TrainState:
    """Where a run is. Saved with the weights."""

    step: int = 0
    steps: int = 0
    seconds: float = 0.0
    best_score: float = -math.inf
    best_step: int = 0


def train(
    task: Task,
    config: LoopConfig,
    run: Path,
    *,
    resume: bool = False,
    best_score: float = -math.inf,
    progress: Progress | None = None,
    stage: str = "learning",
    on_evaluate: Callable[[TrainState], None] | None = None,
) -> TrainState:
    """Train until the steps or the minutes are used up; `run`/best.safetensors holds the best weights seen.

    Stopped by the user (Cancelled), it saves where it is first, so that nothing of the run is lost.

    Args:
        task: model, loss, evaluation.
        run: folder for log.jsonl, state.safetensors, best.safetensors; one run at a time.
        resume: continue from the state in `run`.
        best_score: what must be beaten for best.safetensors to be written.
        stage: what progress calls it.
        on_evaluate: called after each evaluation with the averaged weights in the model: to show samples.

    Raises:
        LipsyncError: a loss or gradient is not finite (names step and clips), or there is no room for the state.
        CheckpointError: nothing to resume from, or the state is of another model.
    """
    progress = progress or Silent()
    run.mkdir(parents=True, exist_ok=True)
    loop = _Loop(task, config, run)
    state = loop.restore() if resume else loop.begin()
    state.best_score = max(state.best_score, best_score)
    progress.start(stage, state.steps, "steps")
    progress.advance(state.step)
    loop.draw_ahead(state)
    begun, saved_s = time.monotonic() - state.seconds, state.seconds
    late = state.seconds > config.minutes * 60
    while state.step < state.steps and not late and not _patience_is_over(state, loop.every(state), config.patience):
        result = loop.step(state)
        state.step += 1
        state.seconds = loop.processes.agree(time.monotonic() - begun)
        late = state.seconds > config.minutes * 60
        value = float(result.loss.detach())
        if state.step % config.log_every == 0:
            loop.log(state, result.readings | {"loss": value})
        measured = state.step % loop.every(state) == 0 or state.step == state.steps or late
        if measured:
            loop.evaluate(state, on_evaluate)
        if measured or (config.save_every_s and state.seconds - saved_s > config.save_every_s):
            loop.save(state)
            saved_s = state.seconds
        loop.tell(state, progress, f"loss {value:.4f}")
    loop.processes.wait()
    progress.done(f"best score {state.best_score:.4f} at step {state.best_step}")
    return state


def begun(run: Path) -> bool:
    """Whether there is a state to resume from."""
    return (run / STATE).is_file()


def _patience_is_over(state: TrainState, every: int, patience: int) -> bool:
    """Whether the last `patience` evaluations brought nothing: counted from the saved step, so that resuming agrees."""
    return 0 < patience <= (state.step // every) - (state.best_step // every)


def probe_step_s(task: Task, steps: int = 4) -> float:
    """Seconds that a step takes here: the median of a few, after one to warm up. No weight is changed."""
    times = []
    for i in range(steps + 1):
        start = time.monotonic()
        task.model.train()
        task.step(np.random.default_rng([3, i])).loss.backward()
        times.append(time.monotonic() - start)
    task.model.zero_grad(set_to_none=True)
    return float(np.median(times[1:]))


class _Loop:
    def __init__(self, task: Task, config: LoopConfig, run: Path) -> None:
        self.task, self.config, self.run = task, config, run
        critic = getattr(task, "critic", None)
        named = [*task.model.named_parameters(), *(critic.named_parameters("critic") if critic else ())]
        self.weights = {name: p for name, p in named if p.requires_grad}
        decay = [p for p in self.weights.values() if p.ndim > 1]
        plain = [p for p in self.weights.values() if p.ndim <= 1]
        groups = [{"params": decay, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98))
        self.average = {name: p.detach().clone() for name, p in self.weights.items()}
        self.processes = current()

    def begin(self) -> TrainState:
        if self.processes.first:
            (self.run / "log.jsonl").unlink(missing_ok=True)
        state = TrainState(steps=self.config.steps)
        if not state.steps:
            step_s = self.processes.agree(probe_step_s(self.task))
            state.steps = max(1, int(self.config.minutes * 60 / step_s))
        return state

    def every(self, state: TrainState) -> int:
        """Steps between evaluations."""
        return max(1, state.steps // max(1, self.config.evaluations))

    def rng(self, step: int) -> np.random.Generator:
        """What this process draws the batch of a step with."""
        place = [self.processes.rank] if self.processes.rank else []
        return np.random.default_rng([self.config.seed, step, *place])

    def tell(self, state: TrainState, progress: Progress, note: str) -> None:
        """One step done. Stopped by the user, all processes save and stop after the same step."""
        stopped = None
        try:
            progress.advance(1, note)
        except Cancelled as error:
            stopped = error
        if self.processes.agree(float(stopped is not None)):
            self.save(state)
            self.processes.wait()
            raise stopped or Cancelled("the first process was stopped")

    def draw_ahead(self, state: TrainState) -> None:
        """Tell a task that can draw batches ahead of their steps which ones will come."""
        draw_ahead = getattr(self.task, "draw_ahead", None)
        if draw_ahead:
            draw_ahead(range(state.step, state.steps), self.rng)

    def _gradients(self, rng: np.random.Generator, step: int) -> StepResult:
        self.task.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        result = self.task.step(rng)
        _check_finite("loss", result.loss, step, result)
        result.loss.backward()
        return result

    def step(self, state: TrainState) -> StepResult:
        seed = self.config.seed * 1_000_003 + state.step
        torch.manual_seed(seed + 7_919 * self.processes.rank)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * schedule(state.step, state.steps, self.config.warmup_steps)
        result = self._gradients(self.rng(state.step), state.step)
        self.processes.average(p.grad for p in self.weights.values())
        norm = nn.utils.clip_grad_norm_(list(self.weights.values()), self.config.clip_norm)
        _check_finite("gradient", norm, state.step, result)  # it would spoil every weight, and the state that is kept
        self.optimizer.step()
        keep = min(self.config.ema_decay, (1 + state.step) / (10 + state.step))
        with torch.no_grad():
            for name, p in self.weights.items():
                self.average[name].lerp_(p, 1 - keep)
        return result

    def evaluate(self, state: TrainState, on_evaluate: Callable[[TrainState], None] | None = None) -> None:
        if self.processes.first:
            live = {name: p.detach().clone() for name, p in self.weights.items()}
            self._put(self.average)
            readings = self.task.evaluate()
            self.log(state, {f"held_out_{k}": v for k, v in readings.items()})
            if readings["score"] > state.best_score:
                state.best_score, state.best_step = readings["score"], state.step
                self._written(lambda: self.task.export(self.run / "best.safetensors"), state)
            if on_evaluate:
                on_evaluate(state)
            self._put(live)
        state.best_score = self.processes.agree(state.best_score)
        state.best_step = int(self.processes.agree(state.best_step))

    def _written(self, write: Callable[[], None], state: TrainState) -> None:
        """Run what writes a file; a failure names the step, and what was there before is still there."""
        try:
            write()
        except (OSError, SafetensorError) as error:
            raise LipsyncError(
                f"{self.run}: step {state.step} could not be written ({error}); the last state written is kept: "
                "make room on the disk, then go on with --resume"
            ) from error

    def _put(self, values: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, p in self.weights.items():
                p.copy_(values[name])

    def log(self, state: TrainState, readings: dict[str, float]) -> None:
        if not self.processes.first:
            return
        row = {"step": state.step, "seconds": round(state.seconds, 1)} | {k: round(v, 5) for k, v in readings.items()}

        def write() -> None:
            with (self.run / "log.jsonl").open("a") as file:
                file.write(json.dumps(row) + "\n")

        self._written(write, state)

    def save(self, state: TrainState) -> None:
        if not self.processes.first:
            return
        tensors = {f"live.{n}": p.detach() for n, p in self.weights.items()}
        tensors |= {f"average.{n}": p for n, p in self.average.items()}
        for name, p in self.weights.items():
            for key, value in self.optimizer.state.get(p, {}).items():
                tensors[f"optimizer.{key}.{name}"] = value
        part = self.run / "state.part"

        def write() -> None:
            try:
                save_file({k: v.contiguous() for k, v in tensors.items()}, part, {"state": json.dumps(asdict(state))})
                part.replace(self.run / STATE)
            finally:
                part.unlink(missing_ok=True)

        self._written(write, state)

    def restore(self) -> TrainState:
        path = self.run / STATE
        if not path.is_file():
            raise CheckpointError(f"{path}: nothing to resume; start without --resume")
        tensors = load_file(path)
        if {n for n in tensors if n.startswith("live.")} != {f"live.{n}" for n in self.weights}:
            raise CheckpointError(f"{path} is of another model than the one being trained; start without --resume")
        self._put({n: tensors[f"live.{n}"] for n in self.weights})
        self.average = {n: tensors[f"average.{n}"].to(p.device) for n, p in self.weights.items()}
        for name, p in self.weights.items():
            keys = [k for k in ("step", "exp_avg", "exp_avg_sq") if f"optimizer.{k}.{name}" in tensors]
            if keys:  # a weight that has had no gradient yet has no state
                held = {k: tensors[f"optimizer.{k}.{name}"] for k in keys}
                self.optimizer.state[p] = {k: v if k == "step" else v.to(p.device) for k, v in held.items()}
        with safe_open(path, framework="pt") as file:
            state = TrainState(**json.loads(file.metadata()["state"]))
        if self.processes.first:
            self._forget_after(state.step)
        return state

    def _forget_after(self, step: int) -> None:
        """Take rows of steps that will be done again out of the log; a row cut short by a kill goes too."""
        path = self.run / "log.jsonl"
        kept = []
        for line in path.read_text().splitlines() if path.is_file() else []:
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line + "\n")
            except json.JSONDecodeError:
                break
        part = path.with_suffix(".part")
        part.write_text("".join(kept))
        part.replace(path)


def _check_finite(name: str, value: Tensor, step: int, result: StepResult) -> None:
    if not torch.isfinite(value):
        raise LipsyncError(f"the {name} is {float(value.detach())} at step {step}; clips: {', '.join(result.clips)}")


def schedule(step: int, steps: int, warmup: int) -> float:
    """Factor on the learning rate: up linearly over `warmup` steps, then down a cosine to 2 %."""
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
