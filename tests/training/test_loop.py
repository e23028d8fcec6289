"""The loop: resuming equals not stopping, bad losses stop it, the best weights are kept."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from lipsync.errors import CheckpointError, LipsyncError
from lipsync.training.loop import LoopConfig, StepResult, schedule, train

LOOP = LoopConfig(minutes=5, steps=40, learning_rate=0.05, warmup_steps=5, evaluations=4)


class Line:
    """Fit y = 3x − 1 with a little dropout, so that torch's own generator matters too."""

    def __init__(self, spoil_at: int = -1, only_gradient: bool = False):
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(1, 8), nn.Dropout(0.2), nn.Linear(8, 1))
        self.calls, self.spoil_at, self.only_gradient = 0, spoil_at, only_gradient

    def step(self, rng):
        x = torch.from_numpy(rng.uniform(-1, 1, (16, 1))).float()
        loss = (self.model(x) - (3 * x - 1)).square().mean()
        self.calls += 1
        if self.calls == self.spoil_at:
            # the root of nothing is a number, its slope is none
            loss = loss + (0 * self.model[0].weight).sum().sqrt() if self.only_gradient else loss * math.nan
        return StepResult(loss, {}, ["clip_a", "clip_b"])

    def evaluate(self):
        x = torch.linspace(-1, 1, 9)[:, None]
        with torch.no_grad():
            return {"score": -float((self.model.eval()(x) - (3 * x - 1)).square().mean())}

    def export(self, path):
        save_file({k: v.contiguous() for k, v in self.model.state_dict().items()}, path)


def test_it_learns_and_keeps_the_best(tmp_path):
    task = Line()
    before = task.evaluate()["score"]
    state = train(task, LOOP, tmp_path)
    assert state.step == 40 and state.best_score > before / 4
    task.model.load_state_dict(load_file(tmp_path / "best.safetensors"))
    assert task.evaluate()["score"] == pytest.approx(state.best_score, rel=1e-4)


def test_resuming_gives_the_same_weights_as_not_stopping(tmp_path):
    whole = Line()
    train(whole, LOOP, tmp_path / "whole")
    first = Line()

    class Stopped(Exception):
        pass

    class Stop:
        done_steps = 0

        def start(self, *a): ...
        def done(self, *a): ...
        def advance(self, amount=1, note=""):
            self.done_steps += amount
            if self.done_steps >= 25:
                raise Stopped

    with pytest.raises(Stopped):
        train(first, LOOP, tmp_path / "cut", progress=Stop())
    second = Line()
    train(second, LOOP, tmp_path / "cut", resume=True)
    a, b = load_file(tmp_path / "whole/state.safetensors"), load_file(tmp_path / "cut/state.safetensors")
    assert a.keys() == b.keys() and any(k.startswith("optimizer.exp_avg_sq") for k in a)
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=0, atol=0)


def test_a_gradient_that_is_not_finite_stops_before_it_spoils_the_weights(tmp_path):
    task = Line(spoil_at=7, only_gradient=True)
    with pytest.raises(LipsyncError, match=r"gradient is nan at step 6; clips: clip_a, clip_b"):
        train(task, LOOP, tmp_path)
    assert all(torch.isfinite(p).all() for p in task.model.parameters())


def test_a_loss_that_is_not_finite_stops_with_step_and_clips(tmp_path):
    with pytest.raises(LipsyncError, match=r"nan at step 6; clips: clip_a, clip_b"):
        train(Line(spoil_at=7), LOOP, tmp_path)


def test_nothing_to_resume_is_an_error(tmp_path):
    with pytest.raises(CheckpointError, match="nothing to resume"):
        train(Line(), LOOP, tmp_path, resume=True)


def test_state_of_another_model_is_refused(tmp_path):
    train(Line(), replace(LOOP, steps=4), tmp_path)
    other = Line()
    other.model = nn.Sequential(nn.Linear(1, 8), nn.Linear(8, 8), nn.Linear(8, 1))
    with pytest.raises(CheckpointError, match="another model"):
        train(other, LOOP, tmp_path, resume=True)


def test_minutes_are_the_limit(tmp_path):
    state = train(Line(), LoopConfig(minutes=0.02, steps=10**7), tmp_path)
    assert 0 < state.step < 10**6 and state.seconds < 5


def test_worse_than_what_must_be_beaten_is_not_written(tmp_path):
    train(Line(), replace(LOOP, steps=4), tmp_path, best_score=1.0)
    assert not (tmp_path / "best.safetensors").exists()


def test_log_is_one_json_object_a_line(tmp_path):
    train(Line(), replace(LOOP, steps=60), tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert {"step", "seconds", "loss"} <= rows[-2].keys() | rows[-1].keys() | rows[0].keys()
    assert [r["step"] for r in rows] == sorted(r["step"] for r in rows)


def test_schedule_warms_up_and_comes_down():
    values = np.array([schedule(s, 100, 10) for s in range(100)])
    assert values[0] == 0.1 and values.argmax() == 9 + 1 - 1 and values[-1] < 0.03
    assert (np.diff(values[10:]) <= 0).all()
