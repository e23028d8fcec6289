"""How fast the networks and the whole pipeline are on this machine, by stage, with peak memory, in one run.

    python tests/bench/speed.py [--device auto] [--sizes 360 720 1080 2160] [--seconds 6] [--peers] [--video FILE]
        [--footage DIR]

Times the pixel model alone; with --peers, beside it, stand-ins of two published systems' size, built here from
published layer counts with random weights (they show cost, not quality). Then a whole dub at each height, each in a
process of its own so that its peak memory is its own, after a short dub to warm up, and the floor: decoding and
encoding the same pictures and nothing else. Prints a table and then one JSON line; asserts nothing. The footage is a
virtual actor or a given --video, scaled; with --footage it is kept for the next run, and --sizes without a number
leaves the pipeline out, so that a machine that is shared can be kept to itself for a few minutes at a time
(--no-network leaves out the network). `cpu_ms_a_frame` counts processor time, which other work on the machine changes
little; `factor` is real time over wall time and means little on a shared machine. `stages_s` are wall times of stages
that overlap.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import torch
from torch import Tensor, nn

from data_prep.actors import cast, render_footage
from lipsync.config import RenderConfig
from lipsync.media import VideoWriter, probe, read_frames, read_pictures, read_sound
from lipsync.model.base import Base, load_base
from lipsync.model.sampler import SamplerConfig, sample
from lipsync.render.dub import dub
from tests.model_helpers import random_batch

TEXT = "Maybe we should both move the blue boat before the evening, and then buy some apples for the whole family."


class ConvStandIn(nn.Module):
    """Of Wav2Lip's size: an encoder–decoder over 96 px pairs of pictures with skips, about 36 M parameters.

    Published layer counts (Prajwal et al. 2020): 7 stages down to 1×1 at 512 channels, 7 up, sound of 512 joined in.
    """

    def __init__(self) -> None:
        super().__init__()
        wide = [16, 32, 64, 128, 256, 512, 512]
        self.down = nn.ModuleList()
        before = 6
        for k, w in enumerate(wide):
            step = 1 if k == 0 else 2
            layers = [nn.Conv2d(before, w, 3, step, 1), nn.BatchNorm2d(w), nn.ReLU()]
            for _ in range(2 if 0 < k < 5 else 0):
                layers += [nn.Conv2d(w, w, 3, 1, 1), nn.BatchNorm2d(w), nn.ReLU()]
            self.down.append(nn.Sequential(*layers))
            before = w
        self.up = nn.ModuleList()
        before = 512 + 512
        for w, skip in zip([512, 512, 384, 256, 128, 64], wide[-2::-1], strict=True):
            layers = [nn.ConvTranspose2d(before, w, 3, 2, 1, 1), nn.BatchNorm2d(w), nn.ReLU()]
            for _ in range(2):
                layers += [nn.Conv2d(w, w, 3, 1, 1), nn.BatchNorm2d(w), nn.ReLU()]
            self.up.append(nn.Sequential(*layers))
            before = w + skip
        self.out = nn.Conv2d(before, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        """X (B, 6, 96, 96)."""
        skips = []
        for layer in self.down:
            x = layer(x)
            skips.append(x)
        x = torch.cat([x, torch.zeros_like(x)], 1)
        for layer, skip in zip(self.up, skips[-2::-1], strict=True):
            x = layer(x)
            x = torch.cat([x[..., : skip.shape[-2], : skip.shape[-1]], skip], 1)
        return self.out(x)


class _Res(nn.Module):
    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.GroupNorm(32, a), nn.SiLU(), nn.Conv2d(a, b, 3, 1, 1), nn.GroupNorm(32, b), nn.SiLU(),
            nn.Conv2d(b, b, 3, 1, 1),
        )  # fmt: skip
        self.skip = nn.Conv2d(a, b, 1) if a != b else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """X (B, a, h, w) → (B, b, h, w)."""
        return self.skip(x) + self.body(x)


class _Attend(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = nn.TransformerDecoderLayer(width, 8, 6 * width, batch_first=True, norm_first=True)
        self.sound = nn.Linear(384, width)

    def forward(self, x: Tensor, sound: Tensor) -> Tensor:
        """X (B, C, h, w), sound (B, T, 384)."""
        tokens = self.layer(x.flatten(2).transpose(1, 2), self.sound(sound))
        return tokens.transpose(1, 2).view_as(x)


class LatentStandIn(nn.Module):
    """Of MuseTalk's size: a latent U-net of some 820 M parameters and a VAE's decoder of 49 M, to 256×256.

    U-net: 320, 640, 1280, 1280 channels at 32×32, two blocks a scale, three on the way up, attention to sound. Decoder:
    512, 512, 256, 128 channels, three blocks a scale.

    Published layer counts: Rombach et al. 2022 (the same U-net and decoder), Zhang et al. 2024.
    """

    def __init__(self) -> None:
        super().__init__()
        wide = [320, 640, 1280, 1280]
        self.first, self.down, self.up = nn.Conv2d(8, 320, 3, 1, 1), nn.ModuleList(), nn.ModuleList()
        skips, before = [320], 320
        for k, w in enumerate(wide):
            for _ in range(2):
                self.down.append(nn.ModuleList([_Res(before, w), _Attend(w) if k < 3 else nn.Identity()]))
                before = w
                skips.append(w)
            if k < 3:
                self.down.append(nn.ModuleList([nn.Conv2d(w, w, 3, 2, 1)]))
                skips.append(w)
        self.middle = nn.ModuleList([_Res(1280, 1280), _Attend(1280), _Res(1280, 1280)])
        for k, w in reversed(list(enumerate(wide))):
            for n in range(3):
                block = [_Res(before + skips.pop(), w), _Attend(w) if k < 3 else nn.Identity()]
                block += [nn.Upsample(scale_factor=2), nn.Conv2d(w, w, 3, 1, 1)] if n == 2 and k else []
                self.up.append(nn.ModuleList(block))
                before = w
        self.latent = nn.Conv2d(320, 4, 3, 1, 1)
        layers: list[nn.Module] = [nn.Conv2d(4, 512, 3, 1, 1), _Res(512, 512), _Res(512, 512)]
        before = 512
        for k, w in enumerate((512, 512, 256, 128)):
            for _ in range(3):
                layers.append(_Res(before, w))
                before = w
            layers += [nn.Upsample(scale_factor=2), nn.Conv2d(w, w, 3, 1, 1)] if k < 3 else []
        self.decoder = nn.Sequential(*layers, nn.Conv2d(128, 3, 3, 1, 1))

    def forward(self, x: Tensor, sound: Tensor) -> Tensor:
        """X (B, 8, 32, 32), sound (B, 50, 384)."""
        x = self.first(x)
        skips = [x]
        for block in self.down:
            x = block[0](x)
            x = block[1](x, sound) if len(block) > 1 and isinstance(block[1], _Attend) else x
            skips.append(x)
        x = self.middle[2](self.middle[1](self.middle[0](x), sound))
        for block in self.up:
            x = block[0](torch.cat([x, skips.pop()], 1))
            x = block[1](x, sound) if isinstance(block[1], _Attend) else x
            for layer in list(block)[2:]:
                x = layer(x)
        return self.decoder(self.latent(x))


def per_frame(work: object, frames: int, repeats: int, device: torch.device) -> dict[str, float]:
    """Frames a second and processor time a frame of `work()`, after one call to warm up."""
    work()  # type: ignore[operator]
    began, cpu = time.monotonic(), time.process_time()
    for _ in range(repeats):
        work()  # type: ignore[operator]
    if device.type == "cuda":
        torch.cuda.synchronize()
    count = repeats * frames
    wall_s, cpu_s = time.monotonic() - began, time.process_time() - cpu
    return {"per_s": round(count / wall_s, 2), "cpu_ms": round(1e3 * cpu_s / count, 1)}


def network(base: Base, steps: int) -> dict[str, float]:
    """The pixel model alone, chunk after chunk."""
    config = base.pixel.config
    batch = random_batch(1, config.chunk_frames, config.previous_frames + config.references, config)
    batch = type(batch)(**{k: v.to(base.device) for k, v in vars(batch).items()})
    windows = torch.zeros(1, config.chunk_frames, 3, config.size_px, config.size_px, device=base.device)

    def work() -> None:
        sample(base.pixel, batch, windows, SamplerConfig(steps=steps), torch.Generator())

    return per_frame(work, config.chunk_frames, 4, base.device)


def peers(device: torch.device) -> dict[str, dict[str, float]]:
    """The stand-ins, a frame at a time for the large one."""
    out = {}
    with torch.inference_mode():
        small = ConvStandIn().to(device).eval()
        pictures = torch.randn(8, 6, 96, 96, device=device)
        name = f"stand-in of Wav2Lip's size ({sum(p.numel() for p in small.parameters()) / 1e6:.0f} M)"
        out[name] = per_frame(lambda: small(pictures), 8, 2, device)
        large = LatentStandIn().to(device).eval()
        latents, sound = torch.randn(1, 8, 32, 32, device=device), torch.randn(1, 50, 384, device=device)
        name = f"stand-in of MuseTalk's size ({sum(p.numel() for p in large.parameters()) / 1e6:.0f} M)"
        out[name] = per_frame(lambda: large(latents, sound), 1, 1, device)
    return out


def floor(video: Path, out: Path) -> dict[str, float]:
    """Decoding and encoding alone, as a dub does them."""
    began, cpu, info = time.monotonic(), time.process_time(), probe(video)
    with VideoWriter(
        out, width=info.width, height=info.height, frame_rate=info.frame_rate, like=info, crf=RenderConfig().crf
    ) as writer:
        for picture in read_pictures(video):
            writer.write(picture, pts=picture.pts)
    return {"wall_s": round(time.monotonic() - began, 2), "cpu_s": round(time.process_time() - cpu, 2)}


def measure(video: Path, warm: Path, out: Path, device: str) -> dict[str, object]:
    """A dub and its floor, after one of `warm`; run in a process of its own."""
    base = load_base("base", device)
    dub(warm, warm, out, base, RenderConfig())  # imports, threads, caches
    began, cpu = time.monotonic(), time.process_time()
    result = dub(video, video, out, base, RenderConfig())
    wall_s, cpu_s = time.monotonic() - began, time.process_time() - cpu
    found: dict[str, object] = {
        "frames": result.frames,
        "factor": round(result.duration_s / wall_s, 3),
        "wall_s": round(wall_s, 2),
        "cpu_s": round(cpu_s, 2),
        "cpu_ms_a_frame": round(1e3 * cpu_s / result.frames, 1),
        "stages_s": result.seconds,
        "floor": floor(video, out),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    if base.device.type == "cuda":
        found["peak_gpu_memory_mb"] = round(torch.cuda.max_memory_allocated() / 2**20)
    return found


def footage(folder: Path, height: int, seconds: float, like: Path | None) -> Path:
    """Somebody who speaks, scaled to a height, the beginning of it; made unless it is there.

    Of `like`, or a virtual actor, rendered once at 720 lines.
    """
    file = folder / f"{height}_{seconds:g}.mp4"
    if file.is_file():
        return file
    if like is None:
        like = folder / "actor.mp4"
        if not like.is_file():
            render_footage(cast()[1], TEXT, like, size_px=(1280, 720), seed=1)
    info, sound = probe(like), read_sound(like, end_s=seconds)
    width = _even(info.width * height / info.height)
    with VideoWriter(
        file, width=width, height=height, frame_rate=info.frame_rate, sound=sound, crf=RenderConfig().crf
    ) as writer:
        for frame in read_frames(like, end_s=seconds):
            how = cv2.INTER_AREA if height < info.height else cv2.INTER_CUBIC
            writer.write(cv2.resize(frame.image, (width, height), interpolation=how))
    return file


def _even(px: float) -> int:
    return 2 * round(px / 2)


def pipeline(args: argparse.Namespace) -> dict[str, object]:
    """A whole dub at each height, in processes of their own."""
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.footage or Path(scratch)
        folder.mkdir(exist_ok=True)
        warm = footage(folder, 180, 1.0, args.video)
        for height in args.sizes:
            video = footage(folder, height, args.seconds, args.video)
            command = [sys.executable, __file__, "--device", args.device]
            command += ["--one", video, warm, Path(scratch) / "out.mp4"]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found[f"dub_{height}p"] = json.loads(done.stdout.splitlines()[-1])
            print(f"dub {height}p: {found[f'dub_{height}p']}")
    return found


def main() -> None:
    """See the file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="auto")
    parser.add_argument("--sizes", type=int, nargs="*", default=[360, 720, 1080, 2160])
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--video", type=Path, help="of somebody who speaks, instead of a virtual actor")
    parser.add_argument("--footage", type=Path)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--no-network", action="store_true")
    parser.add_argument("--one", type=Path, nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(*args.one, args.device)))
        return
    base = load_base("base", args.device)
    found: dict[str, object] = {
        "bench": "speed",
        "device": str(base.device),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
        "parameters_m": round(sum(p.numel() for m in (base.shape, base.pixel) for p in m.parameters()) / 1e6, 2),
    }
    found |= pipeline(args)  # first: a process's peak memory begins with that of the one that started it
    for steps in () if args.no_network else (1, 2, 4):
        found[f"network_{steps}"] = network(base, steps)
        print(f"network alone, {steps} step(s): {found[f'network_{steps}']}")
    if args.peers:
        for name, values in peers(base.device).items():
            found[name] = values
            print(f"{name}: {values}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
