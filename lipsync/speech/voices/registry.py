"""Voices by name: "espeak:hi+f3", "kokoro:af_heart", "openai:http://HOST/v1#VOICE", or the path of a recording."""

from pathlib import Path

from lipsync.errors import VoiceError
from lipsync.speech.voices.base import Voice
from lipsync.speech.voices.espeak import EspeakVoice
from lipsync.speech.voices.espeak_library import languages

DEFAULT_VOICE = "espeak:en"


def voice_names() -> list[str]:
    """Every voice that speaks without a recording, one per language. Any may be followed by a variant such as "+f3"."""
    return [f"espeak:{language}" for language in languages()]


def open_voice(name: str | Path = DEFAULT_VOICE, language: str = "") -> Voice:
    """A voice by name.

    Args:
        name: "espeak:LANGUAGE[+VARIANT]", "kokoro:VOICE", "openai:URL[?settings]#VOICE", or the path of a
            media file with speech.
        language: what it shall speak, such as "hi", where the name does not say it or says another.

    Raises:
        VoiceError: the name is neither; it names the near ones, and says how a missing engine is installed.
    """
    voice = _open(str(name))
    return voice.in_language(language) if language and language != voice.language else voice


def _open(text: str) -> Voice:
    engine_name, colon, rest = text.partition(":")
    if colon and engine_name == "espeak":
        return EspeakVoice(rest)
    if colon and engine_name == "openai":
        from lipsync.speech.voices.server import open_server

        return open_server(rest)
    if colon and engine_name == "kokoro":
        from lipsync.speech.voices.kokoro import open_kokoro

        return open_kokoro(rest)
    if Path(text).is_file():
        from lipsync.speech.voices.recorded import RecordedVoice

        return RecordedVoice(Path(text))
    hint = "no such file" if Path(text).suffix or "/" in text else "no such voice"
    raise VoiceError(
        f'{text!r}: {hint}; give "espeak:" and a language such as "espeak:en", or '
        '"openai:" and a server\'s address such as "openai:http://127.0.0.1:8880/v1#af_heart", or a sound or video file'
    )
