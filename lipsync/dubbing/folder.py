"""The working folder of a dub: each stage's result is a file that can be read, edited and resumed from.

    transcript.json, transcript.srt   what is said, when, by whom          translation.srt   what shall be said instead
    voices/0001_KEY.wav               each sentence as its voice says it   fit.json          where each one goes
    speech.wav  background.wav        the new voices; what is under them   mix.wav           what is heard
    lips.mp4                          the pictures                         stages.json       what was made from what

A stage is done again when what it is made from has changed. A file that was edited by hand is kept: what follows is
made from it. Where both happened the edit wins, and a warning says so; delete the file to have it made anew. The state
is written after a stage is finished, so a run that was killed anywhere goes on with the stage in which it died.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lipsync.errors import ConfigError
from lipsync.media.whole import write_text

STATE = "stages.json"


class WorkFolder:
    """One dub's folder. `warnings` collects what was kept against the order of stages; `made` the stages done now."""

    def __init__(self, path: Path) -> None:
        """Make the folder where it is not there. Raises ConfigError when it is something else's."""
        self.path = path
        if path.exists() and not path.is_dir():
            raise ConfigError(f"{path}: the working folder is a file; name another with --work")
        if path.is_dir() and any(path.iterdir()) and not (path / STATE).is_file():
            raise ConfigError(f"{path}: holds files, but is no dub's working folder; name an empty one with --work")
        (path / "voices").mkdir(parents=True, exist_ok=True)
        self._state: dict[str, Any] = self._read()
        self._write()
        self.warnings: list[str] = []
        self.made: list[str] = []

    def __getitem__(self, name: str) -> Path:
        return self.path / name

    def stage(self, name: str, inputs: Any, files: Sequence[str], make: Callable[[], None]) -> bool:
        """Do a stage unless its files are there and made from the same.

        Args:
            name: of the stage.
            inputs: all that it depends on, as plain values; files by `content`.
            files: what it leaves, relative to the folder; the first may be edited.
            make: writes them.

        Returns:
            Whether it was done now.
        """
        key, there = digest(inputs), all((self.path / file).is_file() for file in files)
        known = self._state.get(name)
        if there and known and known["key"] == key:
            return False
        main = self.path / files[0]
        if main.is_file() and (known is None or content(main) != known["hash"]):
            self.warnings.append(f"{main.name} was edited by hand and is kept; delete it to have it made anew")
            self._remember(name, key, known["hash"] if known else "")
            return False
        make()
        self.made.append(name)
        self._remember(name, key, content(main))
        return True

    def note(self, name: str, values: Any) -> None:
        """Remember plain values under a name of the caller's."""
        self._state[name] = values
        self._write()

    def noted(self, name: str) -> Any:
        """What `note` remembered; None when nothing."""
        return self._state.get(name)

    def _remember(self, name: str, key: str, hash_: str) -> None:
        self._state[name] = {"key": key, "hash": hash_}
        self._write()

    def _read(self) -> dict[str, Any]:
        path = self.path / STATE
        if not path.is_file():
            return {}
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except ValueError as error:
            raise ConfigError(
                f"{path}: damaged ({error}); delete it to begin anew with the files as they are"
            ) from error

    def _write(self) -> None:
        write_json(self.path / STATE, self._state)


def write_json(path: Path, values: Any) -> None:
    """Write plain values, whole or not at all."""
    write_text(path, json.dumps(values, ensure_ascii=False, indent=1))


def digest(values: Any) -> str:
    """A hash of plain values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]


def content(path: Path) -> str:
    """A hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
