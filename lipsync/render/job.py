"""One render, from a planned sequence to a finished file: the part that dub and say share."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lipsync.config import RenderConfig
from lipsync.media import VideoWriter
from lipsync.model.base import Base
from lipsync.progress import Progress
from lipsync.render.composite import Compositor
from lipsync.render.generate import Heard, WindowGenerator, seen_shapes, shaped_mouths, speech_shapes
from lipsync.render.plan import Plan, read_references
from lipsync.render.result import RenderResult, end_s, fit_sound, stamp_of, summarise
from lipsync.render.sequence import Renderer, Sequence
from lipsync.types import Sound

Finish = Callable[[np.ndarray, float], np.ndarray]


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
        return self._place(speech_shapes(self.base.shape, self.heard, self.sequence.times_s, self.base.style))

    def points_from_video(self, mouth: Plan) -> np.ndarray:
        """The same, following the mouth of another video from its first picture on."""
        return self._place(seen_shapes(mouth, self.base.shape.space, self.sequence.times_s - self.sequence.times_s[0]))

    def _place(self, coefficients: np.ndarray) -> np.ndarray:
        plan, space = self.plan, self.base.shape.space
        able = plan.able[self.sequence.frames]
        frames = self.sequence.frames[able]
        points = np.full((len(able), plan.mouth.shape[1], 2), np.nan, np.float32)
        mouths = shaped_mouths(plan, space, coefficients[able], frames, self.config.opening)
        points[able] = plan.window_points(mouths, frames)
        return points

    def write(
        self,
        points: np.ndarray,
        images: Iterator[np.ndarray],
        out: Path,
        progress: Progress,
        seconds: dict[str, float],
        finish: Finish | None = None,
    ) -> RenderResult:
        """Generate, paste and write every position; the file appears when it is whole.

        Args:
            points: (N, 31, 2) window px.
            images: the template's picture for each position.
            seconds: time taken so far, by stage.
            finish: what is done to a finished picture at its time, last.
        """
        begun = time.monotonic()
        renderer = self.renderer(points, progress)
        sound, warnings = self.sound, list[str]()
        if sound is not None:
            sound, warnings = fit_sound(sound, float(self.sequence.times_s[0]), end_s(self.plan, self.sequence))
        info, still = self.plan.info, self.plan.info.is_still
        progress.start("generating the mouth", len(self.sequence), "frames")
        with VideoWriter(
            out,
            width=info.width,
            height=info.height,
            frame_rate=info.frame_rate,
            sound=sound,
            like=None if still else info,
            crf=self.config.crf,
            stamp=stamp_of(self.base),
        ) as writer:
            for k, picture in enumerate(renderer.pictures(images)):
                time_s = float(self.sequence.times_s[k])
                picture = picture if finish is None else finish(picture, time_s)
                writer.write(picture, time_s, None if still else int(self.sequence.pts[k]))
        progress.done()
        seconds = {**seconds, "render": time.monotonic() - begun}
        return summarise(Path(out), renderer, self.base, self.config, seconds, warnings)

    def renderer(self, points: np.ndarray, progress: Progress) -> Renderer:
        """What draws the pictures, with its references read; `points` (N, 31, 2) window px."""
        config, model = self.config, self.base.pixel
        references = read_references(self.plan, model.config.size_px)
        generator = WindowGenerator(model, self.heard, references, config)
        compositor = Compositor(model.config, config.feather, config.colour_smooth_frames)
        return Renderer(self.plan, self.sequence, points, generator, compositor, config.fade_frames, progress)
