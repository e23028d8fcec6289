"""Sound → who said what when: faster-whisper gives words with times; words become segments of a sentence or so.

A segment ends at a sentence's end, at a pause of PAUSE_S, where the speaker changes, or after LONGEST_S (then at the
longest pause within it). Its slot is from its first word's start to its last word's end.

Source: Radford et al. 2022 (Whisper); word times by its cross-attention, as faster-whisper has them.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lipsync.errors import CheckpointError, SpeechError
from lipsync.media.supply import SoundSupply
from lipsync.progress import Progress, Silent
from lipsync.speech.blocks import supply_of
from lipsync.speech.features import SAMPLE_RATE_HZ, mono_16k
from lipsync.speech.hub import DEFAULTS, WHISPER, model_folder
from lipsync.speech.segments import Segment, Transcript
from lipsync.types import Sound, Timed

PAUSE_S = 0.6
LONGEST_S = 12.0
LEAST_S = 0.1
BLOCK_S = 600.0  # listened to at a time: memory does not grow with the length
CUT_S = 30.0  # of a block's end, where it may be cut
ENDS = tuple(".!?…।॥。！？؟۔።")
CLOSERS = "\"'”’»)]"


def transcribe(
    sound: Sound | SoundSupply,
    model: str = DEFAULTS[WHISPER],
    *,
    language: str | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Transcript:
    """What is said in a sound; times on its own clock (`start_s` counts).

    Args:
        sound: any rate, mono or not.
        model: a name that `lipsync models` knows, or a folder with a Whisper converted for CTranslate2.
        language: of the speech; None: heard.
        device: auto, cpu or cuda.

    Raises:
        CheckpointError: the model is not there (says how to get it), is none, or the engine is not installed.
        SpeechError: the sound is empty, or nothing is said in it.
    """
    progress = progress or Silent()
    if isinstance(sound, Sound) and not len(sound.samples):
        raise SpeechError("the sound holds no samples; give a file with speech in it")
    whisper, supply, words = _open(model_folder(model, WHISPER), device), supply_of(sound), list[Timed]()
    length_s = supply.end_s - supply.start_s
    progress.start("listening", length_s, "seconds")
    for samples, start_s in _blocks(supply):
        found, info = whisper.transcribe(samples, language=language, word_timestamps=True, beam_size=5)
        language = language or info.language  # heard once, in the first block
        for segment in found:
            words += [_timed(w, start_s) for w in segment.words or [] if w.word.strip()]
            progress.advance(segment.end - segment.start, segment.text.strip()[:40])
    progress.done()
    if not words:
        raise SpeechError(f"nothing is said in these {length_s:.1f} s that {model} understands")
    return Transcript(tuple(group_words(words)), language or "")


def _blocks(supply: SoundSupply) -> Iterator[tuple[np.ndarray, float]]:
    """Mono at 16 kHz and its start in seconds, at most BLOCK_S each, cut where it is quietest in the last CUT_S."""
    at_s = supply.start_s
    while at_s < supply.end_s - 1e-3:
        mono = mono_16k(Sound(supply.part(at_s, min(supply.end_s, at_s + BLOCK_S)), supply.rate))
        if at_s + BLOCK_S < supply.end_s:
            size = round(0.1 * SAMPLE_RATE_HZ)
            end = mono[len(mono) - round(CUT_S * SAMPLE_RATE_HZ) :]
            power = (end[: len(end) // size * size].reshape(-1, size) ** 2).mean(1)
            quiet = np.convolve(power, np.ones(5), "same").argmin()
            mono = mono[: len(mono) - len(end) + int(quiet) * size + size // 2]
        yield mono, at_s
        at_s += len(mono) / SAMPLE_RATE_HZ


def _timed(word: Any, start_s: float) -> Timed:
    return Timed(word.word, start_s + float(word.start), start_s + float(word.end))


def _open(folder: Path, device: str) -> Any:
    try:
        from faster_whisper import WhisperModel
    except ImportError as error:
        raise CheckpointError('faster-whisper is not installed; get it with: pip install "lipsync[dub]"') from error
    for name in ("model.bin", "config.json"):
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder}: no Whisper converted for CTranslate2: {name} is missing in it")
    if not (folder / "tokenizer.json").is_file():  # the engine would fetch one, and nothing is fetched unasked
        raise CheckpointError(f"{folder}: tokenizer.json is missing in it; fetch the model again")
    try:
        return WhisperModel(str(folder), device=device, compute_type="auto", cpu_threads=1, local_files_only=True)
    except (RuntimeError, ValueError) as error:
        raise CheckpointError(f"{folder}: the Whisper in it cannot be loaded: {error}") from error


def group_words(words: Sequence[Timed], speakers: Sequence[str] = ()) -> list[Segment]:
    """Words → segments. `speakers`: of each word, or nothing."""
    groups: list[list[int]] = []
    for k, word in enumerate(words):
        if groups and not _ends_before(words, k) and not (speakers and speakers[k] != speakers[k - 1]):
            groups[-1].append(k)
        else:
            groups.append([k])
        if word.end_s - words[groups[-1][0]].start_s > LONGEST_S:
            groups[-1:] = _halves(words, groups[-1])
    return [_segment([words[k] for k in group], speakers[group[0]] if speakers else "") for group in groups]


def _ends_before(words: Sequence[Timed], k: int) -> bool:
    last = words[k - 1]
    return words[k].start_s - last.end_s > PAUSE_S or last.text.strip().rstrip(CLOSERS).endswith(ENDS)


def _halves(words: Sequence[Timed], group: list[int]) -> list[list[int]]:
    """Cut a group at its longest pause, the latest of equal ones."""
    if len(group) < 2:
        return [group]
    pauses = [(words[k].start_s - words[k - 1].end_s, k) for k in group[1:]]
    cut = max(pauses)[1] - group[0]
    return [group[:cut], group[cut:]]


def _segment(words: Sequence[Timed], speaker: str) -> Segment:
    text = "".join(w.text if w.text.startswith(" ") else f" {w.text}" for w in words)
    if not any(w.text.startswith(" ") for w in words[1:]) and len(words) > 1:  # a script without spaces
        text = "".join(w.text for w in words)
    start_s = words[0].start_s
    end_s = max(words[-1].end_s, start_s + LEAST_S)
    return Segment(start_s, end_s, " ".join(text.split()), speaker, tuple(words))
