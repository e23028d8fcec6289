"""Footage → dataset: every file in turn, the manifest, the report.

    DATASET/
      manifest.jsonl, clips/     lipsync/training/clipstore.py
      sources/ID.json            what became of one file: written last, so it says that the file is done
      thumbs/                    a picture of every clip and dropped stretch
      report.html, report.json   data_prep/report.py

A source's id is the file's stem and a hash of its content and of the settings. A run that was stopped goes on with
the next file, a finished one is not done again, and files of several runs add up: the manifest lists every source
made with the same settings, in the order of their ids.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

from data_prep.clips import Dropped
from data_prep.labels import Labels, label_of
from data_prep.report import write_report
from data_prep.source import FilePart, SourceResult, Tools, prepare_source
from data_prep.speaker import SyncJudge, open_judge
from lipsync.config import PrepareConfig, from_mapping, to_mapping
from lipsync.errors import ConfigError, DatasetError, MediaError, NoFaceError, SpeechError
from lipsync.faces.detect import FaceDetector, open_detector
from lipsync.progress import Progress, Silent
from lipsync.training.clipstore import ClipRecord, write_manifest

VIDEO_SUFFIXES = {".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ts", ".flv", ".wmv", ".3gp"}
_OURS = re.compile(r"\.?(?P<source>.+_[0-9a-f]{12})_(drop)?\d{3}(\.[0-9a-f]{8}\.part)?\.(mp4|safetensors|wav|jpg)")


def find_footage(paths: Iterable[Path], besides: Path | None = None) -> list[Path]:
    """Files, and all video files below folders but those below `besides`, in a fixed order, each once.

    Raises:
        MediaError: a path does not exist, or there is no file at all.
    """
    found: dict[Path, Path] = {}
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file())
            found |= {p.resolve(): p for p in inside if besides is None or not p.is_relative_to(besides)}
        elif path.exists():
            found[path.resolve()] = path
        else:
            raise MediaError(f"{path}: no such file or folder")
    if not found:
        raise MediaError("no video files were found; give files or folders that hold some (.mp4, .mov, .mkv, …)")
    return list(found.values())


def prepare(
    footage: Iterable[Path],
    out: Path,
    config: PrepareConfig | None = None,
    labels: Labels | None = None,
    progress: Progress | None = None,
    *,
    detector: FaceDetector | None = None,
    judge: SyncJudge | None = None,
) -> list[SourceResult]:
    """Turn footage into a dataset folder.

    Args:
        footage: files or folders.
        out: the dataset folder; made when missing, added to when it holds earlier work with the same settings.
        labels: per file name or path ending: person, language, rights, source. Read anew in every run.
        detector, judge: instead of those that `config` names.

    Returns:
        One result per file of `footage`, in order.

    Raises:
        MediaError: no footage. DatasetError: nothing usable in any of it; says the reasons.
    """
    config, progress, out = config or PrepareConfig(), progress or Silent(), Path(out)
    files = find_footage(footage, out)
    (out / "sources").mkdir(parents=True, exist_ok=True)
    tools = Tools(config, detector or open_detector(config.detector), judge or open_judge())
    settings = settings_hash(config, tools.judge)
    results = []
    progress.start("preparing footage", len(files), "files")
    for path in files:
        name = source_id(path, settings)
        part = FilePart(progress, path.name)
        results.append(_source(path, name, out, tools, label_of(path, labels or {}), part))
        part.reach(1.0)
    every = _made(out, settings)
    clips = [clip for result in every for clip in result.clips]
    write_report(out, every)
    _tidy(out)
    progress.done(f"{len(clips)} clips")
    if not clips:
        raise DatasetError(_nothing(every))
    write_manifest(out, clips)
    return results


def _nothing(results: list[SourceResult]) -> str:
    reasons = sorted({d.reason for r in results for d in r.dropped})
    return (
        f"no usable clip in {len(results)} file(s): {', '.join(reasons)}. "
        "Use footage with one frontal, speaking face"
    )


def settings_hash(config: PrepareConfig, judge: SyncJudge) -> str:
    """8 hex digits for the settings that clips depend on."""
    values = {"config": to_mapping(config), "judge": judge.name}
    return hashlib.blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=4).hexdigest()


def source_id(path: Path, settings: str) -> str:
    """A file's name in the dataset: its stem and 12 hex digits of a hash of its content and of the settings."""
    try:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror}); check the file") from error
    digest = hashlib.blake2b(f"{content} {settings}".encode(), digest_size=6).hexdigest()
    stem = re.sub(r"[^\w.-]+", "_", path.stem)[:80]
    return f"{stem}_{digest}"


