"""Learn shape, references and sound → windows: flow matching, plain reconstruction terms on x̂, and a lip reader.

    loss = |v̂ − v|²·w  +  level·|x̂ − x|·w  +  edges·Σ_s |∇_s x̂ − ∇_s x|·w  +  texture·| mean₈|Δx̂| − mean₈|Δx| |·w
           +  look·Σ_l |φ_l(x̂) − φ_l(x)|  +  follow·huber(read(x̂) − asked)

w is 1 in the mask, `mouth_weight` around the lips and `inner_weight` more between them; ∇_s are differences at three
scales, which keep lips and teeth from washing out where squared error would be content with their mean. mean₈|Δ·| is
the mean strength of detail in each square of 8 px: detail whose place cannot be known shall at least be there. φ_l
are layers of the supervising judge and `read` the mouth shape that it reads off a window: what the mouth does counts,
also where somebody else's speech drives it and there are no true pixels. Such chunks start from noise alone (t = 0)
and have the last terms only. A reader alone can be fooled (a lip drawn into a wide mouth reads like a true one); the
critic, which knows real mouths, not so easily: see critic.py.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from lipsync.model.checkpoint import save_model
from lipsync.model.flow import interpolate, sample_t, v_loss
from lipsync.model.judge import Judge, mouth_crops
from lipsync.model.pixel import Batch, PixelModel
from lipsync.model.sampler import SamplerConfig, sample, sharpen
from lipsync.model.shape import ShapeSpace
from lipsync.training.critic import Critic, critic_terms
from lipsync.training.loop import StepResult
from lipsync.training.windows import Rows, WindowBatches, WindowClip, WindowTaskConfig


@dataclass(frozen=True)
class PixelTaskConfig:
    """Settings of pixel learning."""

    windows: WindowTaskConfig = field(default_factory=WindowTaskConfig)
    level: float = 1.0
    edges: float = 1.0
    texture: float = 2.0
    flow: float = 0.25
    mouth_weight: float = 4.0
    inner_weight: float = 0.0
    look: float = 1.0
    follow: float = 0.5
    real: float = 0.0
    critic_penalty: float = 0.02
    bfloat16: bool = True
    held_out_batches: int = 6
    workers: int = 0  # processes that draw batches ahead; 0: each is drawn when its step comes


@dataclass(frozen=True)
class LipReader:
    """The judge that supervises, and the shape space that it reads."""

    judge: Judge
    space: ShapeSpace


class PixelTask:
    """A Task (see loop.py) over windows. Without a reader its two terms are left out, and so are foreign drivers."""

    def __init__(
        self,
        model: PixelModel,
        train: list[WindowClip],
        held_out: list[WindowClip],
        config: PixelTaskConfig,
        reader: LipReader | None = None,
    ) -> None:
        self.model, self.config, self.reader = model, config, reader
        self.device = next(model.parameters()).device
        self.ahead: Iterator[Rows] | None = None
        self.critic = Critic().to(self.device) if config.real else None
        if reader is None:
            config = replace(config, windows=replace(config.windows, foreign_share=0.0))
        else:
            reader.judge.to(self.device).eval().requires_grad_(False)
            space = reader.space
            self.shape_basis = torch.from_numpy(space.basis / space.std[:, None]).float().to(self.device)
            self.shape_mean = torch.from_numpy(space.mean).float().to(self.device)
            self.shape_weight = torch.from_numpy(space.std**2 / (space.std**2).sum()).float().to(self.device)
        self.batches = WindowBatches(train, model.config, config.windows)
        plain = WindowTaskConfig(batch=2, chunk_frames=config.windows.chunk_frames, no_sound_share=0, augment=False)
        fixed = WindowBatches(held_out or train, model.config, plain)
        self.held_out = [fixed.draw(np.random.default_rng([7, i]))[:2] for i in range(config.held_out_batches)]

    def draw_ahead(self, steps: range, rng: Callable[[int], np.random.Generator]) -> None:
        """Have the batches of these steps, which will all come, drawn by other processes: the same ones."""
        if self.config.workers:
            coming = _Coming(self.batches, rng, steps)
            loader = DataLoader(
                coming, batch_size=None, num_workers=self.config.workers, multiprocessing_context="fork",
                worker_init_fn=_alone, prefetch_factor=4,
            )  # fmt: skip
            self.ahead = iter(loader)

    def step(self, rng: np.random.Generator) -> StepResult:
        """One batch at random flow times."""
        rows = self.batches.rows(rng) if self.ahead is None else next(self.ahead)
        x, batch, names, asked, own = self.batches.to_drawn(rows, self.device)
        t = own * sample_t(len(x), torch.default_generator).to(self.device)
        x_t = batch.mask * interpolate(x, torch.randn_like(x), t) + (1 - batch.mask) * x
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.bfloat16):
            x_hat = self.model(x_t.contiguous(), t, batch).float()
        weight = self.weight(batch) * own.view(-1, 1, 1, 1, 1) + 1e-9
        terms = {
            "flow": v_loss(x_hat, x, t, weight),
            "level": ((x_hat - x).abs() * weight).sum() / (weight.sum() * 3),
            "edges": edge_loss(x_hat, x, weight),
            "texture": texture_loss(x_hat, x, weight),
        }
        if self.reader is not None:
            terms |= self.read(x_hat, x, asked, own)
        weighted = [getattr(self.config, name) * term for name, term in terms.items()]
        if self.critic is not None:
            # each learns from its own verdicts alone, so that one step of one optimiser moves both
            made = batch.mask * x_hat + (1 - batch.mask) * x
            terms["critic"], terms["real"] = critic_terms(
                self.critic, made, x, batch.maps, own, self.config.critic_penalty
            )
            weighted += [terms["critic"], self.config.real * terms["real"]]
        loss = sum(weighted, x.new_zeros(()))
        return StepResult(loss, {name: float(term.detach()) for name, term in terms.items()}, names)

    def read(self, x_hat: Tensor, x: Tensor, asked: Tensor, own: Tensor) -> dict[str, Tensor]:
        """The lip reader's terms: its layers' difference on own chunks, the shape that it reads on all of them."""
        assert self.reader is not None
        judge = self.reader.judge
        goal = ((asked.flatten(2) - self.shape_mean) @ self.shape_basis.T).clamp(-6, 6)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.bfloat16):
            made = judge.layers(self._crops(x_hat))
            with torch.no_grad():
                true = judge.layers(self._crops(x))
            read = judge.read_shape(judge.gather(made[-1].flatten(1))).unflatten(0, x.shape[:2]).float()
        share = own.repeat_interleave(x.shape[1]).view(-1, 1, 1, 1)
        look = sum(
            ((a.float() - b.float()).abs() * share).sum() / (share.sum() * a[0].numel() + 1e-6)
            for a, b in zip(made[:3], true[:3], strict=True)
        )
        follow = (F.smooth_l1_loss(read, goal, reduction="none") * self.shape_weight).sum(-1).mean()
        return {"look": torch.as_tensor(look), "follow": follow}

    def _crops(self, windows: Tensor) -> Tensor:
        crops = mouth_crops((windows.flatten(0, 1) + 1) * 127.5, self.reader.judge.config.size_px)  # type: ignore[union-attr]
        return crops.unflatten(0, windows.shape[:2])

    def weight(self, batch: Batch) -> Tensor:
        """(B, F, 1, S, S): the mask, heavier around the lips and between them."""
        lips = (batch.maps[:, :, 0] + batch.maps[:, :, 1]).clamp_max(1)
        near = F.max_pool2d(lips.flatten(0, 1)[:, None], 9, 1, 4).view_as(lips)
        inner = F.max_pool2d(batch.maps[:, :, 1].flatten(0, 1)[:, None], 3, 1, 1).view_as(lips)
        heavy = 1 + (self.config.mouth_weight - 1) * near + self.config.inner_weight * inner
        return (batch.mask * heavy)[:, :, None]

    @torch.inference_mode()
    def evaluate(self) -> dict[str, float]:
        """Held out, fixed chunks: error (0…2 scale) and sharpness near the lips against real, as rendering would do."""
        self.model.eval()
        errors, sharp = [], []
        for x, batch in self.held_out:
            x, batch = x.to(self.device), to_device(batch, self.device)
            made = sample(self.model, batch, x, SamplerConfig(), torch.Generator().manual_seed(0))
            near = (self.weight(batch) > 1.5).float()
            errors.append(float(((made - x).abs() * near).sum() / (near.sum() * 3)))
            sharp.append(float((laplacian(made) * near).sum() / (laplacian(x) * near).sum()))
        return {"score": -float(np.mean(errors)), "sharpness": float(np.mean(sharp))}

    @torch.inference_mode()
    def sheet(self) -> np.ndarray:
        """Held-out chunks as they are, as made, and what differs: uint8 (3·S, columns, 3), RGB."""
        self.model.eval()
        columns = []
        for x, batch in self.held_out:
            x, batch = x.to(self.device), to_device(batch, self.device)
            made = sample(self.model, batch, x, SamplerConfig(), torch.Generator().manual_seed(0))
            rows = torch.cat([x[:, 0], made[:, 0], (made - x)[:, 0].abs() - 1], 2)  # one frame of each chunk
            columns += list(rows.clamp(-1, 1))
        picture = torch.cat(columns, 2).permute(1, 2, 0)
        return ((picture + 1) * 127.5).round().byte().cpu().numpy()

    def export(self, path: Path) -> None:
        """The model alone."""
        save_model(path, self.model, "pixel")


@torch.inference_mode()
def detail_for(
    model: PixelModel,
    clips: list[WindowClip],
    strength: float = 0.95,
    chunks: int = 24,
    config: PixelTaskConfig | None = None,
) -> float:
    """The `detail` with which what is generated reaches `strength` of real sharpness near the lips.

    Clips that the model has learned from are meant: the median over chunks of |Δ made| / |Δ real| grows linearly with
    the amount near enough. Between 0 and 0.5, in steps of 0.01.
    """
    still = PixelTask(model, clips, clips, replace(config or PixelTaskConfig(), held_out_batches=chunks // 2))
    amounts, rows = (0.0, 0.3), []
    for x, batch in still.held_out:
        x, batch = x.to(still.device), to_device(batch, still.device)
        made = sample(model.eval(), batch, x, SamplerConfig(), torch.Generator().manual_seed(0))
        near = (still.weight(batch) > 1.5).float()
        shown = [batch.mask * sharpen(made, a) + (1 - batch.mask) * made for a in amounts]
        strengths = [(laplacian(v) * near).sum((1, 2, 3, 4)) for v in (*shown, x)]
        rows += [torch.stack([v / strengths[-1].clamp_min(1e-6) for v in strengths[:-1]], 1)]
    plain, more = torch.cat(rows).median(0).values.tolist()
    amount = amounts[1] * (strength - plain) / max(more - plain, 1e-6)
    return round(min(max(amount, 0.0), 0.5), 2)


class _Coming(Dataset[Rows]):
    def __init__(self, batches: WindowBatches, rng: Callable[[int], np.random.Generator], steps: range) -> None:
        self.batches, self.rng, self.steps = batches, rng, steps

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, index: int) -> Rows:
        return self.batches.rows(self.rng(self.steps[index]))


def _alone(worker: int) -> None:
    """A worker draws with one thread: there are as many workers as there shall be threads."""
    cv2.setNumThreads(0)


def edge_loss(x_hat: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute difference of horizontal and vertical differences, at scales 1, 2 and 4, weighted."""
    a, b, w = x_hat.flatten(0, 1), x.flatten(0, 1), weight.flatten(0, 1)
    total = x.new_zeros(())
    for scale in range(3):
        if scale:
            a, b, w = (F.avg_pool2d(v, 2) for v in (a, b, w))
        for dim in (2, 3):
            part = w.narrow(dim, 0, w.shape[dim] - 1)
            total = total + ((a.diff(dim=dim) - b.diff(dim=dim)).abs() * part).sum() / (part.sum() * 3 + 1e-6)
    return total / 3


def texture_loss(x_hat: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute difference of the mean strength of detail in squares of 8 px, weighted."""
    a, b, w = (F.avg_pool2d(v.flatten(0, 1), 8) for v in (laplacian(x_hat), laplacian(x), weight))
    return ((a - b).abs() * w).sum() / (w.sum() + 1e-6)


def laplacian(x: Tensor) -> Tensor:
    """|Δ| of the grey picture, the same size, zero at the border: (B, F, 1, S, S)."""
    grey = x.mean(2, keepdim=True).flatten(0, 1)
    inner = (
        4 * grey[:, :, 1:-1, 1:-1]
        - grey[:, :, :-2, 1:-1]
        - grey[:, :, 2:, 1:-1]
        - grey[:, :, 1:-1, :-2]
        - grey[:, :, 1:-1, 2:]
    )
    return F.pad(inner.abs(), (1, 1, 1, 1)).view(*x.shape[:2], 1, *x.shape[-2:])


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Every tensor of a batch on a device."""
    return Batch(**{name: value.to(device, non_blocking=True) for name, value in vars(batch).items()})
