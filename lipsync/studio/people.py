"""People: one folder each, with consent record, footage, dataset, adapter and voice.

    HOME/                       $LIPSYNC_HOME, else ./people
      anna-1f0c9a2b/            the name made safe for any file system, and the start of its SHA-256
        person.json             name, created, voice, template
        consent.json            see lipsync/consent.py; a person does not exist without one
        footage/ recordings/    the creator's own files, copied in
        dataset/                what `prepare` made of the footage
        adapter.safetensors     what `finetune` made of the dataset

Two spellings that differ only in case or in Unicode form are one person. Nothing of a name ever becomes a path.
"""

import dataclasses
import hashlib
import json
import os
import secrets
import shutil
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lipsync.config import from_mapping
from lipsync.consent import Consent, read_consent
from lipsync.errors import ConfigError, ConsentError, PersonError
from lipsync.media.whole import write_text

PERSON, CONSENT, ADAPTER = "person.json", "consent.json", "adapter.safetensors"
FOOTAGE, RECORDINGS, DATASET = "footage", "recordings", "dataset"
MOST_NAME_CHARACTERS = 100
MOST_SLUG_BYTES = 60


@dataclass(frozen=True)
class Person:
    """`voice`: what `open_voice` takes, or a file in recordings/. `template`: a file in footage/; "" the first one."""

    folder: Path
    name: str
    created: str
    consent: Consent
    voice: str = ""
    template: str = ""

    @property
    def dataset(self) -> Path:
        """The dataset folder, whether it is there yet or not."""
        return self.folder / DATASET

    @property
    def adapter(self) -> Path:
        """The adapter file, whether it is there yet or not."""
        return self.folder / ADAPTER

    @property
    def footage_folder(self) -> Path:
        """Where the footage lies."""
        return self.folder / FOOTAGE

    def footage(self) -> list[Path]:
        """The footage files, by name; not the notes on where they came from."""
        return [path for path in _files(self.footage_folder) if path.suffix != ".json"]

    def recordings(self) -> list[Path]:
        """Recorded speech brought for this person, by name."""
        return _files(self.folder / RECORDINGS)

    def template_path(self) -> Path:
        """The footage whose head and body is shown. Raises PersonError when there is no footage."""
        footage = self.footage()
        chosen = [path for path in footage if path.name == self.template] or footage
        if not chosen:
            raise PersonError(f"{self.name} has no footage; bring a video or a photo of them first")
        return chosen[0]


@dataclass(frozen=True)
class Roster:
    """Everybody in a home folder, and a line for each folder in it that cannot be read as a person."""

    people: list[Person]
    broken: list[str]


def home_folder() -> Path:
    """Where people live: $LIPSYNC_HOME, else ./people."""
    return Path(os.environ.get("LIPSYNC_HOME") or "people").absolute()


def folder_name(name: str) -> str:
    """A folder name for any name: letters, digits and marks of any script, then eight digits of its hash.

    Raises:
        PersonError: the name is empty, too long, or holds nothing but signs.
    """
    plain = unicodedata.normalize("NFKC", name).strip().casefold()
    if not any(unicodedata.category(c)[0] in "LN" for c in plain):
        raise PersonError(f"{name!r} is no name: expected a letter or a digit in it")
    if len(plain) > MOST_NAME_CHARACTERS:
        raise PersonError(f"the name has {len(plain)} characters; at most {MOST_NAME_CHARACTERS} are taken")
    kept = "".join(c if unicodedata.category(c)[0] in "LNM" else "-" for c in plain)
    slug = "-".join(part for part in kept.split("-") if part)
    slug = slug.encode()[:MOST_SLUG_BYTES].decode(errors="ignore")
    return f"{slug}-{hashlib.sha256(plain.encode()).hexdigest()[:8]}"


