"""Sentences spoken by their voices, and fitted: each take is a file, kept until its own text or voice changes.

voices/0001_KEY.wav is the sentence at the voice's normal speed, without silence at its ends (0001_KEY_x1.1000.wav at
1.1 times that); KEY is a hash of text, voice and speed, so a take survives when sentences are put in before it, and
sentences of the same words share one. A take that was replaced by hand (an actor's recording) is its own sentence's
alone, and is used as it is and only stretched. Otherwise the voice is asked for
the speed that the fit needs, which sounds better than stretching; what is left is stretched to the sample
(lipsync/speech/stretch.py).
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import librosa
import numpy as np

from lipsync.dubbing.folder import WorkFolder, content, digest
from lipsync.errors import SpeechError, VoiceError
from lipsync.media import read_sound, write_wav
from lipsync.progress import Progress
from lipsync.speech.fit import Placement
from lipsync.speech.segments import Segment
from lipsync.speech.stretch import stretched
from lipsync.speech.voices import Voice
from lipsync.types import Sound

SILENT_DB = 40.0  # under the loudest frame: not part of a take
FRAME_S = 0.005
KEPT_S = 0.005  # before and after what sounds
STEADY = 0.03  # a rate this near to 1 needs no other speed
CUT_FADE_S = 0.03
KEY_LENGTH = 10
TAKES = "takes"  # what stages.json remembers: take → hash of its file


@dataclass(frozen=True)
class Take:
    """A sentence as it was spoken: mono, trimmed. `own`: by hand, not by its voice."""

    file: Path
    sound: Sound
    own: bool


class Takes:
    """The takes of a working folder; `spoken` counts those that were spoken now."""

    def __init__(self, folder: WorkFolder, voices: Mapping[str, Voice], speed: float) -> None:
        """`voices`: by speaker, each able to speak text."""
        self.folder, self.voices, self.speed = folder, voices, speed
        self.hashes: dict[str, str] = dict(folder.noted(TAKES) or {})
        self.spoken = 0
        self._keys: dict[int, str] = {}  # of the sentences as they are numbered now
        self._anew: set[int] = set()  # sentences that share no other's take

    def number(self, segments: Sequence[Segment]) -> None:
        """What the sentences are called: a recording of one is not used for another."""
        self._keys = {number: self._key(segment) for number, segment in enumerate(segments, start=1)}

    def take(self, number: int, segment: Segment) -> Take:
        """The sentence at normal speed. Raises SpeechError, VoiceError naming the segment."""
        return self._get(number, segment)

    def forget(self, number: int, segments: Sequence[Segment]) -> None:
        """Have a sentence, counted from 1, spoken anew. Raises VoiceError when there is none of that number."""
        if not 1 <= number <= len(segments):
            raise VoiceError(f"there is no sentence {number} to say again: the dub has {len(segments)}, counted from 1")
        self.number(segments)
        self._anew.add(number)
        key = self._keys[number]
        others = [n for n, other in self._keys.items() if n != number and other == key]
        for path in sorted(self.folder["voices"].glob(f"{number:04d}_{key}*.wav")):
            heirs = [path.with_name(f"{n:04d}{path.name[4:]}") for n in others]
            if heirs and not self._is_own(path) and not any(heir.is_file() for heir in heirs):
                self._move(path, heirs[0])  # the others go on sharing it
            else:
                path.unlink()
                self.hashes.pop(path.name, None)
        self.folder.note(TAKES, self.hashes)

    def record(self, number: int, segments: Sequence[Segment], recording: Path) -> None:
        """Take a recording for a sentence. Raises VoiceError as `forget`, SpeechError when nothing is heard in it."""
        sound = read_sound(recording, sample_rate_hz=None)
        if sound is None:
            raise SpeechError(f"{recording.name}: holds no sound; record sentence {number} again")
        heard = trimmed(sound, f"the recording of sentence {number}")
        self.forget(number, segments)
        write_wav(self.folder["voices"] / f"{number:04d}_{self._key(segments[number - 1])}.wav", heard)

    def fitted(self, number: int, segment: Segment, placement: Placement, rate_hz: int) -> np.ndarray:
        """The sentence as it is placed: mono samples at rate_hz, exactly as long as the placement."""
        length = _length(placement, rate_hz)
        if length < 1:
            return np.zeros(0, np.float32)
        samples = _resampled(self._at_rate(number, segment, placement).sound, rate_hz)
        whole = max(length, round(length / placement.kept))
        out = stretched(samples, whole, rate_hz)[:length].copy()
        if whole > length:
            fade = min(length, round(CUT_FADE_S * rate_hz))
            out[length - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
        return out

    def key(self, number: int, segment: Segment, placement: Placement, rate_hz: int) -> list[object]:
        """What `fitted` is made from: the take (spoken now where there is none), its length and the share kept."""
        length = _length(placement, rate_hz)
        if length < 1:
            return []
        return [content(self._at_rate(number, segment, placement).file), length, round(placement.kept, 4)]

    def _at_rate(self, number: int, segment: Segment, placement: Placement) -> Take:
        """The take by hand, or the voice at the speed that the placement needs, where it can."""
        take = self.take(number, segment)
        if not take.own and abs(placement.rate - 1) > STEADY:
            with suppress(VoiceError):  # a voice of one speed: stretching does it all
                return self._get(number, segment, round(placement.rate, 4))
        return take

    def _key(self, segment: Segment) -> str:
        voice = self.voices[segment.speaker]
        return digest([segment.text, voice.name, voice.language, round(self.speed, 4)])[:KEY_LENGTH]

    def _get(self, number: int, segment: Segment, rate: float = 1.0) -> Take:
        """The take at a rate of the normal speed."""
        path = self._file(number, f"{self._key(segment)}{'' if rate == 1 else f'_x{rate:.4f}'}.wav")
        if not path.is_file():
            write_wav(path, self._speak(self.voices[segment.speaker], segment, number, self.speed * rate))
            self.spoken += 1
            self.hashes[path.name] = content(path)
            self.folder.note(TAKES, self.hashes)
        sound = read_sound(path, sample_rate_hz=None)
        if sound is None:
            raise SpeechError(f"{path}: the take holds no sound; delete it to have it spoken anew")
        own = self._is_own(path)
        return Take(path, trimmed(sound, path.name) if own else sound, own)

    def _file(self, number: int, end: str) -> Path:
        """Where a take is: the sentence's own file, or one that it shares or comes by, else where it is to be."""
        path = self.folder["voices"] / f"{number:04d}_{end}"
        if path.is_file() or number in self._anew:
            return path
        for found in sorted(path.parent.glob(f"*_{end}")):
            if not self._is_own(found):
                return found
            if self._keys.get(int(found.name.split("_")[0])) != end[:KEY_LENGTH]:  # its sentence has another number now
                self._move(found, path)
                return path
        return path

    def _is_own(self, path: Path) -> bool:
        return self.hashes.get(path.name) != content(path)

    def _move(self, path: Path, target: Path) -> None:
        path.rename(target)
        known = self.hashes.pop(path.name, None)
        if known is not None:
            self.hashes[target.name] = known
        self.folder.note(TAKES, self.hashes)

    def _speak(self, voice: Voice, segment: Segment, number: int, speed: float) -> Sound:
        try:
            return trimmed(voice.speak(segment.text, speed=speed).sound, f"segment {number}")
        except (SpeechError, VoiceError) as error:
            raise type(error)(f"segment {number}, at {segment.start_s:.2f} s: {error}") from error


