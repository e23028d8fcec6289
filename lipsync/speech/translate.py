"""Text of one language → text of another that takes about as long to say.

Engines behind one protocol give a few versions of a sentence, the likeliest first. The first that can be spoken within
its slot at a comfortable rate is taken, else the shortest to say; `spoken_s` (how long the new voice takes for a text)
decides, not the number of letters. A glossary fixes how terms are translated; one that is not kept is a warning.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from lipsync.errors import SpeechError
from lipsync.progress import Progress, Silent
from lipsync.speech.segments import Transcript

VERSIONS = 4
SHORTENED = 2  # times that an engine is asked
COMFORTABLE = 1.2  # of the voice's normal speed; as FitConfig has it


@dataclass(frozen=True)
class Wish:
    """A sentence to be translated: the text, what stands before it, and how long it may take to say."""

    text: str
    slot_s: float
    before: str = ""
    terms: Mapping[str, str] = field(default_factory=dict)  # of the glossary, those that occur in it


class Translator(Protocol):
    """Gives versions of each sentence in another language, the likeliest first."""

    @property
    def name(self) -> str:
        """For people and for what depends on it."""
        ...

    def translate(self, wishes: Sequence[Wish], source: str, target: str) -> list[list[str]]:
        """At least one version for each wish. Raises SpeechError for a language it does not know, CheckpointError."""
        ...

    def shorten(self, wish: Wish, version: str, spoken_s: float, source: str, target: str) -> list[str]:
        """Versions said shorter, since it took `spoken_s`; none where the engine cannot rephrase."""
        ...


def translate(
    transcript: Transcript,
    target: str,
    engine: Translator,
    *,
    glossary: Mapping[str, str] | None = None,
    spoken_s: Callable[[str], float] | None = None,
    progress: Progress | None = None,
    batch: int = 8,
) -> tuple[Transcript, list[str]]:
    """Translate every segment; times and speakers stay.

    Args:
        transcript: with its language.
        target: language code such as "hi".
        engine: see Translator.
        glossary: term → translation.
        spoken_s: seconds a text takes to say; None: the likeliest version is taken.

    Returns:
        The translated transcript and warnings.

    Raises:
        SpeechError: the transcript has no language, or the engine does not know one of the two.
    """
    progress, glossary = progress or Silent(), glossary or {}
    if not transcript.language:
        raise SpeechError("the transcript does not say its language; give it with --from LANG")
    segments, warnings, texts = transcript.segments, list[str](), list[str]()
    wishes = [
        Wish(s.text, s.duration_s, segments[k - 1].text if k else "", occurring(glossary, s.text))
        for k, s in enumerate(segments)
    ]
    progress.start(f"translating with {engine.name}", len(wishes), "sentences")
    for first in range(0, len(wishes), batch):
        part = wishes[first : first + batch]
        found = engine.translate(part, transcript.language, target)
        for k, (wish, versions) in enumerate(zip(part, found, strict=True), start=first + 1):
            text = _choose(wish, versions, spoken_s)
            if spoken_s is not None and spoken_s(text) > COMFORTABLE * wish.slot_s:
                text = shorter(engine, wish, text, spoken_s, transcript.language, target)
            texts.append(text)
            missed = [f"{a} → {b}" for a, b in wish.terms.items() if b.casefold() not in text.casefold()]
            warnings += [f"segment {k}: the glossary's {term} is not in the translation" for term in missed]
            progress.advance(1, text[:40])
    progress.done()
    new = [replace(segment, text=text, words=()) for segment, text in zip(segments, texts, strict=True)]
    return Transcript(tuple(new), target), warnings


def _choose(wish: Wish, versions: Sequence[str], spoken_s: Callable[[str], float] | None) -> str:
    able = [version.strip() for version in versions if version.strip()]
    if not able:
        raise SpeechError(
            f"no translation came back for {wish.text[:60]!r}; edit the transcript, or use another engine"
        )
    kept = [text for text in able if all(term.casefold() in text.casefold() for term in wish.terms.values())] or able
    if spoken_s is None:
        return kept[0]
    lengths = [spoken_s(text) for text in kept]
    fits = [text for text, length in zip(kept, lengths, strict=True) if length <= COMFORTABLE * wish.slot_s]
    return fits[0] if fits else kept[lengths.index(min(lengths))]


def shorter(
    engine: Translator, wish: Wish, text: str, spoken_s: Callable[[str], float], source: str, target: str
) -> str:
    """The text said shorter until it fits, in SHORTENED tries; as it was where nothing shorter came back."""
    for _ in range(SHORTENED):
        if spoken_s(text) <= COMFORTABLE * wish.slot_s:
            break
        versions = [v.strip() for v in engine.shorten(wish, text, spoken_s(text), source, target) if v.strip()]
        best = _choose(wish, versions, spoken_s) if versions else text
        if spoken_s(best) >= spoken_s(text):
            break
        text = best
    return text


def occurring(glossary: Mapping[str, str], text: str) -> dict[str, str]:
    """The terms of a glossary that occur in a text, the longest first."""
    found = [term for term in glossary if term.casefold() in text.casefold()]
    return {term: glossary[term] for term in sorted(found, key=len, reverse=True)}


def read_glossary(path: str | Path) -> dict[str, str]:
    """A UTF-8 file with a line "term = translation" each; # begins a comment. Raises SpeechError naming the line."""
    path = Path(path)
    try:
        rows = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SpeechError(f"{path}: the glossary cannot be read as UTF-8 text: {error}") from error
    terms: dict[str, str] = {}
    for number, row in enumerate(rows, start=1):
        if not row.strip() or row.lstrip().startswith("#"):
            continue
        term, sign, translation = row.partition("=")
        if not sign or not term.strip() or not translation.strip():
            raise SpeechError(f"{path}, line {number}: found {row.strip()[:60]!r}, expected: term = translation")
        terms[term.strip()] = translation.strip()
    return terms
