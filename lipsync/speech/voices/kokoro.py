"""Kokoro, a small neural voice: "kokoro:af_heart". It runs here, offline, once its model is there (extra `kokoro`).

    pip install "lipsync[kokoro]"          lipsync models get kokoro-82m        (about 360 MB, Apache-2.0)

The first letter of a voice is its language: a en-us, b en-gb, e es, f fr, h hi, i it, p pt-br. Phonemes come from the
embedded voice and are written as the model's vocabulary has them (diphthongs and affricates are one letter each); the
model says how long each lasts, in frames of FRAME_SAMPLES, so word and phoneme times are its own. Japanese and Chinese
voices need other phonemes than the embedded voice gives: a Kokoro server has them (server.py).

The model's files are the hub's: config.json, kokoro-v1_0.pth and voices/NAME.pt. Their .pth and .pt are read with
torch's weights-only loader, which builds tensors and nothing else.

Source: hexgrad/kokoro 0.9.4, a StyleTTS 2 (Li et al. 2023) with an iSTFTNet decoder.
"""

import warnings
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lipsync.errors import CheckpointError, VoiceError
from lipsync.speech.hub import VOICE, model_folder
from lipsync.speech.sentences import split_long
from lipsync.speech.voices.base import is_speakable, require_speakable
from lipsync.speech.voices.espeak import EspeakVoice
from lipsync.types import Sound, Speech, Timed

if TYPE_CHECKING:
    import torch

MODEL = "kokoro-82m"
REPO, WEIGHTS = "hexgrad/Kokoro-82M", "kokoro-v1_0.pth"
LANGUAGES = {"a": "en-us", "b": "en-gb", "e": "es", "f": "fr-fr", "h": "hi", "i": "it", "p": "pt-br"}
NEEDS_MORE = {"j": "Japanese", "z": "Chinese"}
SAMPLE_RATE_HZ = 24_000
FRAME_SAMPLES = 600  # 25 ms: what one unit of the model's durations lasts
MOST_CHARACTERS = 200  # said at once; the model takes 510 phonemes
SPEED_RANGE = (0.5, 2.0)
PUNCTUATION = ";:,.!?—…"
_SYMBOLS = {
    **{"aɪ": "I", "aʊ": "W", "eɪ": "A", "oʊ": "O", "əʊ": "Q", "ɔɪ": "Y", "tʃ": "ʧ", "dʒ": "ʤ", "ts": "ʦ", "dz": "ʣ"},
    **{"g": "ɡ", "ɚ": "əɹ", "\u032a": "", "\u0361": ""},
}
_ENGLISH = {
    "r": "ɹ",
    "ɐ": "ə",
    "ɬ": "l",
    "x": "k",
    "ç": "k",
    "aɪə": "Iə",
    "aʊə": "Wə",
    "əl": "ᵊl",
    "e": "A",
    "ɜː": "ɜɹ",
}


