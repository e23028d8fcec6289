"""Who is in the footage and by what right it is used: a CSV with the columns file,person,language,rights,source.

`file` is a name or the end of a path ("interview.mp4", "day2/interview.mp4"); the longest that fits wins.
"""

import csv
from collections.abc import Mapping
from pathlib import Path

from lipsync.errors import DatasetError

Labels = Mapping[str, Mapping[str, str]]
COLUMNS = ("person", "language", "rights", "source")


def read_labels(path: Path) -> dict[str, dict[str, str]]:
    """The rows of a label file by `file`.

    Raises:
        DatasetError: missing, not text, no `file` column, or one file named twice; says the line.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read as a CSV of labels ({error})") from error
    rows = csv.DictReader(lines)
    if "file" not in (rows.fieldnames or []):
        raise DatasetError(f"{path}:1: expected a column 'file', found {', '.join(rows.fieldnames or []) or 'nothing'}")
    labels: dict[str, dict[str, str]] = {}
    for row in rows:
        name = (row["file"] or "").strip()
        if name in labels:
            raise DatasetError(f"{path}:{rows.line_num}: {name} is named a second time; keep one line")
        labels[name] = {column: (row.get(column) or "").strip() for column in COLUMNS}
    return labels


def label_of(path: Path, labels: Labels) -> Mapping[str, str]:
    """The label of a file: that of the longest ending of its path which is named; {} when none is."""
    parts = Path(path).parts
    for depth in range(len(parts), 0, -1):
        found = labels.get("/".join(parts[-depth:]))
        if found is not None:
            return found
    return {}
