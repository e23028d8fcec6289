"""The two tasks of learning a person: their way of speaking, and their look. Low-rank weights alone are trained.

    score of the shape  = correlation − ¼·|1 − spread| + ½·min(0, closes − closes₀) − ¼·max(0, idle − idle₀)
    score of the pixels = cross − cross₀ where that is below −ε, otherwise
                          1 − error/error₀ + |1 − sharp₀| − |1 − sharp| + min(0, sync − sync₀ + η)

with ₀ the base's readings on the same held-out footage: closes is how surely lips close on p, b, m of others' speech,
idle how much the mouth moves in silence, cross the correlation of the mouth that was made with the one that others'
speech asks for, sync what the scoring judge says of the two (sync/judge.py). So no step is kept that bought likeness
with sync; a base that nothing beats scores 0 in pixels. Losses of ε and η do not count: both readings are of two
performances of 1.6 s, from which the judge can be no surer (it gives GRID's s1 0.06 with the base, little more than
unrelated sound has): so what it says is weighed, and only the reading of cross forbids.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from lipsync.model.judge import Judge
from lipsync.model.low_rank import low_rank_tensors
from lipsync.model.pixel import Batch, PixelModel
from lipsync.model.sampler import SamplerConfig, sample
from lipsync.model.speech_to_shape import STEP_RATE_HZ, ShapeModel, predict_shape
from lipsync.speech.features import MEL_RATE_HZ, MEL_SILENCE
from lipsync.sync.judge import crop_mouths, judge_sync
from lipsync.sync.offset import correlation
from lipsync.training.foreign import ForeignSound, ForeignSpeech, Puppet, chance_of_order, closes_on_bilabials
from lipsync.training.loop import StepResult
from lipsync.training.pixel_task import LipReader, PixelTask, PixelTaskConfig, laplacian, to_device
from lipsync.training.reader import MouthReader, read_openings
from lipsync.training.shape_task import ShapeClip, ShapeTask, ShapeTaskConfig, opening_weights
from lipsync.training.windows import WindowClip

FOREIGN_ROWS, FOREIGN_S = 4, 2.4
PERFORM_S, SILENT_S = 1.6, 0.32
CROSS_NOISE, JUDGE_NOISE = 0.02, 0.05
CENTRE = (slice(0.25, 0.9), slice(0.2, 0.8))  # of the window's side: where sharpness is taken without a true picture


class PersonShape(ShapeTask):
    """The way of speaking: low-rank changes and a style vector, always on.

    With speech of others the mouth must keep the base's timing, its opening correlated with the base's, where
    `foreign_weight` is not 0.

    Args:
        model: a shape model with low-rank changes (low_rank.py). teacher: the base's.
        lines: speech of others to learn with; scored: to score with.
    """

    def __init__(
        self,
        model: ShapeModel,
        train: list[ShapeClip],
        held_out: list[ShapeClip],
        config: ShapeTaskConfig,
        *,
        teacher: ShapeModel | None = None,
        lines: Sequence[ForeignSpeech] = (),
        scored: Sequence[ForeignSpeech] = (),
        foreign_weight: float = 0.0,
    ) -> None:
        for clip in train:
            clip.person = "them"  # one name for all clips, labelled or not: without a name no style would be learned
        super().__init__(model, train, held_out, config)
        styles = self.model.styles
        assert isinstance(styles, nn.Embedding)
        self.styles = styles
        nn.init.zeros_(styles.weight)  # start as the base's average person
        self.scored, self.foreign_weight = scored, foreign_weight
        self.lines: Sequence[ForeignSpeech] = lines if teacher is not None and foreign_weight else ()
        self.taught = [self._opening(teacher, line.mel, None) for line in self.lines if teacher is not None]
        self.start: dict[str, float] | None = None

    @property
    def style(self) -> Tensor:
        """The person's style vector."""
        return self.styles.weight.detach()[0].clone()

    def _opening(self, model: ShapeModel, mel: np.ndarray, style: Tensor | None) -> np.ndarray:
        times = np.arange(len(mel) * STEP_RATE_HZ // MEL_RATE_HZ) / STEP_RATE_HZ
        return predict_shape(model, mel, times, style) @ opening_weights(self.net.space)

    def step(self, rng: np.random.Generator) -> StepResult:
        """One batch of the person's own speech, and one of others' speech."""
        result = super().step(rng)
        if not self.lines:
            return result
        foreign = self._foreign(rng)
        readings = result.readings | {"foreign": float(foreign.detach())}
        return StepResult(result.loss + self.foreign_weight * foreign, readings, result.clips)

    def _foreign(self, rng: np.random.Generator) -> Tensor:
        """1 − correlation of the opening with the base's, mean over stretches of others' speech."""
        count, mels, truth = round(FOREIGN_S * STEP_RATE_HZ), [], []
        for i in rng.integers(len(self.lines), size=FOREIGN_ROWS):
            mel, taught = self.lines[i].mel, self.taught[i]
            first = int(rng.integers(0, max(1, len(taught) - count)))
            mel = mel[2 * first : 2 * (first + count)]
            mels.append(np.pad(mel, ((0, 2 * count - len(mel)), (0, 0)), constant_values=MEL_SILENCE))
            truth.append(np.pad(taught[first : first + count], (0, max(0, count - len(taught) + first)), mode="edge"))
        mel = torch.from_numpy(np.stack(mels)).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.bfloat16):
            steps = self.net(mel, self.styles.weight[:1].expand(len(mel), -1))
        a = steps.float()[:, :count] @ self.to_opening
        b = torch.from_numpy(np.stack(truth)).to(self.device)[:, : a.shape[1]]
        a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
        return 1 - F.cosine_similarity(a, b, dim=1, eps=1e-6).mean()

    def evaluate(self) -> dict[str, float]:
        """Own sound, others' sound and silence, on held-out clips."""
        rows = [self.follow(clip, self.style) for clip in self.held_out]
        spread = float(np.median([r[1] for r in rows]))
        own = np.array([r[0] for r in rows if np.isfinite(r[0])])
        found = {"own_correlation": float(own.mean()) if len(own) else 0.0, "own_spread": spread}
        moves = float(np.median([np.std(c.coefficients @ opening_weights(self.net.space)) for c in self.held_out]))
        still = self._opening(self.net, np.full((100, 80), MEL_SILENCE, np.float32), self.style)
        found["silent_motion"] = float(still.std() / max(moves, 1e-6))
        order = []
        for line in self.scored:
            opening = self._opening(self.net, line.mel, self.style)
            order += closes_on_bilabials(line, np.arange(len(opening)) / STEP_RATE_HZ, opening)
        if order:
            found["closes_on_p_b_m"] = chance_of_order(order)
        self.start = start = self.start or found
        score = found["own_correlation"] - 0.25 * abs(1 - spread)
        score += 0.5 * min(0.0, found.get("closes_on_p_b_m", 0.0) - start.get("closes_on_p_b_m", 0.0))
        score -= 0.25 * max(0.0, found["silent_motion"] - start["silent_motion"])
        return {"score": score} | found

    def export(self, path: Path) -> None:
        """Low-rank weights and the style."""
        _save_whole(low_rank_tensors(self.net) | {"style": self.style.cpu()}, path)