def create_person(name: str, consent: Consent, home: Path | None = None) -> Person:
    """A new person. Raises PersonError when there is one of that name."""
    home = home or home_folder()
    folder = home / folder_name(name)
    if folder.exists():
        raise PersonError(f"there already is a person called {name}; choose another name or delete that one first")
    created = datetime.now(UTC).isoformat(timespec="seconds")
    person = Person(folder, unicodedata.normalize("NFC", name).strip(), created, consent)
    home.mkdir(parents=True, exist_ok=True)
    part = home / f".new-{secrets.token_hex(4)}"
    for inner in (FOOTAGE, RECORDINGS):
        (part / inner).mkdir(parents=True)
    _write_json(part / CONSENT, consent.to_json())
    _write_json(part / PERSON, _values(person))
    part.rename(folder)
    return person


def find_person(name: str, home: Path | None = None) -> Person:
    """The person of that name. Raises PersonError that names the known ones."""
    home = home or home_folder()
    folder = home / folder_name(name)
    if not (folder / PERSON).is_file():
        known = ", ".join(person.name for person in list_people(home).people) or "nobody yet"
        raise PersonError(f"there is no person called {name!r}; known: {known}. Make one with: lipsync people add NAME")
    return read_person(folder)


def read_person(folder: Path) -> Person:
    """The person in a folder. Raises PersonError or ConsentError naming the file."""
    path = folder / PERSON
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, Mapping) or not isinstance(values.get("name"), str):
            raise PersonError(f"{path}: expected an object with a name")
        return from_mapping(Person, {**values, "folder": folder, "consent": read_consent(folder / CONSENT)}, str(path))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, ConfigError, TypeError) as error:
        raise PersonError(f"{path}: not a person's record ({error})") from error


def list_people(home: Path | None = None) -> Roster:
    """Everybody, by name."""
    home = home or home_folder()
    people, broken = [], []
    for folder in sorted(home.iterdir()) if home.is_dir() else []:
        if folder.is_dir() and not folder.name.startswith("."):
            try:
                people.append(read_person(folder))
            except (PersonError, ConsentError) as error:
                broken.append(str(error))
    return Roster(sorted(people, key=lambda person: person.name.casefold()), broken)


def change_person(person: Person, **changes: str) -> Person:
    """Set voice or template. Raises PersonError when the template is none of their footage."""
    changed = dataclasses.replace(person, **changes)  # type: ignore[arg-type]
    if changed.template and changed.template not in [path.name for path in changed.footage()]:
        raise PersonError(f"{person.name} has no footage called {changed.template!r}")
    _write_json(person.folder / PERSON, _values(changed))
    return changed


def delete_person(person: Person) -> None:
    """Remove the folder and all in it: gone from the list in one step, then from the disk."""
    doomed = person.folder.with_name(f".deleted-{secrets.token_hex(4)}")
    person.folder.rename(doomed)
    shutil.rmtree(doomed)


def add_file(person: Person, path: Path, kind: str = FOOTAGE) -> Path:
    """Copy a file into footage/ or recordings/; the same content under the same name is kept once.

    Raises:
        PersonError: no such file.
    """
    if not path.is_file():
        raise PersonError(f"{path}: no such file")
    folder = person.folder / kind
    folder.mkdir(exist_ok=True)
    stem = "".join(c if unicodedata.category(c)[0] in "LNM" or c in "._ " else "-" for c in path.stem)
    stem = stem.encode()[:MOST_SLUG_BYTES].decode(errors="ignore").strip(" .") or "file"
    target, number = folder / f"{stem}{path.suffix.lower()}", 1
    while target.exists():
        if target.stat().st_size == path.stat().st_size and _hash(target) == _hash(path):
            return target
        number += 1
        target = folder / f"{stem} {number}{path.suffix.lower()}"
    part = folder / f".{secrets.token_hex(4)}.part"
    try:
        shutil.copyfile(path, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")) if folder.is_dir() else []


def _values(person: Person) -> dict[str, Any]:
    kept = ("name", "created", "voice", "template")
    return {name: getattr(person, name) for name in kept}


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(values, ensure_ascii=False, indent=2) + "\n")
