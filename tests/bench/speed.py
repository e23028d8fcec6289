"""How fast the pixel model and a whole dub are on this machine, by stage, with peak memory.

    python tests/bench/speed.py [--device auto] [--sizes 360 720 1080] [--seconds 4]

Prints a table and then one JSON line; asserts nothing. The footage is a virtual actor, rendered here.
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import torch

from data_prep.actors import cast, render_footage
from lipsync.config import RenderConfig
from lipsync.media import read_sound
from lipsync.model.base import Base, load_base
from lipsync.model.sampler import SamplerConfig, sample
from lipsync.render.dub import dub
from tests.model_helpers import random_batch

TEXT = "Maybe we should both move the blue boat before the evening, and then buy some apples for the whole family."


def network(base: Base, steps: int, repeats: int = 4) -> float:
    """Windows a second of the pixel model alone, chunk after chunk."""
    config = base.pixel.config
    batch = random_batch(1, config.chunk_frames, config.previous_frames + config.references, config)
    batch = type(batch)(**{k: v.to(base.device) for k, v in vars(batch).items()})
    windows = torch.zeros(1, config.chunk_frames, 3, config.size_px, config.size_px, device=base.device)
    sample(base.pixel, batch, windows, SamplerConfig(steps=steps), torch.Generator())
    began = time.monotonic()
    for _ in range(repeats):
        sample(base.pixel, batch, windows, SamplerConfig(steps=steps), torch.Generator())
    if base.device.type == "cuda":
        torch.cuda.synchronize()
    return repeats * config.chunk_frames / (time.monotonic() - began)


def main() -> None:
    """See the file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="auto")
    parser.add_argument("--sizes", type=int, nargs="*", default=[360, 720, 1080])
    args = parser.parse_args()
    base = load_base("base", args.device)
    parameters = sum(p.numel() for m in (base.shape, base.pixel) for p in m.parameters()) / 1e6
    found: dict[str, object] = {
        "device": str(base.device),
        "threads": torch.get_num_threads(),
        "parameters_m": parameters,
    }
    for steps in (1, 2, 4):
        found[f"network_{steps}_steps_per_s"] = round(network(base, steps), 1)
        print(f"network alone, {steps} step(s): {found[f'network_{steps}_steps_per_s']} windows/s")
    with tempfile.TemporaryDirectory() as folder:
        for height in args.sizes:
            file = Path(folder) / f"{height}.mp4"
            render_footage(cast()[1], TEXT[:48], file, size_px=(height * 16 // 9, height), seed=1)
            sound = read_sound(file, sample_rate_hz=None)
            result = dub(file, sound, Path(folder) / "out.mp4", base, RenderConfig()).as_dict()
            total = result["seconds"]["plan"] + result["seconds"]["render"]  # rendering contains generating and pasting
            result["factor"] = result["duration_s"] / total
            found[f"dub_{height}p"] = {"real_time_factor": round(result["factor"], 3), "seconds": result["seconds"]}
            print(f"dub {height}p: {result['factor']:.2f} × real time; seconds by stage: {result['seconds']}")
    found["peak_memory_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    if base.device.type == "cuda":
        found["peak_gpu_memory_mb"] = round(torch.cuda.max_memory_allocated() / 2**20)
    print(json.dumps({"bench": "speed"} | found))


if __name__ == "__main__":
    main()
