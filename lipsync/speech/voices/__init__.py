"""Voices: `open_voice(name).speak(text)` gives sound with the times of its words and phonemes."""

from lipsync.speech.voices.base import Mark, Voice
from lipsync.speech.voices.registry import DEFAULT_VOICE, open_voice, voice_names

__all__ = ["DEFAULT_VOICE", "Mark", "Voice", "open_voice", "voice_names"]
