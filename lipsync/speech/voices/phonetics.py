"""IPA as espeak-ng writes phonemes in text: `[[n@v'A:d@]]` for nəˈvɑːdə. Longest symbols first; the rest is refused.

A language that lacks a phoneme gets the nearest that it has (a Spanish voice says ɑː as a): the engine itself would
stop in the middle of the word.

Source: espeak-ng, docs/phonemes.md (the ASCII form is Kirshenbaum's with changes).
"""

from collections.abc import Callable

from lipsync.errors import SpeechError

_SYMBOLS = {
    **{"ˈ": "'", "ˌ": ",", "ː": ":", ".": "", "‿": "", "\u0361": "", " ": "||"},
    **{"tʃ": "tS", "dʒ": "dZ", "t͡ʃ": "tS", "d͡ʒ": "dZ", "ts": "ts", "aɪ": "aI", "eɪ": "eI", "ɔɪ": "OI", "aʊ": "aU"},
    **{"əʊ": "oU", "oʊ": "oU", "ɛə": "e@", "eə": "e@", "ɪə": "i@", "ʊə": "U@", "ɜː": "3:", "ɚ": "3", "ɝ": "3:"},
    **{"iː": "i:", "uː": "u:", "ɑː": "A:", "ɔː": "O:", "æ": "a", "ʌ": "V", "ə": "@", "ɐ": "a#", "ɛ": "E", "ɪ": "I"},
    **{"ɔ": "O", "ɒ": "0", "ʊ": "U", "ɑ": "A:", "ɜ": "3:", "ø": "Y", "œ": "W", "ʏ": "y", "ɨ": "i", "ɯ": "u"},
    **{"ʃ": "S", "ʒ": "Z", "θ": "T", "ð": "D", "ŋ": "N", "ɹ": "r", "ɾ": "*", "ʁ": "r", "ɡ": "g", "ɲ": "n^", "ʎ": "l^"},
    **{"ç": "C", "ɣ": "Q", "β": "B", "ɸ": "F", "χ": "x", "ʔ": "?", "ɬ": "l", "ʋ": "v", "ɦ": "h", "ɭ": "l", "ɳ": "n"},
    **{"ʈ": "t.", "ɖ": "d.", "ʂ": "s.", "ʐ": "z.", "ʰ": "h", "ʲ": ";", "ɫ": "l", "\u0329": "", "\u032a": ""},
    **{letter: letter for letter in "abdefhijklmnoprstuvwxyzg"},
}
_NEAREST = {
    **{"aI": ("ai",), "eI": ("ei", "e"), "OI": ("oi",), "aU": ("au",), "oU": ("ou", "o"), "e@": ("E", "e")},
    **{"i@": ("i",), "U@": ("u",), "3:": ("@:", "@", "E", "e"), "3": ("@", "E", "e"), "A:": ("A", "a:", "a")},
    **{"i:": ("i",), "u:": ("u",), "O:": ("O", "o:", "o"), "E": ("e",), "I": ("i",), "O": ("o",), "U": ("u",)},
    **{"0": ("O", "o"), "V": ("a",), "@": ("e", "E"), "a#": ("@", "a"), "Y": ("W", "e"), "W": ("Y", "e"), "y": ("i",)},
    **{"T": ("s",), "D": ("z", "d"), "Q": ("g",), "C": ("S",), "Z": ("S", "z"), "S": ("s",), "N": ("n",)},
    **{"n^": ("n",), "l^": ("l",), "*": ("r",), "B": ("b",), "F": ("f",), "x": ("h",), "?": ("",), "t.": ("t",)},
    **{"d.": ("d",), "s.": ("S", "s"), "z.": ("Z", "z"), ";": ("",), "h": ("x", ""), "z": ("s",), "w": ("u",)},
    **{"tS": ("S",), "dZ": ("Z", "tS"), "v": ("f",), "a": ("a:", "A:"), "e": ("E", "e:"), "o": ("O", "o:")},
}
_NOT_PHONEMES = ("", "'", ",", ":", "||")
_LONGEST = max(map(len, _SYMBOLS))


def to_mnemonics(ipa: str, has: Callable[[str], bool] | None = None) -> str:
    """The phonemes of an IPA text, as espeak-ng reads them between [[ and ]].

    Args:
        has: whether the voice has a phoneme; None: it has all.

    Raises:
        SpeechError: a symbol is none that the engine has; shows it.
    """
    text, out, at = ipa.strip().strip("/[]"), "", 0
    while at < len(text):
        for length in range(min(_LONGEST, len(text) - at), 0, -1):
            if (symbol := text[at : at + length]) in _SYMBOLS:
                out += _known(_SYMBOLS[symbol], has)
                at += length
                break
        else:
            raise SpeechError(f"{text[at]!r} in {ipa!r} is no IPA symbol that can be said; write such as nəˈvɑːdə")
    return out


def _known(mnemonic: str, has: Callable[[str], bool] | None) -> str:
    """A phoneme that the voice has: the same, or the nearest."""
    if has is None or mnemonic in _NOT_PHONEMES:
        return mnemonic
    return next((one for one in (mnemonic, *_NEAREST.get(mnemonic, ())) if not one or has(one)), mnemonic)
