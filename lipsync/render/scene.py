"""Several speakers in one video: each moves their own mouth while they speak, and rests while others do.

A stage is one template (a video or photo) with one or more actors in it, each with a face, a base and an adapter. A
scene shows its stages one at a time (`cut`: the camera goes to whoever speaks) or all at once (`grid`). An actor hears
only their own turns: the sound of all others is silence to them, in which the mouth rests. Templates run on while they
are not seen, forth and back as in avatar.py, so that a cut back to somebody finds them as if they had stayed.

A cut lies in the middle of the pause between two turns. Only what is seen is generated. The pictures' rate is the first
stage's, their size too; a template of another size is scaled into it, with bars where its shape differs.
"""

import time
from collections.abc import Callable, Iterator
from collections.abc import Sequence as Listing
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lipsync.config import RenderConfig
from lipsync.errors import UsageError
from lipsync.faces.detect import FaceDetector
from lipsync.media import VideoWriter
from lipsync.model.base import Base
from lipsync.progress import Progress, Silent
from lipsync.render.avatar import read_order
from lipsync.render.credentials import seal
from lipsync.render.generate import Heard, hear
from lipsync.render.part import Job
from lipsync.render.plan import Plan, make_plan
from lipsync.render.result import details_of, fit_sound, stamp_of
from lipsync.render.sequence import Sequence, Tally
from lipsync.render.sway import enliven
from lipsync.render.template import bounce
from lipsync.speech.speaking import Spoken, Turn
from lipsync.types import Sound

LAYOUTS = ("cut", "grid")
MOST_GRID_PX = 1920  # of a grid's width and height


@dataclass(frozen=True)
class Actor:
    """Who speaks as `name` ("" is the narrator), with which models; `face`: which of a template's faces is theirs."""

    name: str
    base: Base
    face: str = ""


@dataclass(frozen=True)
class Stage:
    """A template and who is seen in it."""

    template: Path
    actors: tuple[Actor, ...]


@dataclass(frozen=True)
class Shot:
    """Frames first ≤ k < last of the scene show a stage."""

    stage: int
    first: int
    last: int


@dataclass(frozen=True)
class SceneResult:
    """A finished scene. `actors`: what was generated for each; `shots`, `turns`: who is seen and heard when, in s."""

    out: str
    frames: int
    frame_rate: float
    duration_s: float
    width: int
    height: int
    layout: str
    actors: list[dict[str, Any]]
    turns: list[dict[str, Any]]
    shots: list[dict[str, Any]]
    largest_outside_difference: int
    seconds: dict[str, float]
    warnings: list[str] = field(default_factory=list)


@dataclass
class _Set:
    """A stage made ready: a plan for each actor, what each hears, and the template's frames in the scene's order."""

    stage: Stage
    plans: list[Plan]
    heard: list[Heard]
    frames: np.ndarray  # (N,)
    tallies: list[Tally]


def perform(
    spoken: Spoken,
    stages: Listing[Stage],
    out: Path,
    config: RenderConfig | None = None,
    progress: Progress | None = None,
    *,
    layout: str = "cut",
    detector: FaceDetector | None = None,
) -> SceneResult:
    """Render a scene; the video is as long as the speech and `config.tail_s`.

    Args:
        spoken: the speech of all, and whose each sentence is.
        stages: every speaker is an actor on exactly one.
        out: the .mp4 to write; it appears when it is whole.
        layout: "cut" or "grid".

    Raises:
        UsageError: a speaker has no actor or several, or the layout is none.
        NoFaceError, MediaError: see `say`.
    """
    config, progress = config or RenderConfig(), progress or Silent()
    _check(spoken, stages, layout)
    begun = time.monotonic()
    sound = spoken.speech.sound
    length_s = sound.duration_s + config.tail_s
    plans = [_plans(stage, config, progress, detector) for stage in stages]
    rate = plans[0][0].info.frame_rate
    times_s = np.arange(max(1, round(length_s * rate))) / float(rate)
    sets = [_ready(stage, own, spoken, times_s) for stage, own in zip(stages, plans, strict=True)]
    shots = plan_shots(spoken.turns, stages, times_s) if layout == "cut" else _all_along(len(sets), len(times_s))
    seconds = {"plan": time.monotonic() - begun}
    begun = time.monotonic()
    canvas = _Canvas.of([own[0] for own in plans], layout)
    job = _Scene(sets, shots, times_s, canvas, config, progress)
    written, warnings = fit_sound(Sound(sound.samples, sound.sample_rate_hz), 0.0, len(times_s) / float(rate))
    progress.start("generating the mouths", job.work(), "frames")
    with VideoWriter(
        out, width=canvas.width, height=canvas.height, frame_rate=rate, sound=written, crf=config.crf,
        stamp=_stamp(stages), seal=lambda part: seal(part, out.name, _details(stages, config)),
    ) as writer:  # fmt: skip
        for k, picture in enumerate(job.pictures()):
            writer.write(picture, float(times_s[k]))
    progress.done()
    return _result(out, job, spoken, layout, rate, {**seconds, "render": time.monotonic() - begun}, warnings)


