"""A part of a render: what it shows, what it follows, and what draws it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lipsync.config import RenderConfig
from lipsync.model.base import Base
from lipsync.progress import Progress
from lipsync.render.carry import Carry, Start
from lipsync.render.composite import Compositor
from lipsync.render.generate import Heard, Told, WindowGenerator, seen_shapes, shaped_mouths, speech_shapes
from lipsync.render.own import with_own_references
from lipsync.render.plan import Plan, References, read_references
from lipsync.render.sequence import AnyPicture, Renderer, Sequence, Stage
from lipsync.types import Sound


@dataclass(frozen=True)
class Job:
    """What is rendered: a sequence of a planned template, what is heard, and by which models."""

    plan: Plan
    sequence: Sequence
    heard: Heard
    sound: Sound | None
    base: Base
    config: RenderConfig

    def points_from_speech(self) -> np.ndarray:
        """Where the mouth's points shall be at each position: (N, 31, 2) window px, NaN in frames that pass through."""
        return self.place(speech_shapes(self.base.shape, self.heard, self.sequence.times_s, self.base.style))

    def points_from_video(self, mouth: Plan) -> np.ndarray:
        """The same, following the mouth of another video from its first picture on."""
        return self.place(seen_shapes(mouth, self.base.shape.space, self.sequence.times_s - self.sequence.times_s[0]))

    def place(self, coefficients: np.ndarray) -> np.ndarray:
        """Coefficients (N, K) as points (N, 31, 2) window px."""
        plan, space = self.plan, self.base.shape.space
        able = plan.able[self.sequence.frames]
        frames = self.sequence.frames[able]
        points = np.full((len(able), plan.mouth.shape[1], 2), np.nan, np.float32)
        if len(frames):
            mouths = shaped_mouths(plan, space, coefficients[able], frames, self.config.opening)
            points[able] = plan.window_points(mouths, frames)
        return points

    def renderer(
        self, points: np.ndarray, progress: Progress, references: References | None = None, first_chunk: int = 0
    ) -> Renderer:
        """What draws the pictures; `points` (N, 31, 2) window px. References are read where none are given."""
        config, model = self.config, self.base.pixel
        references = references or read_references(self.plan, model.config.size_px)
        shown = with_own_references(references, self.base.references)
        generator = WindowGenerator(model, self.heard, shown, config, first_chunk)
        generator.template_tracks = self.plan.track
        closeups = references if len(references.fine) else None
        compositor = Compositor(model.config, config.feather, config.colour_smooth_frames, closeups)
        return Renderer(self.plan, self.sequence, points, generator, compositor, config.fade_frames, progress)


@dataclass(frozen=True)
class Part:
    """Positions of the output with their plan; the first `lead` of them only run in and are not written.

    references: None while there are none, then nothing in it can be rendered. following, carry: for the part after it.
    """

    number: int
    plan: Plan
    sequence: Sequence
    lead: int
    references: References | None
    following: Start | None = None
    carry: Carry | None = None


@dataclass(frozen=True, eq=False)
class Ready:
    """A part about to be rendered; no renderer where nothing in it can be."""

    part: Part
    told: Told
    renderer: Renderer | None
    progress: Progress

    def stages(self, pictures: Iterator[AnyPicture]) -> Iterator[Stage]:
        """See Renderer.stages."""
        return enumerate(pictures) if self.renderer is None else self.renderer.stages(pictures)

    def finished(self, stages: Iterator[Stage]) -> Iterator[AnyPicture]:
        """The finished pictures of all stages."""
        for stage in stages:
            if self.renderer is not None:
                yield from self.renderer.finished(stage)
            elif isinstance(stage, tuple):
                if stage[0] >= self.part.lead:
                    self.progress.advance()
                yield stage[1]
