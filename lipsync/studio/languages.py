"""Languages by name, and the voices that speak them: what the app offers to choose from."""

LANGUAGES = {  # the most spoken of the voices' languages
    "ar": "Arabic",
    "bn": "Bengali",
    "cmn": "Chinese",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "fa": "Persian",
    "fi": "Finnish",
    "fr": "French",
    "he": "Hebrew",
    "hi": "Hindi",
    "id": "Indonesian",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "nl": "Dutch",
    "pl": "Polish",
    "pt": "Portuguese",
    "ru": "Russian",
    "sv": "Swedish",
    "ta": "Tamil",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "ur": "Urdu",
    "vi": "Vietnamese",
}


def voices() -> list[tuple[str, str]]:
    """(label, name) of every voice that speaks text, the usual one first, then those with a written-out language."""
    from lipsync.speech.voices import DEFAULT_VOICE, voice_names

    labelled = [(LANGUAGES.get(name.partition(":")[2], ""), name) for name in voice_names()]
    labelled.sort(key=lambda row: (row[1] != DEFAULT_VOICE, not row[0], row[0], row[1]))
    return [(f"{language} ({name})" if language else name, name) for language, name in labelled]


def languages() -> list[tuple[str, str]]:
    """(name, code) of every language that has a voice: the most spoken by name, then the others by their code."""
    from lipsync.speech.voices import voice_names

    codes = {name.removeprefix("espeak:") for name in voice_names() if name.startswith("espeak:")}
    return sorted(((LANGUAGES.get(c, c), c) for c in codes), key=lambda row: (row[1] not in LANGUAGES, row[0]))
