"""How far a mouth is open, read off its window: a small network taught on the person's own footage in seconds.

    opening = mean + spread · net(window at 48 px)        loss: Huber, on the landmarks' opening

It says whether a mouth that was made does what was asked, where no true picture exists. The judges read lips, too
(model/judge.py): the supervisor teaches, so that it must not score; the scorer knows no person, and reads people that
neither has met worse than this one, which knows the person and no other (correlation with the landmarks' opening, mean
of six people: scorer 0.91, supervisor 0.85, this one 0.95; tests/bench/LOG.md).
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lipsync.sync.offset import correlation

SIDE_PX = 48


class MouthReader(nn.Module):
    """Windows (N, 3, S, S), −1…1 → opening (N,) in head units."""

    def __init__(self, mean: float, spread: float) -> None:
        super().__init__()
        self.mean, self.spread = mean, spread
        self.net = nn.Sequential(
            nn.Conv2d(3, 16, 5, stride=2, padding=2),
            nn.SiLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(32, 48, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(48 * (SIDE_PX // 8) ** 2, 64),
            nn.SiLU(),
            nn.Linear(64, 1),
        )

    def forward(self, windows: Tensor) -> Tensor:
        """See the class. Light and contrast are taken out first."""
        return self.mean + self.spread * self.standard(windows)

    def standard(self, windows: Tensor) -> Tensor:
        """The opening in spreads from the mean (N,)."""
        small = F.interpolate(windows.float(), size=(SIDE_PX, SIDE_PX), mode="area")
        small = (small - small.mean((1, 2, 3), keepdim=True)) / (small.std((1, 2, 3), keepdim=True) + 0.05)
        return self.net(small)[:, 0]


def teach_reader(
    windows: list[np.ndarray],
    openings: list[np.ndarray],
    *,
    seed: int,
    device: torch.device | str = "cpu",
    steps: int = 200,
    batch: int = 32,
) -> MouthReader:
    """A reader for these clips.

    Args:
        windows: uint8 (F, S, S, 3) of every clip. openings: (F,) of every clip, head units.
    """
    values = np.concatenate(openings).astype(np.float32)
    place = [(i, k) for i, clip in enumerate(windows) for k in range(len(clip))]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        reader = MouthReader(float(values.mean()), max(float(values.std()), 1e-4)).to(device)
    rng = np.random.default_rng([11, seed])
    optimizer = torch.optim.AdamW(reader.parameters(), lr=2e-3, weight_decay=0.01)
    chance = 1 + 2 * np.clip((values - np.median(values)) / reader.spread, 0, 3)  # open mouths are rare
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * 0.5 * (1 + np.cos(np.pi * step / steps))
        picks = rng.choice(len(place), batch, p=chance / chance.sum())
        images = np.stack([windows[place[p][0]][place[p][1]] for p in picks])
        x = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
        x = torch.roll(x, shifts=tuple(int(v) for v in rng.integers(-3, 4, 2)), dims=(2, 3))
        if rng.random() < 0.5:
            x = x.flip(3)
        if rng.random() < 0.3:
            x = F.avg_pool2d(x, 2)  # softness is not a shape
        truth = (torch.from_numpy(values[picks]).to(device) - reader.mean) / reader.spread
        loss = F.smooth_l1_loss(reader.standard(x), truth)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return reader.eval().requires_grad_(False)


@torch.inference_mode()
def read_openings(reader: MouthReader, windows: np.ndarray) -> np.ndarray:
    """uint8 (F, S, S, 3) → float32 (F,)."""
    device = next(reader.parameters()).device
    x = torch.from_numpy(np.ascontiguousarray(windows)).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
    return reader(x).float().cpu().numpy()


def reader_correlation(reader: MouthReader, windows: list[np.ndarray], openings: list[np.ndarray]) -> float:
    """How well it reads clips that it has not seen: correlation with the landmarks' opening, over all frames."""
    read = np.concatenate([read_openings(reader, w) for w in windows])
    return correlation(read, np.concatenate(openings))
