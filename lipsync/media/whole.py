"""An output file appears only when it is whole: write under a temporary name beside it, rename on success."""

import os
import secrets
from pathlib import Path

from lipsync.errors import MediaError


class WholeFile:
    """The temporary path of a file being written.

    `keep()` puts it in the target's place in one step, `drop()` removes it; dropping after keeping does nothing.
    """

    def __init__(self, target: str | Path) -> None:
        """Raises MediaError when the target's folder does not exist or the target is a folder."""
        self.target = Path(target).absolute()
        if not self.target.parent.is_dir():
            raise MediaError(f"{self.target}: its folder does not exist; create it first")
        if self.target.is_dir():
            raise MediaError(f"{self.target}: is a folder, where a file name was expected")
        self.part = self.target.with_name(f".{self.target.stem[:100]}.{secrets.token_hex(4)}.part{self.target.suffix}")

    def keep(self) -> None:
        """Rename the finished file to the target, replacing what was there."""
        os.replace(self.part, self.target)

    def drop(self) -> None:
        """Remove what was written so far."""
        self.part.unlink(missing_ok=True)


def write_text(target: str | Path, text: str) -> None:
    """Write a small text file, whole or not at all. Raises MediaError when it cannot be there."""
    file = WholeFile(target)
    try:
        file.part.write_text(text, encoding="utf-8")
        file.keep()
    finally:
        file.drop()
