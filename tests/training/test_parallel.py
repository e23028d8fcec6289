"""Several processes: the step of the mean gradient, one writer, and the whole command under `accelerate launch`."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from lipsync.config import to_mapping
from tests.model_helpers import TINY
from tests.training_helpers import write_drawn_dataset

ROOT = Path(__file__).parents[2]
WORKER = """
import sys
import numpy as np, torch
from pathlib import Path
from safetensors.torch import save_file
from torch import nn
from lipsync.errors import Cancelled
from lipsync.progress import Silent
from lipsync.training.loop import LoopConfig, StepResult, train
from lipsync.training.parallel import current, join, leave

class Line:
    \"\"\"Fit a line; a process alone learns from both halves of what two learn from.\"\"\"
    def __init__(self):
        torch.manual_seed(0)
        self.model, self.evaluated, self.calls = nn.Linear(2, 1), 0, 0

    def step(self, rng):
        me = current()
        rows = np.random.default_rng([self.calls, 5]).uniform(-1, 1, (2, 8, 2))
        self.calls += 1
        x = torch.from_numpy(rows[me.rank] if me.count == 2 else rows.reshape(16, 2)).float()
        loss = (self.model(x) - (x @ torch.tensor([[3.0], [-2.0]]) - 1)).square().mean()
        return StepResult(loss, {}, [])

    def evaluate(self):
        self.evaluated += 1
        return {"score": float(self.evaluated)}

    def export(self, path):
        save_file({k: v.contiguous() for k, v in self.model.state_dict().items()}, path)

class StopsTheFirst(Silent):
    done = 0

    def advance(self, amount=1.0, note=""):
        self.done += amount
        if current().first and self.done >= 6:
            raise Cancelled("enough")

join("cpu")
task, run = Line(), Path(sys.argv[1])
loop = LoopConfig(steps=20, learning_rate=0.05, warmup_steps=2, evaluations=2)
if len(sys.argv) > 2:
    try:
        train(task, loop, run, progress=StopsTheFirst())
    except Cancelled as stopped:
        print(current().rank, task.calls, stopped, flush=True)
    task = Line()
    task.calls = 6
state = train(task, loop, run, resume=len(sys.argv) > 2)
task.export(f"{sys.argv[1]}/of{current().rank}.safetensors")
print(current().rank, task.evaluated, state.best_score, state.best_step, flush=True)
leave()
"""


def _free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def _start(
    script: Path, run: Path, rank: int = 0, count: int = 1, port: str = "0", *more: str
) -> subprocess.Popen[str]:
    told = {"RANK": str(rank), "WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | told
    return subprocess.Popen(
        [sys.executable, str(script), str(run), *more],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_two_processes_take_the_steps_that_one_takes_with_both_batches_and_stop_together(tmp_path):
    script, ports = tmp_path / "worker.py", (_free_port(), _free_port())
    script.write_text(WORKER)
    for name in ("one", "two", "cut"):
        (tmp_path / name).mkdir()
    started = [
        _start(script, tmp_path / "one"),
        *(_start(script, tmp_path / "two", r, 2, ports[0]) for r in range(2)),
        *(_start(script, tmp_path / "cut", r, 2, ports[1], "stop") for r in range(2)),
    ]
    said = [process.communicate(timeout=400)[0] for process in started]
    assert [process.returncode for process in started] == [0] * 5, "\n".join(said)
    alone = load_file(tmp_path / "one" / "of0.safetensors")
    a, b, c = (
        load_file(tmp_path / name) for name in ("two/of0.safetensors", "two/of1.safetensors", "cut/of1.safetensors")
    )
    for name in alone:
        assert (a[name] == b[name]).all() and (a[name] == c[name]).all()
        assert (a[name] - alone[name]).abs().max() < 1e-5
    assert "0 6 enough" in said[3] and "1 6 the first process was stopped" in said[4]
    assert said[1].split()[-4:] == ["0", "2", "2.0", "20"]
    assert said[2].split()[-4:] == ["1", "0", "2.0", "20"], "the second process does not measure, and knows the result"
    rows = [json.loads(line) for line in (tmp_path / "two" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [10, 20]


@pytest.mark.slow
def test_pretraining_under_accelerate_launch(tmp_path):
    pytest.importorskip("accelerate")
    from tests.training.test_pretrain import name_people

    folder = name_people(write_drawn_dataset(tmp_path / "data", clips=8))
    loop = {"steps": 4, "evaluations": 1, "warmup_steps": 2}
    settings = {
        "shape_model": {"width": 16, "dilations": [1]},
        "pixel_model": to_mapping(TINY),
        "pixel_task": {"windows": {"batch": 1, "chunk_frames": 3}, "held_out_batches": 1, "workers": 1, "real": 0.1},
        "judges": {"loop": loop, "task": {"batch": 4}},
        "shape_task": {"batch": 4}, "shape_loop": loop, "pixel_loop": loop,
    }  # fmt: skip
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launch += [
        "--num_machines",
        "1",
        "--mixed_precision",
        "no",
        "--dynamo_backend",
        "no",
        "--main_process_port",
        _free_port(),
    ]
    launch += ["-m", "lipsync", "pretrain", "--data", str(folder), "--out", str(tmp_path / "run"), "--device", "cpu"]
    launch += ["--config", str(tmp_path / "settings.json"), "--quiet"]
    done = subprocess.run(launch, env=env, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("best score") == 1
    assert (tmp_path / "run" / "pixel" / "best.safetensors").is_file()
    steps = [json.loads(line)["step"] for line in (tmp_path / "run" / "pixel" / "log.jsonl").read_text().splitlines()]
    assert steps == [4]