class PersonPixels(PixelTask):
    """The look: low-rank changes of the pixel model.

    Args:
        model: a pixel model with low-rank changes.
        foreign: speech of others to learn with; None for own sound alone.
        lip_reader: the supervising judge, whose terms are those of pretraining; without it, foreign speech teaches
            nothing.
        scored, judge: speech of others to score with, and who reads how far the mouth is open. None where no voice is
            installed.
        scorer: the judge that only scores.
        puppets, held_puppets: the clips, ready to be driven.
    """

    def __init__(
        self,
        model: PixelModel,
        train: list[WindowClip],
        held_out: list[WindowClip],
        config: PixelTaskConfig,
        *,
        puppets: list[Puppet],
        held_puppets: list[Puppet],
        foreign: ForeignSound | None = None,
        scored: ForeignSound | None = None,
        judge: MouthReader | None = None,
        foreign_share: float = 0.0,
        foreign_weight: float = 0.0,
        lip_reader: LipReader | None = None,
        scorer: Judge | None = None,
    ) -> None:
        super().__init__(model, train, held_out, config, lip_reader)
        self.scorer = scorer
        self.puppets, self.held_puppets = puppets, held_puppets
        self.foreign, self.scored, self.judge = foreign, scored, judge
        self.share, self.foreign_weight = foreign_share, foreign_weight
        self.start: dict[str, float] | None = None
        self.judge_correlation = float("nan")  # how well the judge reads held-out clips
        self.performed: np.ndarray | None = None  # uint8 (N, S, S, 3): the last evaluation's first performance

    def step(self, rng: np.random.Generator) -> StepResult:
        """One batch of the person's own footage, and for a share of steps a chunk driven by others' speech."""
        result = super().step(rng)
        if self.foreign is None or self.reader is None or rng.random() >= self.share:
            return result
        sync, texture, name = self._foreign(rng)
        readings = result.readings | {"foreign_sync": float(sync.detach()), "foreign_texture": float(texture.detach())}
        return StepResult(result.loss + self.foreign_weight * (sync + texture), readings, [*result.clips, name])

    def _foreign(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, str]:
        """How far the shape that is read off is from the one asked, and detail lost against the true frames."""
        assert self.foreign is not None
        driven = self.foreign.draw(self.puppets, self.config.windows.chunk_frames, rng)
        x, batch = driven.windows.to(self.device), to_device(driven.batch, self.device)
        t = torch.zeros(len(x), device=self.device)  # where sampling starts
        x_t = batch.mask * torch.randn_like(x) + (1 - batch.mask) * x
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.bfloat16):
            x_hat = self.model(x_t.contiguous(), t, batch).float()
        made = batch.mask * x_hat + (1 - batch.mask) * x
        none_own = torch.zeros(len(x), device=self.device)
        sync = self.read(made, x, driven.asked.to(self.device), none_own)["follow"]
        texture = (_detail(made) - _detail(x)).abs()
        return sync, texture, f"{driven.name} with others' speech"

    @torch.inference_mode()
    def evaluate(self) -> dict[str, float]:
        """Held-out footage with its own sound, with a line of somebody else, and in silence."""
        self.model.eval()
        found = self._own()
        if self.scored is not None and self.judge is not None:
            found |= self._cross(self.scored, self.judge)
        self.start = start = self.start or found
        return {"score": pixel_score(found, start)} | found

    def _own(self) -> dict[str, float]:
        errors, sharp, detail = [], [], []
        for x, batch in self.held_out:
            x, batch = x.to(self.device), to_device(batch, self.device)
            made = sample(self.model, batch, x, SamplerConfig(), torch.Generator().manual_seed(0))
            near = (self.weight(batch) > 1.5).float()
            errors.append(127.5 * float(((made - x).abs() * near).sum() / (near.sum() * 3)))
            sharp.append(float((laplacian(made) * near).sum() / (laplacian(x) * near).sum().clamp_min(1e-6)))
            detail.append(_detail_correlation(made, x, batch))
        known = [d for d in detail if np.isfinite(d)]
        return {
            "mouth_error_grey": float(np.mean(errors)),
            "mouth_sharpness": float(np.mean(sharp)),
            "inner_mouth_detail": float(np.mean(known)) if known else 0.0,
        }

    def _cross(self, scored: ForeignSound, judge: MouthReader) -> dict[str, float]:
        follows, sharp, judged = [], [], []
        for i, puppet in enumerate(self.held_puppets[:2]):
            line = i % len(scored.lines)
            seconds = min(PERFORM_S, scored.lines[line].duration_s)
            made, times_s, asked = scored.perform(self.model, puppet, line, seconds)
            if self.scorer is not None:
                crops = crop_mouths(made, self.scorer.config.size_px)
                judged.append(judge_sync(self.scorer, crops, times_s, scored.lines[line].mel).score)
            follows.append(correlation(read_openings(judge, made), asked))
            sharp.append(float(_detail(_tensor(made)) / _detail(_tensor(puppet.windows)).clamp_min(1e-6)))
            if i == 0:
                self.performed = made
        still, _, _ = scored.perform(self.model, self.held_puppets[0], -1, SILENT_S)
        usable = [f for f in follows if np.isfinite(f)]
        found = {"cross_judge": float(np.mean(judged))} if judged else {}
        return found | {
            "cross_sync": float(np.mean(usable)) if usable else 0.0,
            "cross_sharpness": float(np.mean(sharp)),
            "silent_motion": float(read_openings(judge, still).std()) / judge.spread,
        }

    def export(self, path: Path) -> None:
        """The low-rank weights."""
        _save_whole(low_rank_tensors(self.model), path)


