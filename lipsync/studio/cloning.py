"""A person's cloned voice: their consent is asked first, then the best of their footage becomes the reference.

    PERSON/reference.wav     what is handed to the server that clones (lipsync/speech/reference.py chose it)
    PERSON/reference.json    the clips it was made of, and the state of the dataset that they are from

It is made anew when the dataset changes. A voice clones when its name says how: `openai:URL?clone=upload`.
"""

import json
from dataclasses import asdict
from pathlib import Path

from lipsync.errors import SpeechError, VoiceError
from lipsync.media import read_sound, write_wav
from lipsync.speech.reference import choose_reference
from lipsync.speech.voices import Voice, open_voice
from lipsync.studio.people import Person
from lipsync.training.clipstore import MANIFEST, read_manifest

REFERENCE = "reference.wav"


def wants_reference(voice: str) -> bool:
    """Whether a voice of that name clones."""
    return voice.startswith("openai:") and getattr(open_voice(voice), "clone", "") != ""


def open_with_reference(voice: str | Path, reference: Path | None) -> Voice:
    """A voice by name, cloning the reference where there is one. Raises VoiceError where it does not clone."""
    opened = open_voice(voice)
    if reference is None:
        return opened
    if not hasattr(opened, "cloning"):
        raise VoiceError(f"{opened.name} does not clone; a server does: openai:URL?clone=upload")
    return opened.cloning(reference)  # type: ignore[attr-defined]


def reference_for(person: Person) -> Path:
    """The WAV from which the person's voice is cloned; made of their dataset when that has changed.

    Raises:
        ConsentError: their record does not cover their voice.
        DatasetError: they have no dataset yet. SpeechError: not enough clean speech in it.
    """
    person.consent.check("voice")
    path, notes = person.folder / REFERENCE, (person.folder / REFERENCE).with_suffix(".json")
    records = read_manifest(person.dataset)
    state = str((person.dataset / MANIFEST).stat().st_mtime_ns)
    if path.is_file() and notes.is_file() and json.loads(notes.read_text(encoding="utf-8")).get("dataset") == state:
        return path
    sounds = [(r.id, read_sound(person.dataset / "clips" / f"{r.id}.wav")) for r in records]
    usable = [(name, sound) for name, sound in sounds if sound is not None]
    try:
        chosen = choose_reference(usable)
    except SpeechError as error:
        raise SpeechError(f"{person.name}: {error}") from error
    write_wav(path, chosen.sound)
    values = {"dataset": state, "seconds": chosen.sound.duration_s, "clips": [asdict(clip) for clip in chosen.clips]}
    notes.write_text(json.dumps(values, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return path
