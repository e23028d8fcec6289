"""Render a sequence of template frames: runs that can be done are generated in chunks, the rest passes through.

A sequence is an order of template frames with output times: a dub's is 0, 1, 2, …; a bounced template's turns back at
its ends; a photo's is 0, 0, 0, …  A run is broken by a frame that cannot be done, by a cut and by a jump; there the
model forgets its previous frames. Where a run borders on untouched frames of the same shot it fades in and out, also
where those are another part's.

Pictures are RGB arrays or come as they were decoded (`Picture`); of those only the window's surroundings are converted.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TypeVar

import numpy as np

from lipsync.faces.align import crop_window
from lipsync.media import Picture
from lipsync.progress import Progress
from lipsync.render.composite import Compositor
from lipsync.render.generate import WindowGenerator
from lipsync.render.idle import IDLE as IDLE
from lipsync.render.idle import idle_positions
from lipsync.render.place import shifted, window_surroundings
from lipsync.render.plan import Plan

AnyPicture = np.ndarray | Picture
P = TypeVar("P", bound=np.ndarray | Picture)
ROOM = 0.08  # of the window's side: what is looked at around it


@dataclass(frozen=True)
class Sequence:
    """What is shown when: template frames `frames` (N,), times_s (N,) on the sound's clock, pts (N,)."""

    frames: np.ndarray
    times_s: np.ndarray
    pts: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)

    def part(self, first: int, last: int) -> "Sequence":
        """Positions first ≤ k < last."""
        part = slice(first, last)
        return Sequence(self.frames[part], self.times_s[part], self.pts[part])


@dataclass(frozen=True)
class Run:
    """Positions first ≤ k < last of a sequence that are rendered, without a jump; whether it fades at either end.

    more: positions after `last` in which it goes on in the next part.
    """

    first: int
    last: int
    fade_in: bool
    fade_out: bool
    more: int = 0

    def strength(self, k: int, fade_frames: int) -> float:
        """How strongly position k is blended in, 0…1."""
        from_start = k - self.first + 1 if self.fade_in else fade_frames + 1
        from_end = self.last + self.more - k if self.fade_out else fade_frames + 1
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


def find_runs(plan: Plan, frames: np.ndarray, idle: np.ndarray | None = None) -> list[Run]:
    """The runs of a sequence, in order; `idle` (N,): positions that are left alone, see idle.py."""
    able = plan.able[frames] if idle is None else plan.able[frames] & ~idle

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


@dataclass(frozen=True)
class _Made:
    """A chunk on its way from the generator to the compositor. made float32 (F, S, S, 3); looks: what was looked at."""

    first: int
    run: Run
    begins: bool
    pictures: list[AnyPicture]
    looks: list["Look"]
    windows: np.ndarray
    made: np.ndarray


Stage = _Made | tuple[int, AnyPicture]


@dataclass(frozen=True)
class Look:
    """The part of a picture that a window needs: RGB uint8 (h, w, 3), where it lies, and its frame → window."""

    image: np.ndarray
    box: tuple[int, int, int, int] | None
    transform: np.ndarray


def look_at(picture: AnyPicture, transform: np.ndarray, size_px: int) -> Look:
    """What of a picture to convert for a window."""
    if isinstance(picture, np.ndarray):
        return Look(picture, None, transform)
    box = window_surroundings(transform, size_px, picture.size, ROOM) or (0, 0, *picture.size)
    return Look(picture.patch(box), box, shifted(transform, box))


