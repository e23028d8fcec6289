"""Who is in the footage and by what right it is used: a CSV with the columns file,person,language,rights,source.

`file` is a name or the end of a path ("interview.mp4", "day2/interview.mp4"), or a folder that the file lies in; the
longest that fits wins, and a file before a folder. What no label says of a downloaded file, its own record of its
origin does (download.py).
"""

import csv
import json
from collections.abc import Mapping
from pathlib import Path

from lipsync.errors import DatasetError

Labels = Mapping[str, Mapping[str, str]]
COLUMNS = ("person", "language", "rights", "source")
SIDECAR = ".source.json"


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
    """What is known of a file: its label, or that of the nearest folder that is labelled, over its own origin."""
    origin = _origin(Path(path))
    for place in (Path(path), *Path(path).parents):
        for depth in range(len(place.parts), 0, -1):
            found = labels.get("/".join(place.parts[-depth:]))
            if found is not None:
                return {**origin, **{column: value for column, value in found.items() if value}}
    return origin


def sidecar_of(path: Path) -> Path:
    """Where the origin of a downloaded file is kept."""
    return path.with_name(path.name + SIDECAR)


def _origin(path: Path) -> dict[str, str]:
    """Rights and source of a downloaded file."""
    sidecar = sidecar_of(path)
    if not sidecar.is_file():
        return {}
    try:
        values = json.loads(sidecar.read_text(encoding="utf-8"))
        return {"rights": str(values["rights"] or values["licence"]), "source": str(values["source"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{sidecar}: damaged record of a download ({error}); delete it or fetch again") from error