def _check(spoken: Spoken, stages: Listing[Stage], layout: str) -> None:
    if layout not in LAYOUTS:
        raise UsageError(f"no layout is called {layout!r}; known: {', '.join(LAYOUTS)}")
    names = [actor.name.casefold() for stage in stages for actor in stage.actors]
    for turn in spoken.turns:
        if names.count(turn.speaker.casefold()) != 1:
            fault = "is on several stages" if turn.speaker.casefold() in names else "is nobody in the cast"
            raise UsageError(f"{turn.speaker or 'the narrator'} speaks and {fault}; name each speaker once")


def _plans(stage: Stage, config: RenderConfig, progress: Progress, detector: FaceDetector | None) -> list[Plan]:
    """One for each actor's face."""
    return [
        make_plan(
            stage.template,
            replace(config, face=actor.face or config.face),
            actor.base.pixel.config.size_px,
            progress,
            detector,
        )
        for actor in stage.actors
    ]


def _ready(stage: Stage, plans: list[Plan], spoken: Spoken, times_s: np.ndarray) -> _Set:
    first = plans[0]
    if first.info.is_still:
        frames = np.zeros(len(times_s), int)
    else:
        reasons = [next(filter(None, of_one), "") for of_one in zip(*(plan.reasons for plan in plans), strict=True)]
        able = replace(first, reasons=reasons) if not all(reasons) else first  # best where all can be done
        run = bounce(able, float(times_s[-1]) + 1 / float(first.info.frame_rate))
        frames = run.frames[np.clip(np.searchsorted(run.times_s, times_s + 1e-6, "right") - 1, 0, None)]
    heard = [hear(sound_of(spoken, actor.name)) for actor in stage.actors]
    return _Set(stage, plans, heard, frames, [Tally() for _ in plans])


def sound_of(spoken: Spoken, name: str) -> Sound:
    """The whole sound with silence where anybody but `name` speaks."""
    sound = spoken.speech.sound
    samples = np.zeros_like(sound.samples)
    for turn in spoken.turns:
        if turn.speaker.casefold() == name.casefold():
            part = slice(round(turn.start_s * sound.sample_rate_hz), round(turn.end_s * sound.sample_rate_hz))
            samples[part] = sound.samples[part]
    return Sound(samples, sound.sample_rate_hz)


def plan_shots(turns: Listing[Turn], stages: Listing[Stage], times_s: np.ndarray) -> list[Shot]:
    """Which stage is seen when: the speaker's; cuts lie in the middle of pauses. Without gaps, in order."""
    home = {actor.name.casefold(): k for k, stage in enumerate(stages) for actor in stage.actors}
    seen = [home[turn.speaker.casefold()] for turn in turns]
    changes = [k for k in range(1, len(turns)) if seen[k] != seen[k - 1]]
    middles_s = [(turns[k - 1].end_s + turns[k].start_s) / 2 for k in changes]
    edges = [0, *np.searchsorted(times_s, middles_s).tolist(), len(times_s)]
    which = [seen[0], *(seen[k] for k in changes)]
    return [Shot(k, first, last) for k, (first, last) in zip(which, pairwise(edges), strict=True) if last > first]


def _all_along(stages: int, frames: int) -> list[Shot]:
    return [Shot(k, 0, frames) for k in range(stages)]


