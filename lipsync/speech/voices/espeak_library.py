"""espeak-ng in this process, through ctypes: text → samples and timed events.

The library and its data come in the wheel `espeakng-loader`; it is loaded for each sentence, never at import.
espeak-ng is GPL-3: an optional engine behind the voice protocol, not linked by anything else here.

Source: espeak-ng 1.52, speak_lib.h (the C interface).
"""

import _ctypes
import ctypes
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lipsync.errors import VoiceError

AUDIO_OUTPUT_SYNCHRONOUS = 2
INITIALIZE_PHONEME_EVENTS, INITIALIZE_PHONEME_IPA, INITIALIZE_DONT_EXIT = 0x0001, 0x0002, 0x8000
CHARS_UTF8, SSML, PHONEMES_IN_BRACKETS = 0x1, 0x10, 0x100
POS_CHARACTER = 1
RATE, VOLUME, PITCH, RANGE = 1, 2, 3, 4
NORMAL_VOLUME, NORMAL_RANGE = 100, 50
EVENT_LIST_TERMINATED, EVENT_WORD, EVENT_END, EVENT_PHONEME = 0, 1, 5, 7
SYMBOL_BYTES = 8
RANDOM_SEED = 1
LONGEST_PATH_BYTES = 140  # the library cuts its data path at 160, with what it appends
HOW_TO_GET = "install it with: pip install --force-reinstall espeakng-loader"

_lock = threading.Lock()  # the library holds one state for the whole process


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * SYMBOL_BYTES))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


class _Voice(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),  # repeated: a priority byte, a zero-ended code; a zero byte ends the list
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


_SynthCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True)
class EngineEvent:
    """A word (`position`: its first character in the text) or a phoneme (`symbol`: IPA, "" for a pause) at a sample."""

    kind: int  # EVENT_WORD, EVENT_PHONEME or EVENT_END
    sample: int
    position: int
    length: int
    symbol: str


@dataclass(frozen=True)
class Spoken:
    """What came back: int16 (N,) and the events in order of time."""

    samples: np.ndarray
    sample_rate_hz: int
    events: list[EngineEvent]


def synthesize(text: str, voice: str, *, words_per_minute: int, pitch: int, marked: bool = False) -> Spoken:
    """Speak `text` with a voice such as "gmw/en+f3" (see `languages`). The same call gives the same samples.

    Args:
        marked: the text is SSML, and may hold the engine's phonemes in [[ ]].

    Raises:
        VoiceError: the engine is missing, or does not know the voice, or failed.
    """
    chunks: list[np.ndarray] = []
    events: list[EngineEvent] = []

    def receive(samples: Any, count: int, found: Any) -> int:
        if samples and count > 0:
            chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        events.extend(_read_events(found))
        return 0  # go on

    callback = _SynthCallback(receive)
    encoded = text.encode("utf-8", errors="replace")
    with _open_library() as (library, sample_rate_hz):
        library.espeak_SetSynthCallback(callback)
        if library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise VoiceError(f"espeak-ng cannot set the voice {voice!r}")
        settings = {RATE: words_per_minute, VOLUME: NORMAL_VOLUME, PITCH: pitch, RANGE: NORMAL_RANGE}
        for parameter, value in settings.items():
            library.espeak_SetParameter(parameter, value, 0)
        size = ctypes.c_size_t(len(encoded) + 1)
        flags = CHARS_UTF8 | (SSML | PHONEMES_IN_BRACKETS if marked else 0)
        status = library.espeak_Synth(encoded, size, 0, POS_CHARACTER, 0, flags, None, None)
    if status != 0:
        raise VoiceError(f"espeak-ng failed with status {status} on {text[:40]!r} with the voice {voice!r}")
    samples = np.concatenate(chunks) if chunks else np.zeros(0, dtype=np.int16)
    return Spoken(samples, sample_rate_hz, events)


