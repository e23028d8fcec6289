"""Render a sequence of template frames: runs that can be done are generated in chunks, the rest passes through.

A sequence is an order of template frames with output times: a dub's is 0, 1, 2, …; a bounced template's turns back at
its ends; a photo's is 0, 0, 0, …  A run is broken by a frame that cannot be done, by a cut and by a jump; there the
model forgets its previous frames. Where a run borders on untouched frames of the same shot it fades in and out.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from lipsync.faces.align import crop_window
from lipsync.progress import Progress
from lipsync.render.composite import Compositor
from lipsync.render.generate import WindowGenerator
from lipsync.render.plan import Plan


@dataclass(frozen=True)
class Sequence:
    """What is shown when: template frames `frames` (N,), times_s (N,) on the sound's clock, pts (N,)."""

    frames: np.ndarray
    times_s: np.ndarray
    pts: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)


@dataclass(frozen=True)
class Run:
    """Positions first ≤ k < last of a sequence that are rendered, without a jump; whether it fades at either end."""

    first: int
    last: int
    fade_in: bool
    fade_out: bool

    def strength(self, k: int, fade_frames: int) -> float:
        """How strongly position k is blended in, 0…1."""
        from_start = k - self.first + 1 if self.fade_in else fade_frames + 1
        from_end = self.last - k if self.fade_out else fade_frames + 1
        return min(1.0, from_start / (fade_frames + 1), from_end / (fade_frames + 1))

    def chunks(self, longest: int) -> Iterator[tuple[int, int]]:
        """The run in chunks of nearly equal length, none longer than `longest`."""
        count = -(-(self.last - self.first) // longest)
        edges = np.linspace(self.first, self.last, count + 1).round().astype(int)
        yield from pairwise(edges.tolist())


@dataclass
class Tally:
    """What happened while a sequence was rendered."""

    rendered: int = 0
    largest_outside: int = 0
    generate_s: float = 0.0
    paste_s: float = 0.0
    passed: list[int] = field(default_factory=list)  # positions


def find_runs(plan: Plan, frames: np.ndarray) -> list[Run]:
    """The runs of a sequence, in order."""
    able = plan.able[frames]

    def continues(k: int) -> bool:
        return plan.joined(int(frames[k - 1]), int(frames[k]))

    runs, first = [], None
    for k in range(len(frames) + 1):
        ends = k == len(frames) or not able[k] or (k > 0 and (not continues(k) or _track_changes(plan, frames, k)))
        if first is not None and ends:
            fade_in = first > 0 and not able[first - 1] and continues(first)
            fade_out = k < len(frames) and not able[k] and continues(k)
            runs.append(Run(first, k, fade_in, fade_out))
            first = None
        if first is None and k < len(frames) and able[k]:
            first = k
    return runs


def _track_changes(plan: Plan, frames: np.ndarray, k: int) -> bool:
    return plan.track[frames[k]] != plan.track[frames[k - 1]]


@dataclass
class Renderer:
    """Everything a sequence is rendered with.

    points: (N, 31, 2) window px, the mouth wanted at each position; NaN where none is rendered.
    tally: filled in while pictures are drawn from `pictures`.
    """

    plan: Plan
    sequence: Sequence
    points: np.ndarray
    generator: WindowGenerator
    compositor: Compositor
    fade_frames: int
    progress: Progress
    tally: Tally = field(default_factory=Tally)

    def pictures(self, images: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield the finished picture of every position, in order; at most a chunk of pictures is held.

        Args:
            images: the template's picture for each position.
        """
        at = 0
        for run in find_runs(self.plan, self.sequence.frames):
            for k in range(at, run.first):
                yield self._pass(next(images), k)
            self.generator.reset()
            self.compositor.reset()
            for first, last in run.chunks(self.generator.model.config.chunk_frames):
                yield from self._chunk([next(images) for _ in range(first, last)], first, run)
            at = run.last
        for k in range(at, len(self.sequence)):
            yield self._pass(next(images), k)

    def _pass(self, image: np.ndarray, position: int) -> np.ndarray:
        self.tally.passed.append(position)
        self.progress.advance()
        return image

    def _chunk(self, pictures: list[np.ndarray], first: int, run: Run) -> Iterator[np.ndarray]:
        """Generate and paste the positions from `first` on."""
        part = slice(first, first + len(pictures))
        frames = self.sequence.frames[part]
        transforms, size_px = self.plan.transforms[frames], self.compositor.size_px
        mouths = np.stack([self.plan.points[frames], self.points[part]])
        begun = time.monotonic()
        windows = np.stack([crop_window(p, t, size_px) for p, t in zip(pictures, transforms, strict=True)])
        made = self.generator.generate(windows, self.points[part], self.sequence.times_s[part], frames)
        self.tally.generate_s += time.monotonic() - begun
        for k, (picture, transform) in enumerate(zip(pictures, transforms, strict=True)):
            begun = time.monotonic()
            strength = run.strength(first + k, self.fade_frames)
            pasted = self.compositor.paste(picture, transform, made[k], windows[k], strength, mouths[:, k])
            self.tally.paste_s += time.monotonic() - begun
            self.tally.rendered += 1
            self.tally.largest_outside = max(self.tally.largest_outside, pasted.largest_outside)
            self.progress.advance()
            yield pasted.image
