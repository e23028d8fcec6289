"""Where sentences end, in any script; joined again, the parts are the text.

Sentences end at . ! ? … and their kin: । ॥ (Devanagari and its neighbours), 。！？ (Chinese, Japanese), ؟ ۔ (Arabic,
Urdu), ։ (Armenian), ። (Ethiopic), ။ (Burmese), ។ (Khmer), ། (Tibetan); at a line's end; never after an abbreviation or
an initial. What is longer than MOST_CHARACTERS is cut at a comma or its kin, else at a space (where Thai ends its
sentences), else between two characters, never before a mark that sits on the one before.
"""

import re
import unicodedata
from itertools import pairwise

MOST_CHARACTERS = 300
LEAST_SHARE = 0.4  # of MOST_CHARACTERS: a part cut from a long sentence is at least so long

_ENDS_ANYWHERE = "।॥。！？｡؟۔።፧။៕។༎‽"  # no space need follow
_ENDS_BEFORE_SPACE = ".!?…։།"
_CLOSERS = "\"'”’»›」』】）)"
_END = re.compile(
    rf"(?:[{_ENDS_ANYWHERE}][{_ENDS_ANYWHERE}{_ENDS_BEFORE_SPACE}]*[{_CLOSERS}]*\s*"
    rf"|[{_ENDS_BEFORE_SPACE}]+[{_CLOSERS}]*(?:\s+|$)"
    r"|\n\s*)"
)
_CLAUSE = re.compile(r"[,;:](?=\s)\s*|[，、；：،؛၊፣፤]\s*|\s[—–-]\s")
_SPACE = re.compile(r"\s+")
_ABBREVIATIONS = frozenset(
    {
        *("mr", "mrs", "ms", "dr", "prof", "st", "vs", "approx", "capt", "rev", "e.g", "i.e", "cf"),
        *("z.b", "bzw", "d.h", "u.a", "ca", "evtl", "ggf", "inkl", "hr", "fr"),
        *("sr", "sra", "srta", "dra", "jr", "ud", "uds", "ee", "mme", "mlle", "sig", "sigg", "dott", "ing"),
        *("bijv", "dhr", "mevr", "bl.a", "np", "tzn", "т.е", "ул", "डॉ", "श्री", "प्रो", "د", "أ"),
    }
)
_BEFORE_NUMBER = frozenset({"no", "nr", "nos", "fig", "vol", "p", "pp", "ch", "art", "núm", "pág", "стр", "रु", "rs"})
_MONTHS = (
    "jan",
    "feb",
    "mär",
    "mar",
    "apr",
    "mai",
    "maj",
    "jun",
    "jul",
    "aug",
    "sep",
    "okt",
    "oct",
    "nov",
    "dez",
    "dec",
)


def split_sentences(text: str) -> list[str]:
    """Sentences with the space after them: joined they are `text` again. None is empty."""
    ends = [match.end() for match in _END.finditer(text) if _ends_sentence(text, match)]
    edges = sorted({0, *ends, len(text)})
    return [text[first:last] for first, last in pairwise(edges)]


def _ends_sentence(text: str, match: re.Match[str]) -> bool:
    """Whether the mark found ends a sentence: not before a small letter, nor after "Dr." or an initial."""
    mark = match[0].rstrip()
    if "\n" in match[0] or mark[0] in _ENDS_ANYWHERE:
        return True
    following = text[match.end() : match.end() + 1]
    if following.islower():
        return False
    words = text[max(0, match.start() - 20) : match.start()].split()
    before = words[-1].lstrip("(\"'“‘«¿¡") if words else ""
    is_initial = len(before) == 1 and before.isupper()
    short = before.lower()
    is_numbered = following.isdecimal() and (short in _BEFORE_NUMBER or short[:3] in _MONTHS)
    is_date = before.isdecimal() and text[match.end() : match.end() + 3].lower() in _MONTHS  # "am 5. Mai"
    return mark != "." or not (is_initial or short in _ABBREVIATIONS or is_numbered or is_date)


def split_long(text: str, most: int = MOST_CHARACTERS) -> list[str]:
    """A sentence in parts of at most `most` characters (see the top); joined they are `text` again. None is empty."""
    parts = []
    while len(text) > most:
        at = _last_break(text, most)
        parts.append(text[:at])
        text = text[at:]
    return [*parts, text] if text else parts


def _last_break(text: str, most: int) -> int:
    """The best place to cut within the first `most` characters, at least 1."""
    least = max(1, round(LEAST_SHARE * most))
    for breaks in (_CLAUSE, _SPACE):
        found = [match.end() for match in breaks.finditer(text, 0, most) if least <= match.end() <= most]
        if found:
            return found[-1]
    at = most
    while at > 1 and _joins(text[at - 1], text[at]):
        at -= 1
    return at if at > 1 or most == 1 else most


def _joins(before: str, after: str) -> bool:
    """Whether two characters belong together: a mark on a letter, a joiner, a Thai vowel before its consonant."""
    return unicodedata.category(after)[0] == "M" or "\u200d" in (before, after) or before in "เแโใไ"
