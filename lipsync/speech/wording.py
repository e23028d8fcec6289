"""What is written and how it is said: "$5" → "5 dollars", "z. B." → "zum Beispiel", "in 1999" → "in nineteen 99".

The embedded voice reads numbers itself, in every language, and most abbreviations; this is what it was found to read
wrong (money before its number, units, percent outside the Latin languages, years, ranges, dates, abbreviations, digits
of other scripts). The rules of a language are rows of wording_tables.py. Every character of the result knows which
character of the text it came from, so that words keep the times of what was written.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from lipsync.speech.wording_tables import (
    ABBREVIATIONS,
    CURRENCIES,
    MONTHS,
    PERCENT,
    RANGES,
    SCALES,
    UNITS,
    YEAR_AFTER,
    german_ordinal,
    thai_number,
)

_NUMBER = r"\d+(?:[.,\u00a0\u202f]\d+)*"
_HAN_DIGITS = "零一二三四五六七八九"


@dataclass(frozen=True)
class Wording:
    """A text as it is said; `origin[i]`: the written character that character i came from, and one more at its end."""

    text: str
    origin: tuple[int, ...]

    @classmethod
    def plain(cls, text: str) -> "Wording":
        """The text as it is."""
        return cls(text, tuple(range(len(text) + 1)))

    def replaced(self, pattern: re.Pattern[str], make: Callable[[re.Match[str]], str | None]) -> "Wording":
        """With every match replaced by what `make` gives; None leaves one as it is."""
        out, origin, at = [], list[int](), 0
        for match in pattern.finditer(self.text):
            new = make(match)
            if new is None or new == match[0]:
                continue
            out += [self.text[at : match.start()], new]
            origin += [*self.origin[at : match.start()], *[self.origin[match.start()]] * len(new)]
            at = match.end()
        if not out:
            return self
        return Wording("".join(out) + self.text[at:], (*origin, *self.origin[at:]))


def spoken_form(text: str, language: str) -> Wording:
    """A text as a voice shall say it.

    Args:
        language: such as "en" or "pt-br"; one without rules has only the digits of its script changed.
    """
    wording = Wording.plain(text).replaced(_DIGITS, lambda m: str(unicodedata.decimal(m[0])))
    for pattern, make in _rules(language.lower().split("-")[0]):
        wording = wording.replaced(pattern, make)
    return wording


_DIGITS = re.compile(r"(?![0-9])\d")
_Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], str | None]]


@cache
def _rules(language: str) -> list[_Rule]:
    """The rules of a language, in the order in which they apply."""
    makers = (_abbreviations, _money, _percent, _units, _years, _dates, _ranges, _digits)
    return [rule for make in makers for rule in make(language)]


def _abbreviations(language: str) -> list[_Rule]:
    table = ABBREVIATIONS.get(language, {})
    rules = []
    for written, said in sorted(table.items(), key=lambda row: -len(row[0])):
        before_number = written.endswith("#")  # only before a number
        body = re.escape(written.removesuffix("#").strip()).replace(r"\ ", r"[\s\u00a0]?")
        end = r"(?=\s*\d)" if before_number else r"(?=\W|$)" if written.endswith(".") else r"(?!\w)"
        rules.append((re.compile(rf"(?<![\w.]){body}{end}"), lambda _, said=said: said))
    return rules


def _form(number: str, forms: tuple[str, ...]) -> str:
    """One, few or many: the last of `forms` is many, of three the second is few (2–4 in Slavic languages)."""
    if len(forms) == 1 or not number.isdecimal():
        return forms[min(1, len(forms) - 1)]
    value = int(number)
    if len(forms) == 2:
        return forms[value != 1]
    if value % 10 == 1 and value % 100 != 11:
        return forms[0]
    return forms[1] if 2 <= value % 10 <= 4 and not 12 <= value % 100 <= 14 else forms[2]


def _money(language: str) -> list[_Rule]:
    table = {sign: tuple(names.split("|")) for sign, names in CURRENCIES.get(language, {}).items()}
    if not table:
        return []
    signs = "|".join(re.escape(sign) for sign in sorted(table, key=len, reverse=True))
    scale = "|".join(SCALES.get(language, ())) or "(?!)"
    before = rf"(?P<before>{signs})\s?(?P<a>{_NUMBER})(?P<as>\s(?:{scale})\b)?"
    after = rf"(?P<b>{_NUMBER})(?P<bs>\s(?:{scale}))?\s?(?P<after>{signs})"

    def make(match: re.Match[str]) -> str:
        number, scaled = match["a"] or match["b"], match["as"] or match["bs"] or ""
        forms = table[match["before"] or match["after"]]
        name = _form("2" if scaled else number, forms)
        cents = re.fullmatch(r"(\d+)[.,](\d\d)", number)
        if cents and not scaled and language not in ("cmn", "ja", "ko"):
            return (
                f"{cents[1]} {_form(cents[1], table[match['before'] or match['after']])} {int(cents[2]) or ''}".rstrip()
            )
        return f"{number}{scaled}{'' if language in ('cmn', 'ja') else ' '}{name}"

    return [(re.compile(f"{before}|{after}"), make)]


def _percent(language: str) -> list[_Rule]:
    said = PERCENT.get(language)
    if not said:
        return []
    forms = tuple(said.split("|"))
    return [(re.compile(rf"({_NUMBER})\s?[%٪]"), lambda m: _form(m[1], forms).replace("#", m[1]))]


def _units(language: str) -> list[_Rule]:
    rules = []
    for unit, names in UNITS.get(language, {}).items():
        forms = tuple(names.split("|"))
        pattern = re.compile(rf"({_NUMBER})[\s\u00a0]?{re.escape(unit)}(?![\w/²³])")
        rules.append((pattern, lambda m, forms=forms: f"{m[1]} {_form(m[1], forms)}"))
    return rules


def _years(language: str) -> list[_Rule]:
    if language == "cmn":
        return [(re.compile(r"(\d{4})(?=年)"), lambda m: "".join(_HAN_DIGITS[int(c)] for c in m[1]))]
    if language == "hi":
        return [
            (
                re.compile(r"(?<!\d)(1[1-9])(\d\d)(?=\s(?:में|से|तक|ई|की|के|का))"),
                lambda m: f"{m[1]} सौ {int(m[2]) or ''}".rstrip(),
            )
        ]
    if language not in YEAR_AFTER:
        return []
    lead = "|".join([*YEAR_AFTER[language], *MONTHS.get(language, ())])
    pattern = (
        rf"(?i:\b(?P<lead>(?:{lead})\.?(?:\s\d{{1,2}},)?\s))(?P<c>1[1-9]|20)(?P<y>\d\d)(?![\w%]|[.,]\d|\s?[-–/:]\d)"
    )
    say = _english_year if language == "en" else _german_year
    return [
        (re.compile(pattern), lambda m: None if (said := say(int(m["c"]), int(m["y"]))) is None else m["lead"] + said)
    ]


def _english_year(century: int, year: int) -> str | None:
    if century == 20 and year < 10:
        return None
    return f"{century} " + ("hundred" if year == 0 else f"oh {year}" if year < 10 else str(year))


def _german_year(century: int, year: int) -> str | None:
    return None if century == 20 else f"{century} hundert {year or ''}".rstrip()


def _dates(language: str) -> list[_Rule]:
    if language != "de":
        return []
    months = "|".join(MONTHS["de"])
    pattern = rf"(?:\b(?P<to>(?i:am|vom|zum|dem|den|bis|ab|seit))\s)?\b(?P<day>[12]?\d|3[01])\.\s?(?P<month>{months})\b"

    def make(match: re.Match[str]) -> str:
        ending = "n" if match["to"] else "r"
        return f"{match['to'] + ' ' if match['to'] else ''}{german_ordinal(int(match['day']))}{ending} {match['month']}"

    clock = re.compile(r"\b(\d{1,2}):(\d\d)\sUhr\b")
    return [(re.compile(pattern), make), (clock, lambda m: f"{m[1]} Uhr {int(m[2]) or ''}".rstrip())]


def _ranges(language: str) -> list[_Rule]:
    word = RANGES.get(language)
    if not word:
        return []

    def make(match: re.Match[str]) -> str | None:
        low, high = match[1], match[2]
        is_phone = len(low) == 3 and len(high) == 4
        return None if is_phone or int(low) >= int(high) else f"{low} {word} {high}"

    return [(re.compile(r"(?<![\w.,:/–-])(\d{1,4})\s?[-–]\s?(\d{1,4})(?![\d:/–-]|[.,]\d)"), make)]


def _digits(language: str) -> list[_Rule]:
    return [(re.compile(r"(?<![\d.,])\d{1,12}(?![.,]?\d)"), lambda m: thai_number(m[0]))] if language == "th" else []
