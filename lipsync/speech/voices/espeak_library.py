"""espeak-ng in this process, through ctypes: text → samples and timed events.

The library and its data come in the wheel `espeakng-loader`; it is found and loaded at the first use, never at import.
espeak-ng is GPL-3: an optional engine behind the voice protocol, not linked by anything else here.

Source: espeak-ng 1.52, speak_lib.h (the C interface).
"""

import ctypes
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lipsync.errors import VoiceError

AUDIO_OUTPUT_SYNCHRONOUS = 2
INITIALIZE_PHONEME_EVENTS, INITIALIZE_PHONEME_IPA, INITIALIZE_DONT_EXIT = 0x0001, 0x0002, 0x8000
CHARS_UTF8 = 1
POS_CHARACTER = 1
RATE, VOLUME, PITCH, RANGE = 1, 2, 3, 4
NORMAL_VOLUME, NORMAL_RANGE = 100, 50
EVENT_LIST_TERMINATED, EVENT_WORD, EVENT_END, EVENT_PHONEME = 0, 1, 5, 7
SYMBOL_BYTES = 8

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


class Engine:
    """The loaded library. One for the process: use `engine()`."""

    def __init__(self) -> None:
        try:
            import espeakng_loader

            library_path, self.data_path = espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
            self.library: Any = ctypes.CDLL(library_path)
        except (ImportError, OSError, RuntimeError) as error:
            raise VoiceError(
                f"the espeak-ng voice cannot be loaded ({error}); install it with: pip install espeakng-loader"
            ) from error
        options = INITIALIZE_PHONEME_EVENTS | INITIALIZE_PHONEME_IPA | INITIALIZE_DONT_EXIT
        self.sample_rate_hz: int = self.library.espeak_Initialize(
            AUDIO_OUTPUT_SYNCHRONOUS, 0, str(self.data_path).encode(), options
        )
        if self.sample_rate_hz <= 0:
            raise VoiceError(f"espeak-ng found no data at {self.data_path}; reinstall the package espeakng-loader")
        self.library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        self._chunks: list[np.ndarray] = []
        self._events: list[EngineEvent] = []
        self._callback = _SynthCallback(self._receive)  # kept: the library holds only its address
        self.library.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        index = 0
        while events[index].type != EVENT_LIST_TERMINATED:
            event = events[index]
            if event.type in (EVENT_WORD, EVENT_PHONEME, EVENT_END):
                raw = ctypes.string_at(ctypes.addressof(event.id), SYMBOL_BYTES) if event.type == EVENT_PHONEME else b""
                symbol = raw.split(b"\0")[0].decode("utf-8", errors="ignore")
                found = EngineEvent(event.type, event.sample, event.text_position - 1, event.length, symbol)
                self._events.append(found)
            index += 1
        return 0  # go on

    def synthesize(
        self, text: str, voice: str, *, words_per_minute: int, pitch: int
    ) -> tuple[np.ndarray, list[EngineEvent]]:
        """Speak with a voice such as "en+f3": int16 (N,) at `sample_rate_hz` and the events in order of time."""
        encoded = text.encode("utf-8", errors="replace")
        with _lock:
            self._chunks, self._events = [], []
            if self.library.espeak_SetVoiceByName(voice.encode()) != 0:
                raise VoiceError(f"espeak-ng cannot set the voice {voice!r}")
            settings = {RATE: words_per_minute, VOLUME: NORMAL_VOLUME, PITCH: pitch, RANGE: NORMAL_RANGE}
            for parameter, value in settings.items():
                self.library.espeak_SetParameter(parameter, value, 0)
            status = self.library.espeak_Synth(
                encoded, ctypes.c_size_t(len(encoded) + 1), 0, POS_CHARACTER, 0, CHARS_UTF8, None, None
            )
            chunks, events = self._chunks, self._events
            self._chunks, self._events = [], []
        if status != 0:
            raise VoiceError(f"espeak-ng failed with status {status} on {text[:40]!r} with the voice {voice!r}")
        samples = np.concatenate(chunks) if chunks else np.zeros(0, dtype=np.int16)
        return samples, events

    @cache  # noqa: B019 - one engine lives as long as the process
    def languages(self) -> tuple[str, ...]:
        """The codes of the languages it speaks, sorted."""
        codes: set[str] = set()
        with _lock:
            voices = self.library.espeak_ListVoices(None)
            index = 0
            while voices[index]:
                voice = voices[index].contents
                if not voice.identifier.startswith(b"mb/"):  # these need a program of their own
                    codes.update(_read_codes(voice.languages))
                index += 1
        return tuple(sorted(codes))

    @cache  # noqa: B019
    def variants(self) -> tuple[str, ...]:
        """The names that may follow "+", sorted: f1…f5, m1…m8 and characters."""
        return tuple(sorted(path.name for path in Path(self.data_path, "voices", "!v").iterdir()))


def _read_codes(address: int) -> list[str]:
    codes = []
    while ctypes.string_at(address, 1) != b"\0":
        code = ctypes.string_at(address + 1)
        codes.append(code.decode())
        address += len(code) + 2
    return codes


_engine: Engine | None = None


def engine() -> Engine:
    """The process's one engine, loaded at the first call. Raises VoiceError that says how to get it."""
    global _engine
    with _lock:
        if _engine is None:
            _engine = Engine()
        return _engine