def pixel_score(found: dict[str, float], start: dict[str, float]) -> float:
    """How much better a step is than the base, both read on the same footage: see the file."""
    followed = found.get("cross_sync", 0.0) - start.get("cross_sync", 0.0)
    if followed < -CROSS_NOISE:
        return followed
    score = 1 - found["mouth_error_grey"] / max(start["mouth_error_grey"], 1e-6)
    score += abs(1 - start["mouth_sharpness"]) - abs(1 - found["mouth_sharpness"])
    return score + min(0.0, found.get("cross_judge", 0.0) - start.get("cross_judge", 0.0) + JUDGE_NOISE)


def _save_whole(tensors: dict[str, Tensor], path: Path) -> None:
    part = path.with_name(path.name + ".part")
    try:
        save_file({name: value.contiguous() for name, value in tensors.items()}, part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _tensor(windows: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(windows)).permute(0, 3, 1, 2)[None].float() / 127.5 - 1


def _detail(x: Tensor) -> Tensor:
    """Mean strength of detail in the middle of windows (B, F, 3, S, S)."""
    rows, columns = (slice(int(s.start * x.shape[-1]), int(s.stop * x.shape[-1])) for s in CENTRE)
    return laplacian(x)[..., rows, columns].mean()


def _detail_correlation(made: Tensor, x: Tensor, batch: Batch) -> float:
    """Correlation of what is finer than 4 px between made and true, inside the opened lips: teeth and tongue.

    NaN when the lips are closed throughout.
    """
    inside = batch.maps[:, :, 1] > 0.5
    if int(inside.sum()) < 30:
        return float("nan")

    def fine(v: Tensor) -> Tensor:
        grey = v.mean(2).flatten(0, 1)[:, None]
        return (grey - F.avg_pool2d(grey, 9, 1, 4, count_include_pad=False)).view(inside.shape)[inside]

    return correlation(fine(made).cpu().numpy(), fine(x).cpu().numpy())
