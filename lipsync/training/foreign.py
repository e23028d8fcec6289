"""Speech of others, put into a person's mouth: what keeps learning honest, and what it is judged by.

Little footage of one person, always with its own sound, teaches a model to ignore sound ("lip averaging"). So sentences
of the project's own voices drive the person's windows: their shapes come from the shape model, their sound goes to the
pixel model, and a reader says how far the mouth that was made is open. No such frame has a true picture.

    cross-sync of pixels = correlation(opening read off what was made, opening asked for), over all frames
    closes on p, b, m    = P(opening in an open vowel > opening in p, b or m), ½ for ties      (Mann & Whitney 1947)

The lines that are learned with are never those that score.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from lipsync.errors import VoiceError
from lipsync.faces.align import fit_projection, mouth_opening, project
from lipsync.model.pixel import PREVIOUS, REFERENCE, Batch, PixelModel, PixelModelConfig
from lipsync.model.sampler import SamplerConfig, sample
from lipsync.model.shape import find_neutral
from lipsync.model.shapemap import draw_shapes, mask_window
from lipsync.model.speech_to_shape import ShapeModel, predict_shape
from lipsync.speech.features import level, log_mel, mel_at
from lipsync.speech.voices import open_voice
from lipsync.training.clipstore import Clip
from lipsync.types import Sound, Timed

LEARNED_WITH = (
    ("espeak:en+f3", "Both my brothers hope to move before the summer is over, maybe to a farm by the sea."),
    ("espeak:es+m2", "Mi abuela vive en un pueblo pequeño, pero siempre me invita a comer pan y pescado."),
    ("espeak:de+f2", "Wir fahren im Oktober mit dem Bus über die Berge bis ans Meer."),
    ("espeak:fr+m4", "Nous avons bien mangé, puis nous sommes partis vers la petite plage."),
    ("espeak:hi+f2", "मेरा भाई हर सुबह बाज़ार से फल और सब्ज़ी लाता है।"),
    ("espeak:en+m3", "Please put five purple apples on the wooden table, and open the window above it."),
)
SCORED_BY = (
    ("espeak:en", "Papa may buy five blue balloons."),  # closed, teeth on the lip, rounded, open
    ("espeak:it+f4", "Il bambino ama la pappa, ma la mamma prepara un buon pane."),
)
CLOSED, OPEN = ("p", "b", "m"), ("a", "ɑ", "æ", "ɐ", "ʌ")
STRESS = "ˈˌ"


@dataclass(frozen=True)
class ForeignSpeech:
    """A spoken line: mel (T, 80) from 0 s, its phonemes with times, and the sound itself."""

    name: str
    mel: np.ndarray
    phonemes: tuple[Timed, ...]
    sound: Sound

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.sound.duration_s


@cache
def speak_lines(lines: tuple[tuple[str, str], ...]) -> tuple[ForeignSpeech, ...]:
    """The lines, spoken; () where the voices are not installed."""
    spoken = []
    for voice, text in lines:
        try:
            speech = open_voice(voice).speak(text)
        except VoiceError:
            return ()
        spoken.append(ForeignSpeech(voice, log_mel(level(speech.sound)), tuple(speech.phonemes), speech.sound))
    return tuple(spoken)


def closes_on_bilabials(speech: ForeignSpeech, times_s: np.ndarray, opening: np.ndarray) -> list[tuple[float, int]]:
    """(mean opening, 1 for an open vowel, 0 for p, b, m) of every such phoneme in a line."""
    rows = []
    for phoneme in speech.phonemes:
        symbol = phoneme.text.lstrip(STRESS)
        inside = opening[phoneme.on_lips(times_s)]
        if len(inside) and symbol.startswith(CLOSED + OPEN):
            rows.append((float(inside.mean()), int(symbol.startswith(OPEN))))
    return rows


def chance_of_order(rows: Sequence[tuple[float, int]]) -> float:
    """P(a value of kind 1 > a value of kind 0), ties half; NaN when a kind is missing."""
    low = np.array([value for value, kind in rows if not kind])
    high = np.array([value for value, kind in rows if kind])
    if not len(low) or not len(high):
        return float("nan")
    return float(((high[:, None] > low).mean() + (high[:, None] >= low).mean()) / 2)


class Puppet:
    """A clip whose mouth can be set: windows, and the projection of head units to window px of every frame."""

    def __init__(self, clip: Clip, windows: np.ndarray) -> None:
        self.name, self.windows, self.clip = clip.record.id, windows, clip
        self.neutral = find_neutral(clip.mouth)
        self.projection = fit_projection(clip.mouth, clip.points)
        self.gap_s = 1 / clip.record.frame_rate
        self.opening = mouth_opening(clip.mouth)

    def __len__(self) -> int:
        return len(self.windows)

    def points(self, mouths: np.ndarray, frames: np.ndarray) -> np.ndarray:
        """Mouths (N, 31, 3) in head units → (N, 31, 2) window px of these frames."""
        return project(mouths, self.projection[frames])

    def references(self, frames: np.ndarray, count: int) -> np.ndarray:
        """Frames far from these, from the least to the most open."""
        free = np.setdiff1d(np.arange(len(self)), np.arange(frames[0] - 4, frames[-1] + 5))
        free = free if len(free) >= count else np.arange(len(self))
        order = free[np.argsort(self.opening[free], kind="stable")]
        return order[np.linspace(0, len(order) - 1, count).round().astype(int)]


@dataclass(frozen=True)
class Driven:
    """A chunk to be made: true windows (1, F, 3, S, S), what the model is told, and what is asked for.

    `asked` (1, F, 31, 2): the mouth's movement from rest in head units; `opening` (1, F).
    """

    windows: Tensor
    batch: Batch
    asked: Tensor
    opening: Tensor
    name: str


class ForeignSound:
    """Lines of others, ready to drive a person.

    Args:
        shape, style: the shape model that turns sound into shapes, and the person's style.
        config: of the pixel model.
    """

    def __init__(
        self, lines: Sequence[ForeignSpeech], shape: ShapeModel, style: Tensor | None, config: PixelModelConfig
    ) -> None:
        self.lines, self.config, self.space = lines, config, shape.space
        self.mask = torch.from_numpy(mask_window(config.size_px, config.mask_top_px, config.mask_side_px))
        self.grids = [np.arange(round(line.duration_s * 100)) / 100 for line in lines]
        self.shapes = [predict_shape(shape, li.mel, t, style) for li, t in zip(lines, self.grids, strict=True)]

    def drive(
        self, puppet: Puppet, line: int, start_s: float, frames: np.ndarray, previous: tuple[Tensor, np.ndarray] | None
    ) -> Driven:
        """A chunk of a puppet's frames driven by a line from `start_s` on; `previous`: window and points made before.

        A `line` of −1 is silence: the mouth rests.
        """
        times = start_s + puppet.gap_s * np.arange(len(frames))
        if line < 0:
            shapes, mel = np.zeros((len(frames), self.space.size)), np.full((1, 80), -1.0, np.float32)
            mouths = np.repeat(puppet.neutral[None], len(frames), 0)
        else:
            mel = self.lines[line].mel
            columns = self.shapes[line].T
            shapes = np.stack([np.interp(times, self.grids[line], column) for column in columns], 1)
            mouths = self.space.decode(shapes, puppet.neutral)
        points = puppet.points(mouths, frames)
        opening = torch.from_numpy(mouth_opening(mouths).astype(np.float32))[None]
        batch = self._batch(puppet, points, mel, times, frames, previous, silent=line < 0)
        asked = torch.from_numpy((mouths - puppet.neutral)[None, ..., :2].astype(np.float32))
        return Driven(_signed(puppet.windows[frames])[None], batch, asked, opening, puppet.name)

    def _batch(
        self,
        puppet: Puppet,
        points: np.ndarray,
        mel: np.ndarray,
        times_s: np.ndarray,
        frames: np.ndarray,
        previous: tuple[Tensor, np.ndarray] | None,
        silent: bool,
    ) -> Batch:
        dims, size = self.config, self.config.size_px
        rows = puppet.references(frames, dims.references)
        before = torch.zeros(dims.previous_frames, 3, size, size)
        before_maps = torch.zeros(dims.previous_frames, 3, size, size)
        if previous is not None and dims.previous_frames:
            before[-1], before_maps[-1] = previous[0], _unit(draw_shapes(previous[1][None], size))[0]
        told = [0.0] * (dims.previous_frames - 1) + [float(previous is not None)] if dims.previous_frames else []
        gaps = [-puppet.gap_s * k for k in range(dims.previous_frames, 0, -1)]
        roles = [PREVIOUS] * dims.previous_frames + [REFERENCE] * len(rows)
        reference_points = np.asarray(puppet.clip.points[rows], np.float64)
        return Batch(
            mask=self.mask,
            maps=_unit(draw_shapes(points, size))[None],
            mels=torch.from_numpy(mel_at(mel, times_s, start_s=0.0, half_width=dims.mel_half_width))[None],
            has_sound=torch.tensor([0.0 if silent else 1.0]),
            times_s=torch.from_numpy((times_s - times_s[0]).astype(np.float32))[None],
            known=torch.cat([before, _signed(puppet.windows[rows])])[None],
            known_maps=torch.cat([before_maps, _unit(draw_shapes(reference_points, size))])[None],
            known_times_s=torch.tensor([gaps + [0.0] * len(rows)], dtype=torch.float32),
            known_roles=torch.tensor([roles]),
            known_valid=torch.tensor([told + [1.0] * len(rows)]),
        )

    def draw(self, puppets: list[Puppet], frames: int, rng: np.random.Generator) -> Driven:
        """A random chunk: any puppet, any line, any place in either."""
        puppet = puppets[int(rng.integers(len(puppets)))]
        line = int(rng.integers(len(self.lines)))
        frames = min(frames, len(puppet))
        first = int(rng.integers(0, len(puppet) - frames + 1))
        latest = max(0.0, self.lines[line].duration_s - frames * puppet.gap_s)
        return self.drive(puppet, line, float(rng.uniform(0, latest)), first + np.arange(frames), None)

    def perform(
        self, model: PixelModel, puppet: Puppet, line: int, seconds: float, seed: int = 0
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A whole line performed, chunk after chunk, forth and back over the puppet's frames, as rendering does.

        Returns:
            uint8 windows (N, S, S, 3); times_s (N,); opening asked for (N,).
        """
        device = next(model.parameters()).device
        count, chunk = max(1, round(seconds / puppet.gap_s)), self.config.chunk_frames
        order = np.abs((np.arange(count) + len(puppet) - 1) % max(1, 2 * len(puppet) - 2) - (len(puppet) - 1))
        generator = torch.Generator().manual_seed(seed)
        made, asked, previous = [], [], None
        for first in range(0, count, chunk):
            frames = order[first : first + chunk]
            driven = self.drive(puppet, line, first * puppet.gap_s, frames, previous)
            batch = Batch(**{name: value.to(device) for name, value in vars(driven.batch).items()})
            windows = sample(model, batch, driven.windows.to(device), SamplerConfig(), generator)[0].cpu()
            made.append(windows)
            asked.append(driven.opening[0].numpy())
            previous = windows[-1], self._last_points(puppet, line, first + len(frames) - 1, int(frames[-1]))
        pixels = ((torch.cat(made) + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
        return pixels, puppet.gap_s * np.arange(count), np.concatenate(asked)

    def _last_points(self, puppet: Puppet, line: int, position: int, frame: int) -> np.ndarray:
        if line < 0:
            mouths = puppet.neutral[None]
        else:
            time_s = position * puppet.gap_s
            shape = np.array([[np.interp(time_s, self.grids[line], c) for c in self.shapes[line].T]])
            mouths = self.space.decode(shape, puppet.neutral)
        return puppet.points(mouths, np.array([frame]))[0]


def _signed(windows: np.ndarray) -> Tensor:
    """uint8 (N, S, S, 3) → (N, 3, S, S), −1…1."""
    return torch.from_numpy(np.ascontiguousarray(windows)).permute(0, 3, 1, 2).float() / 127.5 - 1


def _unit(maps: np.ndarray) -> Tensor:
    return torch.from_numpy(maps).float() / 255