def _source(
    path: Path, name: str, out: Path, tools: Tools, label: Mapping[str, str], part: FilePart
) -> SourceResult:
    """One file, or what an earlier run with the same settings left of it."""
    twin = next(iter(sorted((out / "sources").glob(f"*_{name[-12:]}.json"))), None)
    done = out / "sources" / f"{name}.json"
    if twin is not None and twin != done:
        [first] = _read_result(twin)
        same = Dropped(0.0, first.duration_s, f"the same file as {first.source}")
        return SourceResult(path.name, first.duration_s, [], [same])
    [result] = _read_result(done) if twin is not None else [_attempt(path, name, out, tools, part)]
    labelled = _labelled(result, label)
    if twin is None or labelled != result:
        values = {"settings": settings_hash(tools.config, tools.judge), **asdict(labelled)}
        unfinished = done.with_suffix(".part")
        unfinished.write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
        unfinished.replace(done)
    return labelled


def _attempt(path: Path, name: str, out: Path, tools: Tools, part: FilePart) -> SourceResult:
    """A file that cannot be read is a result too, and never stops the others."""
    try:
        return prepare_source(path, name, out, tools, part)
    except (MediaError, NoFaceError, SpeechError) as error:
        return SourceResult(path.name, 0.0, [], [Dropped(0.0, 0.0, "unreadable")], name, warnings=[str(error)])


def _labelled(result: SourceResult, label: Mapping[str, str]) -> SourceResult:
    """The result with its clips' person, language, rights and origin as labelled; as it was without a label."""
    known = {"person": "person", "language": "language", "rights": "rights", "source": "origin", "origin": "origin"}
    values = {known[column]: value for column, value in label.items() if column in known and value}
    return replace(result, clips=[replace(clip, **values) for clip in result.clips])


def _read_result(path: Path, settings: str | None = None) -> list[SourceResult]:
    """What an earlier run wrote, in a list; an empty one when it was made with other settings than those given.

    Raises:
        DatasetError: the file is not such a record.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.pop("settings") != settings and settings is not None:
            return []
        clips = [from_mapping(ClipRecord, clip, str(path)) for clip in values.pop("clips")]
        dropped = [Dropped(**entry) for entry in values.pop("dropped")]
        return [SourceResult(**values, clips=clips, dropped=dropped)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
        raise DatasetError(f"{path}: damaged record of a prepared file ({error}); delete it, prepare again") from error


def _made(out: Path, settings: str) -> list[SourceResult]:
    """Every source of the dataset that was made with these settings, by id."""
    return [result for path in sorted((out / "sources").glob("*.json")) for result in _read_result(path, settings)]


def _tidy(out: Path) -> None:
    """Remove what a killed run left half-done: our files below clips/ and thumbs/ that no finished source names."""
    named = {path.stem for path in (out / "sources").glob("*.json")}
    for path in [*out.glob("clips/*"), *out.glob("thumbs/*")]:
        ours = _OURS.fullmatch(path.name)
        if ours and (ours["source"] not in named or ".part." in path.name):
            path.unlink()
    for path in (out / "sources").glob("*.part"):
        path.unlink()
