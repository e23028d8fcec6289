"""Dub a video: its own pictures at their own times, the mouth following new sound or the mouth of another video.

Frame count, times, size, rotation and colour description stay the source's. The video's length wins: longer sound is
cut (and the result says so), shorter sound is followed by silence, in which the mouth rests.
"""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from lipsync.config import RenderConfig
from lipsync.errors import MediaError, UsageError
from lipsync.faces.detect import FaceDetector
from lipsync.media import read_frames, read_sound
from lipsync.model.base import Base
from lipsync.progress import Progress, Silent
from lipsync.render.generate import hear
from lipsync.render.job import Job
from lipsync.render.plan import make_plan
from lipsync.render.result import RenderResult
from lipsync.render.sequence import Sequence
from lipsync.types import Sound, Speech


def dub(
    video: Path,
    speech: Speech | Sound | None,
    out: Path,
    base: Base,
    config: RenderConfig | None = None,
    progress: Progress | None = None,
    *,
    mouth_video: Path | None = None,
    detector: FaceDetector | None = None,
) -> RenderResult:
    """Make the person in `video` say something else.

    Args:
        video: the template; every frame of it is in the output, at its own time.
        speech: what is heard; its `start_s` is on the video's clock. None: the sound of `mouth_video`.
        out: the .mp4 to write; it appears when it is whole.
        mouth_video: take the mouth's shapes from the landmarks of this video instead of from the sound.
        detector: instead of the one that `config` names.

    Raises:
        UsageError: neither speech nor another video's mouth.
        NoFaceError: no usable face, or several and no choice.
        MediaError: not a video, a photo, or damaged.
        SpeechError: empty sound.
    """
    config, progress = config or RenderConfig(), progress or Silent()
    if speech is None and mouth_video is None:
        raise UsageError("dub needs speech, or another video whose mouth is followed")
    begun = time.monotonic()
    size_px = base.pixel.config.size_px
    plan = make_plan(video, config, size_px, progress, detector)
    if plan.info.is_still:
        raise MediaError(f"{video}: a photo has no length to dub; use say, which lets a photo speak")
    sequence = Sequence(np.arange(len(plan)), plan.times_s, plan.pts)
    sound = _sound_of(speech, mouth_video, float(plan.times_s[0]))
    job = Job(plan, sequence, hear(sound), sound, base, config)
    if mouth_video is None:
        points = job.points_from_speech()
    else:
        mouth_plan = make_plan(mouth_video, replace(config, face=""), size_px, progress, detector)
        points = job.points_from_video(mouth_plan)
    images = (frame.image for frame in read_frames(video))
    return job.write(points, images, out, progress, {"plan": time.monotonic() - begun})


def _sound_of(speech: Speech | Sound | None, mouth_video: Path | None, start_s: float) -> Sound | None:
    if isinstance(speech, Speech):
        return speech.sound
    if speech is not None or mouth_video is None:
        return speech
    sound = read_sound(mouth_video, sample_rate_hz=None, mono=False)
    return None if sound is None else Sound(sound.samples, sound.sample_rate_hz, sound.start_s + start_s)
