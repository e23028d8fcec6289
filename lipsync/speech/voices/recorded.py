"""A recorded file as a voice: whatever is asked, its sound is said. Words and their times are unknown."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lipsync.errors import SpeechError, VoiceError
from lipsync.media import read_sound
from lipsync.speech.features import SILENCE_DB, loudness_db
from lipsync.types import Sound, Speech


@dataclass(frozen=True)
class RecordedVoice:
    """The sound of a media file (any that `lipsync.media` reads, video too)."""

    path: Path
    language: str = ""
    takes_text: bool = False

    @property
    def name(self) -> str:
        """The file's path."""
        return str(self.path)

    def speak(self, text: str = "", *, speed: float = 1.0) -> Speech:
        """The whole recording, mono at its own rate; `text` is kept as what it is said to say.

        Raises:
            SpeechError: the file holds no sound, or only silence.
            VoiceError: a speed other than 1 is asked.
            MediaError: the file is not media.
        """
        if speed != 1.0:
            raise VoiceError(f"{self.path}: a recording is played as it is; speed {speed:g} needs a voice that speaks")
        sound = read_sound(self.path, sample_rate_hz=None, mono=True)
        if sound is None or sound.samples.size == 0:
            raise SpeechError(f"{self.path}: holds no sound; give a file with speech in it")
        if not np.isfinite(loudness_db(sound)):
            raise SpeechError(
                f"{self.path}: {sound.duration_s:.1f} s of silence, nothing above {SILENCE_DB:g} dB of full scale; "
                "give a file with speech in it"
            )
        return Speech(Sound(sound.samples, sound.sample_rate_hz), text=text, language=self.language)

    def in_language(self, language: str) -> "RecordedVoice":
        """The same recording, said to be in `language`."""
        return replace(self, language=language)
