"""Sound → who said what when: faster-whisper gives words with times; words become segments of a sentence or so.

A segment ends at a sentence's end, at a pause of PAUSE_S, where the speaker changes, or after LONGEST_S (then at the
longest pause within it). Its slot is from its first word's start to its last word's end.

Source: Radford et al. 2022 (Whisper); word times by its cross-attention, as faster-whisper has them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lipsync.errors import CheckpointError, SpeechError
from lipsync.progress import Progress, Silent
from lipsync.speech.features import mono_16k
from lipsync.speech.hub import DEFAULTS, WHISPER, model_folder
from lipsync.speech.segments import Segment, Transcript
from lipsync.types import Sound, Timed

PAUSE_S = 0.6
LONGEST_S = 12.0
LEAST_S = 0.1
ENDS = tuple(".!?…।॥。！？؟۔።")
CLOSERS = "\"'”’»)]"


def transcribe(
    sound: Sound,
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
    progress, samples = progress or Silent(), mono_16k(sound)
    whisper = _open(model_folder(model, WHISPER), device)
    progress.start("listening", sound.duration_s, "seconds")
    found, info = whisper.transcribe(samples, language=language, word_timestamps=True, beam_size=5)
    words: list[Timed] = []
    for segment in found:
        rows = segment.words or []
        words += [_timed(w, sound.start_s) for w in rows if w.word.strip()]
        progress.advance(segment.end - segment.start, segment.text.strip()[:40])
    progress.done()
    if not words:
        raise SpeechError(f"nothing is said in these {sound.duration_s:.1f} s that {model} understands")
    return Transcript(tuple(group_words(words)), info.language)


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