def speak_all(takes: Takes, segments: Sequence[Segment], progress: Progress) -> list[float]:
    """Have every sentence spoken; returns their natural lengths in seconds."""
    progress.start("speaking", len(segments), "sentences")
    takes.number(segments)
    lengths = []
    for number, segment in enumerate(segments, start=1):
        lengths.append(takes.take(number, segment).sound.duration_s)
        progress.advance(1, segment.text[:40])
    progress.done()
    return lengths


def trimmed(sound: Sound, where: str) -> Sound:
    """Without silence at its ends, mono. Raises SpeechError when nothing sounds."""
    samples = sound.samples if sound.samples.ndim == 1 else sound.samples.mean(1)
    size = max(1, round(FRAME_S * sound.sample_rate_hz))
    count = -(-len(samples) // size)
    power = (np.pad(samples, (0, count * size - len(samples))).reshape(count, size) ** 2).mean(1)
    loudest = power.max() if count else 0.0
    if loudest <= 1e-9:
        raise SpeechError(f"{where}: nothing is heard in it; choose another voice, or record it again")
    loud = np.flatnonzero(power > loudest * 10 ** (-SILENT_DB / 10))
    kept = round(KEPT_S * sound.sample_rate_hz)
    first, last = max(0, loud[0] * size - kept), min(len(samples), (loud[-1] + 1) * size + kept)
    return Sound(samples[first:last], sound.sample_rate_hz)


def _length(placement: Placement, rate_hz: int) -> int:
    return round(placement.end_s * rate_hz) - round(placement.start_s * rate_hz)


def _resampled(sound: Sound, rate_hz: int) -> np.ndarray:
    if sound.sample_rate_hz == rate_hz:
        return sound.samples
    return librosa.resample(sound.samples, orig_sr=sound.sample_rate_hz, target_sr=rate_hz, res_type="soxr_hq")
