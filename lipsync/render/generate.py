"""Mouth shapes for frame times, and windows generated from them chunk by chunk.

A chunk is told exactly what training told it: its shapes as maps, the sound around each frame, the true pixels outside
the mask, the frames generated just before it, and references of the same person that are none of its own frames. Chunk
number n of a job draws its noise from (seed, n) alone: one seed, one result.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lipsync.config import RenderConfig
from lipsync.errors import SpeechError
from lipsync.media.supply import SoundSupply
from lipsync.model.pixel import PREVIOUS, REFERENCE, Batch, Known, PixelModel
from lipsync.model.sampler import SamplerConfig, encode, sample
from lipsync.model.shape import ShapeSpace
from lipsync.model.shapemap import draw_shapes, mask_window
from lipsync.model.speech_to_shape import ShapeModel, predict_shape
from lipsync.render.plan import Plan, References
from lipsync.speech.features import (
    MAX_GAIN_DB,
    MEL_RATE_HZ,
    MEL_SILENCE,
    MELS,
    SAMPLE_RATE_HZ,
    SPEECH_LEVEL_DB,
    frame_levels_db,
    gated_loudness_db,
    log_mel,
    loudness_db,
    mel_at,
    mono_16k,
)
from lipsync.types import Sound

ALIKE = 5  # of the pool, so many nearest in pose compete by mouth opening
REFERENCE_GAP_FRAMES = 4  # as in training: a reference lies at least this far from the frames being generated
BLOCK_S, CONTEXT_S = 10.0, 3.0
LEVEL_BLOCK_S = 10.0
LEAST_FRAMES = 6  # a shorter chunk's last frame is repeated: oneDNN keeps 9 MB for every length that it has met
GAIN_STEP_DB = 3.0  # half of it off changes mouth shapes by 3 % of their spread


@dataclass(frozen=True)
class Heard:
    """The sound as the models hear it: log_mel (T, 80), frame k at start_s + k/100 s; `is_silent`: nothing in it."""

    log_mel: np.ndarray
    start_s: float

    @property
    def is_silent(self) -> bool:
        """Whether there is no sound at all."""
        return bool((self.log_mel <= MEL_SILENCE + 1e-3).all())

    def part(self, start_s: float, end_s: float) -> "Heard":
        """What is heard from start_s to end_s, and a little around it: here, all that there is."""
        return self


def _gain(level_db: float) -> np.float32:
    """What brings a sound to the level of speech, in steps of GAIN_STEP_DB: an edited sentence seldom changes it."""
    if not np.isfinite(level_db):
        return np.float32(1)
    steps = round(min(SPEECH_LEVEL_DB - level_db, MAX_GAIN_DB) / GAIN_STEP_DB)
    return np.float32(10 ** (steps * GAIN_STEP_DB / 20))


@dataclass(frozen=True)
class Told:
    """What a part's mouths follow: the sound, mouth shapes (N, K), and a hash of all that a piece depends on.

    spoken_s: when the mouth speaks, in the part and around it; see idle.py.
    """

    heard: Heard
    shapes: np.ndarray
    spoken_s: np.ndarray
    hash: str


class HeardFile:
    """The sound of a supply as the models hear it, part after part: levelled as a whole, held in parts.

    Levels are found in one reading; 2 hours of them are 3 MB. A part depends on the sound within it and CONTEXT_S and
    half a second around it, and on the whole only by its level in steps.
    """

    def __init__(self, supply: SoundSupply) -> None:
        self.supply, self.start_s = supply, supply.start_s
        levels, at = [], supply.start_s
        while at < supply.end_s:
            end = min(at + LEVEL_BLOCK_S, supply.end_s)
            levels.append(frame_levels_db(mono_16k(self._sound(at, max(end, at + 0.05)))))
            at = end
        loudness = gated_loudness_db(np.concatenate(levels))
        self.gain = _gain(loudness)
        self.is_silent = not np.isfinite(loudness)

    def part(self, start_s: float, end_s: float) -> Heard:
        """What is heard from start_s to end_s, and CONTEXT_S around it."""
        first = max(self.start_s, start_s - CONTEXT_S - 0.5)
        first = self.start_s + np.floor((first - self.start_s) * MEL_RATE_HZ) / MEL_RATE_HZ
        last = max(first + 0.1, min(end_s + CONTEXT_S + 0.5, self.supply.end_s))
        samples = mono_16k(self._sound(first, last))  # fewer than at the sound's own rate
        samples *= self.gain
        return Heard(log_mel(Sound(samples, SAMPLE_RATE_HZ)), float(first))

    def _sound(self, start_s: float, end_s: float) -> Sound:
        return Sound(self.supply.part(start_s, end_s), self.supply.rate, start_s)


def hear(sound: Sound | None) -> Heard:
    """The levelled log-mel of a sound; None is silence. Raises SpeechError on an empty one."""
    if sound is None:
        return Heard(np.full((1, MELS), MEL_SILENCE, np.float32), 0.0)
    if not len(sound.samples):
        raise SpeechError("the sound is empty (0 samples); give a file with speech in it")
    gain = _gain(loudness_db(sound))
    return Heard(log_mel(Sound(sound.samples * gain, sound.sample_rate_hz)), sound.start_s)


def listen(given: Sound | Path | None) -> Heard | HeardFile:
    """A sound or a sound file as the models hear it; None is silence. Raises SpeechError on an empty one."""
    if given is None:
        return hear(None)
    if isinstance(given, Sound) and not len(given.samples):
        raise SpeechError("the sound is empty (0 samples); give a file with speech in it")
    return HeardFile(SoundSupply(given))


def speech_shapes(model: ShapeModel, heard: Heard, times_s: np.ndarray, style: Tensor | None = None) -> np.ndarray:
    """Coefficients float32 (F, K) at frame times; long sound goes through the model in blocks of BLOCK_S."""
    out = np.zeros((len(times_s), model.config.coefficients), np.float32)
    first = 0
    while first < len(times_s):
        last = int(np.searchsorted(times_s, times_s[first] + BLOCK_S))
        low = max(0, int((times_s[first] - CONTEXT_S - heard.start_s) * MEL_RATE_HZ))
        high = max(low, int((times_s[last - 1] + CONTEXT_S - heard.start_s) * MEL_RATE_HZ))
        start_s = heard.start_s + low / MEL_RATE_HZ
        out[first:last] = predict_shape(model, heard.log_mel[low:high], times_s[first:last], style, start_s)
        first = last
    return out


def seen_shapes(plan: Plan, space: ShapeSpace, times_s: np.ndarray) -> np.ndarray:
    """Coefficients (F, K) of the mouth in another video, at times counted from its first frame; at rest after its end.

    Frames in which the mouth was not seen are filled in linearly from their neighbours.
    """
    able = plan.able
    coefficients = space.encode(plan.mouth[able], plan.neutral[able])
    rest = space.encode(plan.neutral[able][:1], plan.neutral[able][:1])[0]
    own = plan.times_s[able] - plan.times_s[0]
    gap_s = 0.3
    own, coefficients = np.append(own, own[-1] + gap_s), np.concatenate([coefficients, rest[None]])
    return np.stack([np.interp(times_s, own, column) for column in coefficients.T], 1).astype(np.float32)


def shaped_mouths(
    plan: Plan, space: ShapeSpace, coefficients: np.ndarray, frames: np.ndarray, opening: float
) -> np.ndarray:
    """Coefficients (N, K) on the rest mouths of template frames (N,): (N, 31, 3) head units."""
    aside = space.decode(coefficients, np.zeros(plan.neutral.shape[1:]))
    return plan.neutral[frames] + opening * aside


class WindowGenerator:
    """Generates windows chunk after chunk; `reset` where the next chunk does not continue the last.

    Args:
        model: the pixel model.
        heard: the sound on the clock of the times given to `generate`.
        references: see plan.py.
    """

    def __init__(
        self, model: PixelModel, heard: Heard, references: References, config: RenderConfig, first_chunk: int = 0
    ) -> None:
        self.model, self.heard, self.references = model, heard, references
        self.sampler = SamplerConfig(steps=config.steps, guidance=config.guidance)
        self.seed, self.chunk = config.seed, first_chunk
        size, dims = model.config.size_px, model.config
        self.device = next(model.parameters()).device
        self.mask = torch.from_numpy(mask_window(size, dims.mask_top_px, dims.mask_side_px))
        self.reference_maps = draw_shapes(references.points, size)
        self.has_sound = 0.0 if heard.is_silent else 1.0
        self.encoded: dict[int, Known] = {}  # references that were needed, by row of the pool
        self.template_tracks: np.ndarray | None = None  # (F,), to prefer references of the same face
        self.reset()

    def reset(self) -> None:
        """Forget the frames generated last."""
        count, size = self.model.config.previous_frames, self.model.config.size_px
        self.previous = torch.zeros(count, 3, size, size)
        self.previous_maps = torch.zeros(count, 3, size, size)
        self.previous_s: np.ndarray | None = None

    def generate(self, windows: np.ndarray, points: np.ndarray, times_s: np.ndarray, frames: np.ndarray) -> np.ndarray:
        """One chunk.

        Args:
            windows: uint8 (F, S, S, 3), true outside the mask.
            points: (F, 31, 2) window px: the mouth that is wanted.
            times_s: (F,) on the sound's clock.
            frames: (F,) template frames they belong to.

        Returns:
            float32 (F, S, S, 3), 0…255; the true pixels outside the mask.
        """
        count, more = len(windows), max(0, LEAST_FRAMES - len(windows))
        if more:
            windows, points, frames = (np.concatenate([x, *[x[-1:]] * more]) for x in (windows, points, frames))
            times_s = np.append(times_s, times_s[-1] + _gap_s(times_s) * np.arange(1, more + 1))
        maps = _unit(draw_shapes(points, windows.shape[1]))
        rows = self._pick(frames)
        batch = self._batch(maps, times_s, rows)
        seed = int(np.random.SeedSequence([self.seed, self.chunk]).generate_state(1, np.uint64)[0])
        generator = torch.Generator().manual_seed(seed % 2**63)
        true = _signed(windows)[None].to(self.device)
        made = sample(self.model, batch, true, self.sampler, generator, self._known(batch, rows))[0, :count].cpu()
        self._remember(made, maps[:count], times_s[:count])
        self.chunk += 1
        return ((made + 1) * 127.5).permute(0, 2, 3, 1).contiguous().numpy()

    def _batch(self, maps: Tensor, times_s: np.ndarray, rows: np.ndarray) -> Batch:
        dims = self.model.config
        first_s = times_s[0]
        before = -_gap_s(times_s) * np.arange(dims.previous_frames, 0, -1)
        valid = [0.0] * dims.previous_frames
        if self.previous_s is not None:
            before = np.where(np.isfinite(self.previous_s), self.previous_s - first_s, before)
            valid = np.isfinite(self.previous_s).astype(np.float32).tolist()
        mels = mel_at(self.heard.log_mel, times_s, start_s=self.heard.start_s, half_width=dims.mel_half_width)
        batch = Batch(
            mask=self.mask,
            maps=maps[None],
            mels=torch.from_numpy(mels)[None],
            has_sound=torch.tensor([self.has_sound]),
            times_s=torch.from_numpy((times_s - first_s).astype(np.float32))[None],
            known=torch.cat([self.previous, _signed(self.references.windows[rows])])[None],
            known_maps=torch.cat([self.previous_maps, _unit(self.reference_maps[rows])])[None],
            known_times_s=torch.from_numpy(np.append(before, np.zeros(len(rows))).astype(np.float32))[None],
            known_roles=torch.tensor([[PREVIOUS] * dims.previous_frames + [REFERENCE] * len(rows)]),
            known_valid=torch.tensor([valid + [1.0] * len(rows)]),
        )
        return Batch(**{name: value.to(self.device) for name, value in vars(batch).items()})

    def _known(self, batch: Batch, rows: np.ndarray) -> Known:
        """The batch's known frames encoded, a reference once; each by itself, so that no result depends on others."""
        count = self.model.config.previous_frames
        for k, row in enumerate(rows.tolist(), count):
            if row not in self.encoded:
                self.encoded[row] = encode(self.model, batch.with_known(slice(k, k + 1)))
        previous = encode(self.model, batch.with_known(slice(count)))
        return Known.joined([previous, *(self.encoded[row] for row in rows.tolist())])

    def _pick(self, frames: np.ndarray) -> np.ndarray:
        """Rows of the pool alike `frames` in pose and unlike in mouth, none near them; the farthest where all are."""
        pool, wanted = self.references.frames, self.model.config.references
        distance = np.abs(pool[:, None] - frames[None]).min(1)
        free = np.flatnonzero(distance > REFERENCE_GAP_FRAMES)
        if not len(free):
            free = np.array([int(distance.argmax())])
        if self.template_tracks is not None:  # of the same face, where it is known well enough
            same = free[np.isin(self.references.tracks[free], self.template_tracks[frames])]
            free = same if len(same) >= wanted else free
        turned = np.linalg.norm(
            self.references.pose_deg[free] - self.references.template_pose_deg[frames].mean(0), axis=1
        )
        free = free[np.argsort(turned, kind="stable")[: max(ALIKE, wanted)]]
        free = free[np.argsort(self.references.opening[free], kind="stable")]
        return free[np.linspace(0, len(free) - 1, wanted).round().astype(int)]

    def _remember(self, made: Tensor, maps: Tensor, times_s: np.ndarray) -> None:
        """Keep the last frames as known pixels of the next chunk."""
        count = self.model.config.previous_frames
        old_s = np.full(count, np.nan) if self.previous_s is None else self.previous_s
        self.previous = torch.cat([self.previous, made])[-count:]
        self.previous_maps = torch.cat([self.previous_maps, maps])[-count:]
        self.previous_s = np.concatenate([old_s, times_s])[-count:]


def _gap_s(times_s: np.ndarray) -> float:
    """The usual time from frame to frame."""
    return float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.04


def _signed(windows: np.ndarray) -> Tensor:
    """uint8 (N, S, S, 3) → (N, 3, S, S), −1…1."""
    return torch.from_numpy(windows).permute(0, 3, 1, 2).float() / 127.5 - 1


def _unit(maps: np.ndarray) -> Tensor:
    return torch.from_numpy(maps).float() / 255
