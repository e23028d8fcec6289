"""An actor speaks: head motion, blinks, glances and mouth shapes over time, one frame after the other."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from data_prep.actors.actor import Actor
from data_prep.actors.expression import MouthShape
from data_prep.actors.eyes import Gaze
from data_prep.actors.scene import Pose
from data_prep.actors.stage import Performance, Stage
from data_prep.actors.visemes import Articulation, mouth_motion
from lipsync.types import LIPS_LEAD_S, Speech

BLINK_CLOSE_S, BLINK_OPEN_S = 0.07, 0.15
MOTION_RATE_HZ = 50.0


@dataclass(frozen=True)
class ActorFrame:
    """One picture of an actor. `landmarks` float32 (68, 3) px are exact: iBUG order, z toward the viewer negative."""

    image: np.ndarray  # uint8 (H, W, 3), RGB
    landmarks: np.ndarray
    time_s: float


def _wander(rng: np.random.Generator, times_s: np.ndarray, period_s: float) -> np.ndarray:
    """Smooth random motion float (F,), unit variance, read at times_s; the same at any frame rate."""
    count = int(MOTION_RATE_HZ * (times_s[-1] + 8 * period_s)) + 64
    white = rng.standard_normal(count)
    half = max(2, int(MOTION_RATE_HZ * period_s * 1.5))
    kernel = np.exp(-0.5 * (np.arange(-half, half + 1) / (0.42 * MOTION_RATE_HZ * period_s)) ** 2)
    smooth = np.convolve(white, kernel / np.sqrt((kernel**2).sum()), mode="same")
    return np.interp(times_s, np.arange(count) / MOTION_RATE_HZ - 2 * period_s, smooth)


def _poses(rng: np.random.Generator, times_s: np.ndarray, mouth: Articulation) -> list[Pose]:
    home = rng.normal(0, [0.05, 0.03, 0.02])
    yaw = home[0] + 0.055 * _wander(rng, times_s, 1.8) + 0.012 * _wander(rng, times_s, 0.5)
    pitch = home[1] + 0.026 * _wander(rng, times_s, 1.3) + 0.010 * _wander(rng, times_s, 0.4)
    roll = home[2] + 0.022 * _wander(rng, times_s, 1.7)
    loud = np.convolve(mouth.jaw_cm, np.hanning(9) / np.hanning(9).sum(), mode="same")[: len(times_s)]
    pitch = pitch + 0.018 * (loud - loud.mean())
    x, y, z = (0.30 * _wander(rng, times_s, 2.2) for _ in range(3))
    return [
        Pose(float(yaw[i]), float(pitch[i]), float(roll[i]), (float(x[i]), 0.5 * float(y[i]), 2.0 * float(z[i])))
        for i in range(len(times_s))
    ]


def _openness(rng: np.random.Generator, times_s: np.ndarray) -> np.ndarray:
    """Lids over time: 1 open, 0 shut; blinks every few seconds, closing faster than opening."""
    lids = np.full(len(times_s), 1.0)
    start_s = rng.uniform(0.4, 2.5)
    while start_s < times_s[-1] + 1:
        since = times_s - start_s
        closing = np.clip(since / BLINK_CLOSE_S, 0, 1)
        opening = np.clip((since - BLINK_CLOSE_S - 0.03) / BLINK_OPEN_S, 0, 1)
        lids = np.minimum(lids, 1 - closing + opening * opening * (3 - 2 * opening))
        start_s += 0.5 + rng.gamma(3.0, 0.9)
    return np.clip(lids, 0.0, 1.0)


def _glances(rng: np.random.Generator, times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Iris movement right and up, cm: holds with quick jumps between them (saccades of about 40 ms)."""
    right, up = np.zeros(len(times_s)), np.zeros(len(times_s))
    at_s, now = 0.0, np.zeros(2)
    while at_s < times_s[-1]:
        target = np.zeros(2) if rng.random() < 0.55 else rng.normal(0, [0.09, 0.045])
        target = target + rng.normal(0, 0.015, 2)
        moved = np.clip((times_s - at_s) / 0.04, 0, 1)
        after = times_s >= at_s
        right[after] = (now[0] + moved * (target[0] - now[0]))[after]
        up[after] = (now[1] + moved * (target[1] - now[1]))[after]
        at_s, now = at_s + 0.25 + rng.exponential(0.9), target
    return right, up


def plan_performance(actor: Actor, speech: Speech, times_s: np.ndarray, seed: int = 0) -> list[Performance]:
    """What every frame at times_s (F,) of this speech shows: poses, mouths, gazes. Same seed, same performance."""
    rng = np.random.default_rng([actor.seed, seed, 9])
    mouth = mouth_motion(speech.phonemes, times_s + LIPS_LEAD_S, actor.style)
    poses = _poses(rng, times_s, mouth)
    lids = _openness(rng, times_s)
    right, up = _glances(rng, times_s)
    shown = []
    for i, pose in enumerate(poses):
        shape = MouthShape(**{name: float(getattr(mouth, name)[i]) for name in MouthShape.__dataclass_fields__})
        # The eyes stay on the camera while the head turns.
        gaze = Gaze(
            float(lids[i]) * (1 - 0.12 * max(0.0, -float(up[i]) * 8)),
            float(right[i]) - 0.85 * pose.yaw,
            float(up[i]) + 0.85 * pose.pitch,
        )
        shown.append(Performance(pose, shape, gaze))
    return shown


def perform(
    actor: Actor,
    speech: Speech,
    *,
    frame_rate: Fraction | float = 25,
    size_px: tuple[int, int] = (384, 384),
    seed: int = 0,
    tail_s: float = 0.3,
) -> Iterator[ActorFrame]:
    """Film an actor speaking.

    Args:
        actor: who.
        speech: its phonemes move the mouth; its sound's length (or the last phoneme) sets how long the take is.
        frame_rate: frames a second.
        size_px: width and height of the picture.
        seed: another seed gives another take: head motion, blinks, sensor noise.
        tail_s: how long the camera runs on.

    Yields:
        ActorFrame, frame i at i / frame_rate from the start of the sound. The same arguments give the same frames.
    """
    end_s = max(speech.sound.duration_s, max((p.end_s for p in speech.phonemes), default=0.0)) + tail_s
    times_s = np.arange(max(1, round(end_s * float(frame_rate)))) / float(frame_rate)
    stage = Stage(actor, size_px)
    grain = np.random.default_rng([actor.seed, seed, 10])
    plates = grain.standard_normal((5, size_px[1] + 64, size_px[0] + 64, 3)).astype(np.float32) * 1.5
    for time_s, shown in zip(times_s, plan_performance(actor, speech, times_s, seed), strict=True):
        picture, landmarks = stage.render(shown)
        plate, top, left = plates[grain.integers(5)], grain.integers(64), grain.integers(64)
        noisy = picture * 255 + plate[top : top + size_px[1], left : left + size_px[0]] + 0.5
        yield ActorFrame(np.clip(noisy, 0, 255).astype(np.uint8), landmarks, float(time_s))