@cache
def languages() -> dict[str, str]:
    """The codes of the languages the engine speaks → its name for the best voice of each, sorted.

    Raises:
        VoiceError: the engine is missing.
    """
    best: dict[str, tuple[int, int, str]] = {}  # lowest priority number first, then the plainest name
    with _open_library() as (library, _):
        library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        voices = library.espeak_ListVoices(None)
        index = 0
        while voices[index]:
            name = voices[index].contents.identifier.decode()
            for priority, code in _read_codes(voices[index].contents.languages):
                best[code] = min(best.get(code, (255, 0, "")), (priority, len(name), name))
            index += 1
    usable = {name for _, _, name in best.values() if _has_dictionary(name)}
    return {code: name for code, (_, _, name) in sorted(best.items()) if name in usable}


def _has_dictionary(name: str) -> bool:
    """Whether the data holds what the voice reads with; voices of other programs ("mb/…") and a few drafts lack it."""
    data = Path(_find_library()[1])
    file = data / "lang" / name
    if not file.is_file():
        return False
    named = [
        line.split()[1] for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("dictionary ")
    ]
    return (data / f"{(named or [file.name.split('-')[0].lower()])[0]}_dict").is_file()


@cache
def variants() -> tuple[str, ...]:
    """The names that may follow "+", sorted: f1…f5, m1…m8 and characters. Raises VoiceError when it is missing."""
    return tuple(sorted(path.name for path in Path(_find_library()[1], "voices", "!v").iterdir()))


def _find_library() -> tuple[str, str]:
    """The library's file and its data's folder."""
    try:
        import espeakng_loader

        return espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
    except (ImportError, RuntimeError) as error:
        raise VoiceError(f"the espeak-ng voice is missing ({error}); {HOW_TO_GET}") from error


@contextmanager
def _open_library() -> Iterator[tuple[Any, int]]:
    """The library and its sample rate in Hz, for one use and one thread.

    It is unloaded afterwards: parts of its state (the phase of the pitch's flutter, the noise of breath) outlive every
    call of its own that resets it, and would make a sentence depend on those before it.
    """
    library_path, found_path = _find_library()
    with _lock, _short_path(found_path) as data_path:
        try:
            library = ctypes.CDLL(library_path)
        except OSError as error:
            raise VoiceError(f"the espeak-ng voice cannot be loaded ({error}); {HOW_TO_GET}") from error
        try:
            options = INITIALIZE_PHONEME_EVENTS | INITIALIZE_PHONEME_IPA | INITIALIZE_DONT_EXIT
            rate_hz = library.espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, data_path.encode(), options)
            if rate_hz <= 0:
                raise VoiceError(f"espeak-ng found no data at {data_path}; {HOW_TO_GET}")
            library.espeak_ng_SetRandSeed(ctypes.c_long(RANDOM_SEED))
            yield library, rate_hz
            library.espeak_Terminate()
        finally:
            _unload(library)


@contextmanager
def _short_path(data_path: str) -> Iterator[str]:
    """The folder under a name that fits the library's buffer: itself, or a link in a temporary folder."""
    if len(data_path.encode()) <= LONGEST_PATH_BYTES:
        yield data_path
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder, "espeak-ng-data")
        link.symlink_to(data_path, target_is_directory=True)
        yield str(link)


def _unload(library: ctypes.CDLL) -> None:
    if sys.platform == "win32":
        _ctypes.FreeLibrary(library._handle)
    else:
        _ctypes.dlclose(library._handle)


def _read_events(events: Any) -> Iterator[EngineEvent]:
    index = 0
    while events[index].type != EVENT_LIST_TERMINATED:
        event = events[index]
        if event.type in (EVENT_WORD, EVENT_PHONEME, EVENT_END):
            raw = ctypes.string_at(ctypes.addressof(event.id), SYMBOL_BYTES) if event.type == EVENT_PHONEME else b""
            symbol = raw.split(b"\0")[0].decode("utf-8", errors="ignore")
            yield EngineEvent(event.type, event.sample, event.text_position - 1, event.length, symbol)
        index += 1


def _read_codes(address: int) -> list[tuple[int, str]]:
    """Priority and code of each language in the library's list."""
    codes = []
    while (priority := ctypes.string_at(address, 1)) != b"\0":
        code = ctypes.string_at(address + 1)
        codes.append((priority[0], code.decode()))
        address += len(code) + 2
    return codes