@dataclass
class Renderer:
    """Everything a sequence is rendered with.

    points: (N, 31, 2) window px, the mouth wanted at each position; NaN where none is rendered.
    spoken_s: when the wanted mouth speaks, in the sequence and around it; see idle.py. None: not known around it.
    tally: filled in while pictures are finished; positions before `lead` do not count.
    """

    plan: Plan
    sequence: Sequence
    points: np.ndarray
    generator: WindowGenerator
    compositor: Compositor
    fade_frames: int
    progress: Progress
    tally: Tally = field(default_factory=Tally)
    lead: int = 0
    spoken_s: np.ndarray | None = None

    def pictures(self, images: Iterator[P]) -> Iterator[P]:
        """Yield the finished picture of every position, in order; at most a chunk of pictures is held.

        Args:
            images: the template's picture for each position; what comes in as an array leaves as one.
        """
        for stage in self.stages(images):
            yield from self.finished(stage)  # type: ignore[misc]

    def finished(self, stage: Stage) -> Iterator[AnyPicture]:
        """The finished pictures of a stage; stages come in order."""
        if isinstance(stage, _Made):
            yield from self._paste(stage)
        else:
            yield self._pass(*stage)

    def stages(self, images: Iterator[AnyPicture]) -> Iterator[Stage]:
        """What lies before pasting, and may run in another thread: generated chunks, and positions that pass."""
        at = 0
        for run in self.runs():
            for k in range(at, run.first):
                yield k, next(images)
            self.generator.reset()
            for first, last in run.chunks(self.generator.model.config.chunk_frames):
                yield self._generate([next(images) for _ in range(first, last)], first, run)
            at = run.last
        for k in range(at, len(self.sequence)):
            yield k, next(images)

    def runs(self) -> list[Run]:
        """What is rendered; at a part's ends as the parts before and after it, which know the same sound, see it."""
        frames, times_s, points = self.sequence.frames, self.sequence.times_s, self.points
        if self.spoken_s is None:
            return find_runs(self.plan, frames, idle_positions(self.plan, frames, times_s, points))
        count, later = len(frames), np.arange(1, self.fade_frames + 1)
        step_s = np.median(np.diff(times_s)) if count > 1 else 0.04
        after = np.full(len(later), count - 1)  # a fade that ends in the next part: as if the last picture stayed
        rows = np.concatenate([np.arange(count), after])
        times_s = np.concatenate([times_s, times_s[-1] + later * step_s])
        idle = idle_positions(self.plan, frames[rows], times_s, points[rows], self.spoken_s)
        if self.lead:  # what the part before did there, which did not see this part's own mouth
            own = slice(0, self.lead)
            idle[own] = idle_positions(self.plan, frames[own], times_s[own], points[own], self.spoken_s)
        found = [run for run in find_runs(self.plan, frames[rows], idle) if run.first < count]
        return [replace(run, last=min(run.last, count), more=max(0, run.last - count)) for run in found]

    def _pass(self, position: int, image: AnyPicture) -> AnyPicture:
        if position >= self.lead:
            self.tally.passed.append(position)
            self.progress.advance()
        return image

    def _generate(self, pictures: list[AnyPicture], first: int, run: Run) -> _Made:
        """Generate the windows of the positions from `first` on."""
        begun = time.monotonic()
        part = slice(first, first + len(pictures))
        frames, size_px = self.sequence.frames[part], self.compositor.size_px
        transforms = self.plan.transforms[frames]
        looks = [look_at(p, t, size_px) for p, t in zip(pictures, transforms, strict=True)]
        windows = np.stack([crop_window(look.image, look.transform, size_px) for look in looks])
        made = self.generator.generate(windows, self.points[part], self.sequence.times_s[part], frames)
        self.tally.generate_s += time.monotonic() - begun
        return _Made(first, run, first == run.first, pictures, looks, windows, made)

    def _paste(self, made: _Made) -> Iterator[AnyPicture]:
        if made.begins:
            self.compositor.reset()
            self.compositor.mover.track = int(self.plan.track[self.sequence.frames[made.first]])
        part = slice(made.first, made.first + len(made.pictures))
        mouths = np.stack([self.plan.points[self.sequence.frames[part]], self.points[part]])
        for k, (picture, look) in enumerate(zip(made.pictures, made.looks, strict=True)):
            begun = time.monotonic()
            strength = made.run.strength(made.first + k, self.fade_frames)
            window, true = made.made[k], made.windows[k]
            pasted = self.compositor.paste(look.image, look.transform, window, true, strength, mouths[:, k])
            if isinstance(picture, np.ndarray) or look.box is None:
                out: AnyPicture = pasted.image
            else:
                out = picture.edited(look.box, look.image, pasted.image)
            self.tally.paste_s += time.monotonic() - begun
            self.tally.largest_outside = max(self.tally.largest_outside, pasted.largest_outside)
            if made.first + k >= self.lead:
                self.tally.rendered += 1
                self.progress.advance()
            yield out
