"""The consent record: who agreed to be learned and shown speaking, what it covers, in which words, noted by whom.

No person is learned and no adapter renders without one. The record travels inside the adapter; its digest is the
SHA-256 of its canonical JSON (sorted keys, no spaces), so a changed word is a changed digest.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lipsync.config import from_mapping
from lipsync.errors import ConfigError, ConsentError

USES = ("video", "voice")
STATEMENT = (
    "I, {subject}, agree that footage of me is used to make videos in which I am shown speaking words I did not say. "
    "I can withdraw this at any time."
)


@dataclass(frozen=True)
class Consent:
    """One person's agreement. `covers` names the uses: "video" (their face speaks), "voice" (their voice is used).

    `date` is ISO 8601. `how` says in what form it was given (signed paper, e-mail, in person, …).
    """

    subject: str
    recorded_by: str
    date: str
    statement: str
    covers: tuple[str, ...] = ("video",)
    how: str = ""

    def __post_init__(self) -> None:
        """Raises ConsentError when a part is empty, the date is none, or a use is unknown."""
        for name in ("subject", "recorded_by", "statement"):
            if not getattr(self, name).strip():
                raise ConsentError(f"the consent record has no {name.replace('_', ' ')}; fill it in")
        try:
            datetime.fromisoformat(self.date)
        except ValueError as error:
            raise ConsentError(f"the consent record's date {self.date!r} is none; write it as 2026-01-31") from error
        unknown = [use for use in self.covers if use not in USES]
        if unknown or not self.covers:
            found = ", ".join(map(repr, unknown)) or "nothing"
            raise ConsentError(f"the consent record covers {found}; it can cover: {', '.join(USES)}")

    @property
    def digest(self) -> str:
        """SHA-256 of the record, in hex."""
        text = json.dumps(self.to_json(), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def check(self, use: str) -> None:
        """Raises ConsentError when the record does not cover `use`."""
        if use not in self.covers:
            raise ConsentError(
                f"the consent of {self.subject} covers {', '.join(self.covers)}, not {use}; ask them, and record it"
            )

    def to_json(self) -> dict[str, Any]:
        """The record as plain values; `from_json` turns them back."""
        return dataclasses.asdict(self) | {"covers": list(self.covers)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any] | None, where: str = "consent record") -> "Consent":
        """Raises ConsentError when there is none, or a field is missing, unknown or of the wrong type; says where."""
        if not isinstance(values, Mapping) or not values:
            raise ConsentError(f"{where}: there is no consent record; nobody is learned or shown without one")
        lists = values.get("covers", ["video"])
        if not isinstance(lists, list | tuple) or not all(isinstance(use, str) for use in lists):
            raise ConsentError(f"{where}: covers must be a list out of: {', '.join(USES)}")
        try:
            return from_mapping(cls, values, where)
        except (ConfigError, TypeError) as error:
            raise ConsentError(f"{where}: not a whole consent record ({error})") from error


def record_consent(
    subject: str,
    recorded_by: str,
    statement: str = "",
    covers: tuple[str, ...] = ("video",),
    how: str = "",
) -> Consent:
    """A record made now. Without a statement the usual one is taken. Raises ConsentError: see Consent."""
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return Consent(subject, recorded_by, date, statement or STATEMENT.format(subject=subject), covers, how)


def read_consent(path: Path) -> Consent:
    """The record in a JSON file. Raises ConsentError naming the file."""
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ConsentError(f"{path}: no consent record can be read there ({error})") from error
    return Consent.from_json(values, str(path))