@dataclass(frozen=True)
class KokoroVoice:
    """One of the model's voices. `folder`: where the model lies; "" is the usual place.

    Raises:
        VoiceError: the name says no language that can be spoken here.
    """

    voice: str
    folder: str = ""
    takes_text: bool = True

    def __post_init__(self) -> None:
        letter = self.voice[:1]
        if letter in NEEDS_MORE:
            raise VoiceError(
                f"kokoro:{self.voice}: {NEEDS_MORE[letter]} needs a Kokoro server, such as "
                f'"openai:http://127.0.0.1:8880/v1?model=kokoro#{self.voice}"'
            )
        if letter not in LANGUAGES or self.voice[2:3] != "_":
            known = ", ".join(f"{key}: {value}" for key, value in LANGUAGES.items())
            raise VoiceError(f"kokoro:{self.voice}: no voice's name; such as af_heart, its first letter out of {known}")

    @property
    def name(self) -> str:
        """Such as "kokoro:af_heart"."""
        return f"kokoro:{self.voice}" + (f"@{self.folder}" if self.folder else "")

    @property
    def language(self) -> str:
        """That of the voice's first letter."""
        return LANGUAGES[self.voice[0]]

    def in_language(self, language: str) -> EspeakVoice:
        """The embedded voice in that language, of the same sex: a Kokoro voice speaks its own language alone."""
        return EspeakVoice(language + ("+f3" if self.voice[1:2] == "f" else "+m3"))

    def speak(self, text: str, *, speed: float = 1.0) -> Speech:
        """Say `text`; float32 mono at 24 kHz, times from the first sample.

        Raises:
            SpeechError: no speakable character.
            VoiceError: speed is out of range, or the package is not installed.
            CheckpointError: the model or the voice is not there; says its size, licence, and how to get it.
        """
        if not SPEED_RANGE[0] <= speed <= SPEED_RANGE[1]:
            raise VoiceError(f"speed {speed:g} is outside {SPEED_RANGE[0]:g}–{SPEED_RANGE[1]:g}")
        spoken = require_speakable(text)
        folder = Path(self.folder) if self.folder else model_folder(MODEL, VOICE)
        model, styles = _load_model(folder), _load_style(folder, self.voice)
        pieces, words, phonemes, at_s = list[np.ndarray](), list[Timed](), list[Timed](), 0.0
        for part in filter(is_speakable, split_long(spoken, MOST_CHARACTERS)):
            tokens = self._tokens(part, set(model.vocab))
            said = "".join(token for token, _ in tokens)
            out = _say(model, said, styles[min(len(said), len(styles)) - 1], speed)
            samples = out.audio.numpy().astype(np.float32).reshape(-1)
            edges = [at_s + n * FRAME_SAMPLES / SAMPLE_RATE_HZ for n in accumulate(out.pred_dur.reshape(-1).tolist())]
            words += _times(tokens, edges)
            phonemes += [Timed(t, edges[k], edges[k + 1]) for k, (t, word) in enumerate(tokens) if word and t.isalpha()]
            pieces.append(samples)
            at_s += len(samples) / SAMPLE_RATE_HZ
        return Speech(Sound(np.concatenate(pieces), SAMPLE_RATE_HZ), words, phonemes, text, self.language)

    def _tokens(self, text: str, vocabulary: set[str]) -> list[tuple[str, str]]:
        """The model's letters, and the word that each belongs to; "" for spaces and punctuation."""
        said = EspeakVoice(self.language).speak(text)
        tokens: list[tuple[str, str]] = []
        for number, word in enumerate(said.words):
            last_s = said.words[number + 1].start_s if number + 1 < len(said.words) else np.inf
            first_s = word.start_s if number else -np.inf
            own = [p.text for p in said.phonemes if first_s <= (p.start_s + p.end_s) / 2 < last_s]
            letters = [c for symbol in own for c in self._written(symbol) if c in vocabulary]
            tokens += [(letter, f"{number} {word.text}") for letter in letters]
            tokens += [(mark, "") for mark in _after(text, said.words, number) if mark in vocabulary]
        while tokens and tokens[-1][0] == " ":
            tokens.pop()
        return tokens

    def _written(self, symbol: str) -> str:
        """An IPA symbol with its stress, in the model's letters."""
        bare = symbol.lstrip("ˈˌ")
        stress = symbol[: len(symbol) - len(bare)]
        is_english = self.language.startswith("en")
        table = _SYMBOLS | (_ENGLISH if is_english else {})
        if self.language == "en-us":
            bare = table.get(bare, bare).replace("ː", "")
        written = table.get(bare) or "".join(table.get(c, c) for c in bare)
        return stress + written


def _after(text: str, words: list[Timed], number: int) -> str:
    """The punctuation that follows a word, and a space."""
    at = 0
    for word in words[: number + 1]:
        found = text.find(word.text, at)
        at = found + len(word.text) if found >= 0 else at
    following = text[at:].lstrip("\"'”’»)")[:1]
    return (following if following in PUNCTUATION else "") + " "


def _times(tokens: list[tuple[str, str]], edges: list[float]) -> list[Timed]:
    """Each word from its first letter to its last; letter k lasts from edges[k] to edges[k + 1]."""
    spans: dict[str, tuple[float, float]] = {}
    for k, (_, word) in enumerate(tokens):
        if word:
            spans[word] = (spans.get(word, (edges[k], 0.0))[0], edges[k + 1])
    return [Timed(word.partition(" ")[2], *span) for word, span in spans.items()]


def _say(model: Any, letters: str, style: "torch.Tensor", speed: float) -> Any:
    """The model's output; its noise is the same each time."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return model(letters, style, speed, return_output=True)


@cache
def _load_model(folder: Path) -> Any:
    """The model on the CPU. Raises VoiceError without the package, CheckpointError without its files."""
    config, weights = folder / "config.json", folder / WEIGHTS
    for path in (config, weights):
        if not path.is_file():
            raise CheckpointError(f"{path}: not there; get the model again with: lipsync models get {MODEL}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from kokoro.model import KModel
        except ImportError as error:
            raise VoiceError(f'the package kokoro is missing ({error}); pip install "lipsync[kokoro]"') from error
        try:
            return KModel(repo_id=REPO, config=str(config), model=str(weights)).eval()
        except (RuntimeError, KeyError, ValueError, AssertionError) as error:
            raise CheckpointError(f"{folder}: no Kokoro model as it should be ({str(error)[:200]})") from error


@cache
def _load_style(folder: Path, voice: str) -> "torch.Tensor":
    """(510, 1, 256): the voice's style for every count of phonemes."""
    import torch

    path = folder / "voices" / f"{voice}.pt"
    if not path.is_file():
        there = sorted(file.stem for file in path.parent.glob("*.pt")) if path.parent.is_dir() else []
        raise CheckpointError(f"{path}: no such voice; there are: {', '.join(there) or 'none'}")
    return torch.load(path, map_location="cpu", weights_only=True)


def open_kokoro(text: str) -> KokoroVoice:
    """The voice that "af_heart" or "af_heart@FOLDER" names. Raises VoiceError."""
    voice, _, folder = text.partition("@")
    return replace(KokoroVoice(voice), folder=folder)
