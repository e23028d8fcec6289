"""Footage of actors: a video with sound, and beside it the exact landmarks of every frame."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from data_prep.actors.actor import Actor
from data_prep.actors.performing import perform
from lipsync.media.write import VideoWriter
from lipsync.speech.voices import open_voice
from lipsync.types import Speech


@dataclass(frozen=True)
class ExactFootage:
    """Where the footage lies and what is exactly true of it: landmarks float32 (F, 68, 3) px, times float64 (F,) s."""

    path: Path
    landmarks: np.ndarray
    times_s: np.ndarray
    speech: Speech | None = None


def landmarks_path(path: Path) -> Path:
    """Where the exact landmarks of footage at `path` are kept."""
    return path.with_suffix(".landmarks.safetensors")


def load_landmarks(path: Path) -> ExactFootage:
    """The exact landmarks saved beside the footage at `path`."""
    tensors = load_file(landmarks_path(path))
    return ExactFootage(path, tensors["landmarks"], tensors["times_s"])


def render_footage(
    actor: Actor,
    text_or_speech: str | Speech,
    path: str | Path,
    *,
    frame_rate: Fraction | float = 25,
    size_px: tuple[int, int] = (384, 384),
    seed: int = 0,
    voice: str | None = None,
    tail_s: float = 0.3,
    on_frame: Callable[[float], None] | None = None,
) -> ExactFootage:
    """Write a video of an actor speaking, and its landmarks next to it.

    Args:
        actor: who speaks.
        text_or_speech: text for the actor's voice (or `voice`), or speech that has phonemes with times.
        path: the .mp4 to write; landmarks go to the same name with .landmarks.safetensors.
        frame_rate, size_px, seed, tail_s: as in `perform`.
        voice: another voice than the actor's.
        on_frame: called with the time of each frame written, in seconds.

    Returns:
        ExactFootage.

    Raises:
        VoiceError, SpeechError: the voice is unknown, or the text has nothing to speak.
        MediaError: the file cannot be written.
    """
    path = Path(path)
    speech = (
        open_voice(voice or actor.voice).speak(text_or_speech) if isinstance(text_or_speech, str) else text_or_speech
    )
    rate = Fraction(frame_rate).limit_denominator(1001)
    landmarks, times_s = [], []
    with VideoWriter(path, width=size_px[0], height=size_px[1], frame_rate=rate, sound=speech.sound) as writer:
        for frame in perform(actor, speech, frame_rate=rate, size_px=size_px, seed=seed, tail_s=tail_s):
            writer.write(frame.image, frame.time_s)
            landmarks.append(frame.landmarks)
            times_s.append(frame.time_s)
            if on_frame is not None:
                on_frame(frame.time_s)
    exact = ExactFootage(path, np.stack(landmarks), np.array(times_s), speech)
    save_file({"landmarks": exact.landmarks, "times_s": exact.times_s}, landmarks_path(path))
    return exact
