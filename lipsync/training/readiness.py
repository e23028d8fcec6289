"""Before a person is learned: is the footage enough, what does it lack, how long and how much memory will it take.

    minutes = (steps of either run · its step time + evaluations · their time + reader) / 60

Times are measured by a few real steps on a few of the clips, on the device that will be used, and on the CPU too where
that is another. Coverage of mouth shapes: of the 16 cells that the first two coefficients make at −1, 0 and 1 spreads
of the base's own speech, the share that the footage visits.
"""

import resource
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lipsync.config import FinetuneConfig
from lipsync.model.base import DEFAULT_BASE, Base, load_base, pick_device
from lipsync.progress import Progress, Silent, format_s
from lipsync.training.clipstore import Clip
from lipsync.training.loop import probe_step_s
from lipsync.training.person_setup import (
    hold_out,
    pixel_task,
    planned_evaluations,
    planned_steps,
    shape_task,
    usable_clips,
)
from lipsync.training.reader import teach_reader
from lipsync.training.shape_task import shape_clips

PROBE_CLIPS, PROBE_STEPS, PROBE_READER_STEPS = 6, 3, 10
FRAME_BYTES = 3 * 128 * 128
CELL_EDGES = (-1.0, 0.0, 1.0)


@dataclass(frozen=True)
class DeviceEstimate:
    """What learning takes on a device. `memory_gb`: of the GPU there, of the whole program on the CPU."""

    device: str
    minutes: float
    memory_gb: float
    shape_steps: int
    pixel_steps: int
    shape_step_s: float
    pixel_step_s: float

    def text(self) -> str:
        """Such as "12 min on this GPU, 3.1 GB (400 + 1,500 steps)"."""
        where = "this GPU" if self.device.startswith("cuda") else f"this CPU ({torch.get_num_threads()} threads)"
        steps = f"{self.shape_steps:,} + {self.pixel_steps:,} steps"
        return f"{format_s(60 * self.minutes)} on {where}, {self.memory_gb:.1f} GB ({steps})"


@dataclass(frozen=True)
class Readiness:
    """What the footage is like, and what learning from it takes. `devices`: the one to be used first."""

    footage_s: float
    clips: int
    held_out_clips: int
    coverage: dict[str, float]
    advice: tuple[str, ...]
    devices: tuple[DeviceEstimate, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def text(self) -> str:
        """Lines for people."""
        lines = [
            f"{format_s(self.footage_s)} of footage in {self.clips} clips, {self.held_out_clips} of them held out; "
            f"mouth shapes covered: {100 * self.coverage['mouth_shapes']:.0f} %",
            *self.advice,
            "it will take " + "; ".join(d.text() for d in self.devices),
        ]
        return "\n".join(lines)


def judge_footage(clips: list[Clip], base: Base, config: FinetuneConfig) -> tuple[dict[str, float], list[str]]:
    """Coverage of the footage by name, and advice where something is short."""
    shapes = np.concatenate([clip.coefficients[:, :2] for clip in shape_clips(clips, base.shape.space)])
    cells = np.digitize(shapes, CELL_EDGES) @ [4, 1]
    poses = np.concatenate([clip.pose_deg for clip in clips])
    yaw, pitch = (np.percentile(poses[:, k], (5, 95)) for k in (0, 1))
    found = {
        "mouth_shapes": float((np.bincount(cells, minlength=16) >= 3).mean()),
        "yaw_from_deg": float(yaw[0]),
        "yaw_to_deg": float(yaw[1]),
        "pitch_from_deg": float(pitch[0]),
        "pitch_to_deg": float(pitch[1]),
        "sharpness": float(np.median([c.record.sharpness for c in clips])),
        "face_px": float(np.median([c.record.inter_ocular_px for c in clips])),
    }
    seconds, advice = sum(c.record.duration_s for c in clips), []
    if seconds < config.good_footage_s:
        advice.append(
            f"little footage: {format_s(seconds)}; {format_s(config.good_footage_s)} or more is better, "
            "of somebody talking freely"
        )
    if found["mouth_shapes"] < 0.7:
        advice.append("few mouth shapes: add livelier speech, with wide-open and rounded mouths")
    if max(yaw[1] - yaw[0], pitch[1] - pitch[0]) < 4:
        advice.append("the head hardly turns: other poses than this one will look softer")
    if found["face_px"] < 45:
        advice.append(f"a small face ({found['face_px']:.0f} px between the eyes): 60 px or more show teeth and skin")
    return {k: round(v, 3) for k, v in found.items()}, advice


def check_readiness(
    dataset: Path,
    *,
    base: str = DEFAULT_BASE,
    config: FinetuneConfig | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Readiness:
    """Judge the footage and measure what learning takes, in some 20 seconds; nothing is written.

    Raises:
        DatasetError: too little footage, or of several people. CheckpointError: no such base.
    """
    config, progress = config or FinetuneConfig(), progress or Silent()
    clips = usable_clips(dataset, config)
    _, held_out = hold_out(clips, config.held_out_share)
    first = pick_device(device)
    devices = [first] if first == "cpu" else [first, "cpu"]
    progress.start("measuring a few steps", len(devices), "devices")
    estimates, loaded = [], load_base(base, first)
    coverage, advice = judge_footage(clips, loaded, config)
    for name in devices:
        estimates.append(_measure(loaded if name == first else load_base(base, name), clips, config, name))
        progress.advance()
    seconds = sum(c.record.duration_s for c in clips)
    result = Readiness(round(seconds, 1), len(clips), len(held_out), coverage, tuple(advice), tuple(estimates))
    progress.done(result.devices[0].text())
    return result


def _measure(base: Base, clips: list[Clip], config: FinetuneConfig, device: str) -> DeviceEstimate:
    """Real steps on a few clips."""
    few = [clips[i] for i in np.unique(np.linspace(0, len(clips) - 1, PROBE_CLIPS).round().astype(int))]
    train, held = few[:-1], few[-1:]
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
    shape = shape_task(base, train, held, config)
    shape_step_s = probe_step_s(shape, PROBE_STEPS)
    pixel = pixel_task(base, {}, train, held, replace(config, reader_steps=PROBE_READER_STEPS))
    pixel_step_s = probe_step_s(pixel, PROBE_STEPS)
    began = time.monotonic()
    pixel.evaluate()
    evaluate_s = time.monotonic() - began
    puppet = pixel.puppets[0]
    began = time.monotonic()
    teach_reader([puppet.windows], [puppet.opening], seed=0, device=base.device, steps=PROBE_READER_STEPS)
    reader_s = (time.monotonic() - began) * config.reader_steps / PROBE_READER_STEPS
    shape_steps = planned_steps(config, "shape", shape_step_s)
    pixel_steps = planned_steps(config, "pixel", pixel_step_s)
    seconds = shape_steps * shape_step_s + pixel_steps * pixel_step_s
    seconds += reader_s + (planned_evaluations(config, "pixel", evaluate_s) + 1) * evaluate_s
    rest = sum(c.record.frames for c in clips) - sum(c.record.frames for c in few)
    if device.startswith("cuda"):
        peak_bytes = float(torch.cuda.max_memory_reserved())
    else:
        peak_bytes = _program_bytes() + rest * FRAME_BYTES
    return DeviceEstimate(
        device,
        round(seconds / 60, 2),
        round(peak_bytes / 1e9, 2),
        shape_steps,
        pixel_steps,
        round(shape_step_s, 4),
        round(pixel_step_s, 4),
    )


def _program_bytes() -> float:
    """The most memory that this program has held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak) if sys.platform == "darwin" else 1024.0 * peak