@dataclass(frozen=True)
class _Canvas:
    """The picture and its tiles: left, top, width, height; one tile for `cut`."""

    width: int
    height: int
    tiles: list[tuple[int, int, int, int]]

    @classmethod
    def of(cls, plans: list[Plan], layout: str) -> "_Canvas":
        width, height = plans[0].info.width, plans[0].info.height
        if layout == "cut" or len(plans) == 1:
            return cls(width, height, [(0, 0, width, height)])
        columns = int(np.ceil(np.sqrt(len(plans))))
        rows = -(-len(plans) // columns)
        scale = min(1.0, MOST_GRID_PX / (columns * width), MOST_GRID_PX / (rows * height))
        wide, high = (max(2, round(side * scale / 2) * 2) for side in (width, height))
        tiles = [(k % columns * wide, k // columns * high, wide, high) for k in range(len(plans))]
        return cls(columns * wide, rows * high, tiles)

    def place(self, picture: np.ndarray, tile: int, onto: np.ndarray) -> None:
        """Put a picture into a tile, scaled to fit, in its middle."""
        left, top, width, height = self.tiles[tile]
        scale = min(width / picture.shape[1], height / picture.shape[0])
        wide, high = (
            min(most, max(1, round(n * scale))) for n, most in zip(picture.shape[1::-1], (width, height), strict=True)
        )
        if (wide, high) != picture.shape[1::-1]:
            picture = cv2.resize(picture, (wide, high), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        x, y = left + (width - wide) // 2, top + (height - high) // 2
        onto[y : y + high, x : x + wide] = picture


@dataclass
class _Scene:
    """Everything a scene is rendered with."""

    sets: list[_Set]
    shots: list[Shot]
    times_s: np.ndarray
    canvas: _Canvas
    config: RenderConfig
    progress: Progress
    moves: dict[int, Callable[[np.ndarray, float], np.ndarray]] = field(default_factory=dict)  # of photos, by stage

    def work(self) -> int:
        """How often the progress will be told."""
        return sum((shot.last - shot.first) * len(self.sets[shot.stage].plans) for shot in self.shots)

    def pictures(self) -> Iterator[np.ndarray]:
        """The finished pictures: uint8 (H, W, 3)."""
        size = (self.canvas.height, self.canvas.width, 3)
        if len(self.canvas.tiles) == 1:
            for shot in self.shots:
                for picture in self._shot(shot):
                    onto = np.zeros(size, np.uint8)
                    self.canvas.place(picture, 0, onto)
                    yield onto
            return
        for together in zip(*(self._shot(shot) for shot in self.shots), strict=True):
            onto = np.zeros(size, np.uint8)
            for tile, picture in enumerate(together):
                self.canvas.place(picture, tile, onto)
            yield onto

    def _shot(self, shot: Shot) -> Iterator[np.ndarray]:
        """A stage's pictures: each actor's mouth is put into what the one before left."""
        own = self.sets[shot.stage]
        part = slice(shot.first, shot.last)
        frames, times_s = own.frames[part], self.times_s[part]
        pictures: Iterator[np.ndarray] = read_order(own.plans[0], frames)
        for actor, plan, heard, tally in zip(own.stage.actors, own.plans, own.heard, own.tallies, strict=True):
            config = replace(self.config, face=actor.face)
            job = Job(plan, Sequence(frames, times_s, np.arange(len(frames))), heard, None, actor.base, config)
            renderer = job.renderer(job.points_from_speech(), self.progress)
            renderer.tally = tally
            pictures = renderer.pictures(pictures)
        still = own.plans[0].info.is_still and len(own.plans) == 1
        if still and shot.stage not in self.moves:
            self.moves[shot.stage] = enliven(own.plans[0], self.config, seed=shot.stage)
        move = self.moves.get(shot.stage, lambda picture, _: picture)
        for picture, time_s in zip(pictures, times_s, strict=True):
            yield move(picture, float(time_s))


def _stamp(stages: Listing[Stage]) -> dict[str, str]:
    """The tags of every base and person that had a part."""
    stamps = [stamp_of(actor.base) for stage in stages for actor in stage.actors]
    return {key: "; ".join(dict.fromkeys(stamp[key] for stamp in stamps)) for key in stamps[0]}


def _details(stages: Listing[Stage], config: RenderConfig) -> dict[str, Any]:
    """What the content credentials state of every base and person that had a part."""
    return {"actors": [details_of(actor.base, config) for stage in stages for actor in stage.actors]}


def _result(
    out: Path, job: _Scene, spoken: Spoken, layout: str, rate: Fraction, seconds: dict[str, float], warnings: list[str]
) -> SceneResult:
    actors, largest = list[dict[str, Any]](), 0
    for own in job.sets:
        for actor, tally in zip(own.stage.actors, own.tallies, strict=True):
            largest = max(largest, tally.largest_outside)
            known = {"name": actor.name, "template": str(own.stage.template), "person": actor.base.person}
            actors.append({**known, "rendered": tally.rendered, "passed_through": len(tally.passed)})
    times_s, count = job.times_s, len(job.times_s)
    edge_s = np.append(times_s, count / float(rate))
    shots = [
        {"template": str(job.sets[s.stage].stage.template), "start_s": edge_s[s.first], "end_s": edge_s[s.last]}
        for s in job.shots
    ]
    return SceneResult(
        out=str(out),
        frames=count,
        frame_rate=float(rate),
        duration_s=round(count / float(rate), 4),
        width=job.canvas.width,
        height=job.canvas.height,
        layout=layout,
        actors=actors,
        turns=[asdict(turn) for turn in spoken.turns],
        shots=shots,
        largest_outside_difference=largest,
        seconds={name: round(value, 3) for name, value in seconds.items()},
        warnings=warnings,
    )
