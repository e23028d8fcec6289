"""Takes: the sound of every sentence that was said, kept in a folder, so that an edit has only its own sentence said.

    FOLDER/0f3a….wav      the sound, 16 bits: may be replaced by hand, with a better take of the same sentence
    FOLDER/0f3a….json     what was asked (voice, language, text, speed, marks), and the times of words and phonemes

The name is the SHA-256 of what was asked. A voice of another name or a changed word is another take.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lipsync.errors import SpeechError
from lipsync.media import WholeFile, read_sound, write_wav
from lipsync.types import Speech, Timed

NAME_DIGITS = 20


@dataclass(frozen=True)
class Takes:
    """A folder of takes; it is made when the first one is kept."""

    folder: Path

    def path(self, asked: Mapping[str, Any]) -> Path:
        """Where the sound of what is asked lies, or would lie."""
        text = json.dumps(asked, ensure_ascii=False, sort_keys=True)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:NAME_DIGITS]}.wav"

    def get(self, asked: Mapping[str, Any], speak: Callable[[], Speech], anew: bool = False) -> Speech:
        """The take of what is asked; where there is none (or `anew`), `speak` is called and its speech kept.

        What comes back is what lies in the folder, so that the first time and the next are the same samples.

        Raises:
            SpeechError: the take's files are damaged; names them. And what `speak` raises.
        """
        path = self.path(asked)
        if anew or not (path.is_file() and path.with_suffix(".json").is_file()):
            self._keep(path, asked, speak())
        return _read(path)

    def _keep(self, path: Path, asked: Mapping[str, Any], speech: Speech) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        write_wav(path, speech.sound)
        times = {
            name: [[item.text, item.start_s, item.end_s] for item in items]
            for name, items in (("words", speech.words), ("phonemes", speech.phonemes))
        }
        values = {**asked, "language": speech.language, **times}
        file = WholeFile(path.with_suffix(".json"))
        try:
            file.part.write_text(json.dumps(values, ensure_ascii=False, indent=1), encoding="utf-8")
            file.keep()
        finally:
            file.drop()


def _read(path: Path) -> Speech:
    notes = path.with_suffix(".json")
    try:
        values = json.loads(notes.read_text(encoding="utf-8"))
        words, phonemes = ([Timed(t, float(a), float(b)) for t, a, b in values[key]] for key in ("words", "phonemes"))
        text, language = str(values["text"]), str(values["language"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SpeechError(f"{notes}: this take is damaged ({error}); delete it, and it is said again") from error
    sound = read_sound(path, sample_rate_hz=None, mono=True)
    if sound is None:
        raise SpeechError(f"{path}: this take holds no sound; delete it, and it is said again")
    return Speech(sound, words, phonemes, text, language)
