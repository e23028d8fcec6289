"""Footage → dataset: every file in turn, the manifest, the report.

    DATASET/
      manifest.jsonl, clips/     lipsync/training/clipstore.py
      sources/ID.json            what became of one file: written last, so it says that the file is done
      thumbs/                    a picture of every clip and dropped stretch
      report.html, report.json   data_prep/report.py
      work/                      what was seen in the footage (segments.py): spares work when settings change

A source's id is the file's stem and a hash of its content and of the settings. A run that was stopped goes on with
the next segment of a file, a finished one is not done again, and files of several runs add up: the manifest lists
every source made with the same settings, in the order of their ids. The dataset does not depend on who does the work
(engine.py) or in which order.
"""

import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from data_prep.clips import Dropped
from data_prep.engine import Tools, open_engine
from data_prep.inspection import Inspected, inspect_segment
from data_prep.labels import Labels, label_of
from data_prep.report import write_report
from data_prep.segments import Segment, follow_segment, plan_segments
from data_prep.source import SourceJob, SourceResult, judge_source
from data_prep.speaker import SyncJudge
from lipsync.config import PrepareConfig, from_mapping, to_mapping
from lipsync.errors import ConfigError, DatasetError, MediaError, SpeechError
from lipsync.faces.detect import FaceDetector
from lipsync.media import probe
from lipsync.progress import Progress, Silent
from lipsync.training.clipstore import ClipRecord, write_manifest

_WORTH_A_WORKER_S = 60.0  # of footage: less is watched sooner than another process starts
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
    workers: int = 0,
    engine: str = "local",
) -> list[SourceResult]:
    """Turn footage into a dataset folder.

    Args:
        footage: files or folders.
        out: the dataset folder; made when missing, added to when it holds earlier work with the same settings.
        labels: per file name or path ending: person, language, rights, source. Read anew in every run.
        detector, judge: instead of those that `config` names; with more than one worker they are copied.
        workers: processes; 0: as many as there are cores, where there is enough to do. The dataset is the same.
        engine: "local", or "ray" for the workers of a Ray cluster; see engine.py.

    Returns:
        One result per file of `footage`, in order.

    Raises:
        MediaError: no footage. DatasetError: nothing usable in any of it; says the reasons. ConfigError: bad settings.
    """
    config, progress, out = config or PrepareConfig(), progress or Silent(), Path(out)
    if config.pick not in ("", "most") and not config.pick.isdigit():
        raise ConfigError(f"pick: expected most, or 0, 1, 2 … counted by time on screen; found {config.pick!r}")
    files = find_footage(footage, out)
    (out / "sources").mkdir(parents=True, exist_ok=True)
    tools = Tools(config, detector, judge)
    settings = settings_hash(config, tools.judge)
    contents = {path: _content(path) for path in files}
    names = {path: source_id(path, contents[path], settings) for path in files}
    twins = _twins(names, out)
    jobs = [_job(path, names[path], contents[path], out) for path in files if names[path] == twins[names[path][-12:]]]
    todo = [job for job in jobs if not (out / "sources" / f"{job.name}.json").is_file()]
    _work(todo, tools, settings, progress, workers, engine)
    results = [_result(path, names[path], twins, out, settings, label_of(path, labels or {})) for path in files]
    every = _made(out, settings)
    clips = [clip for result in every for clip in result.clips]
    write_report(out, every)
    _tidy(out)
    if not clips:
        raise DatasetError(_nothing(every))
    write_manifest(out, clips)
    return results


def _twins(names: Mapping[Path, str], out: Path) -> dict[str, str]:
    """By content and settings: the name of the one file that is worked on of all that are the same."""
    first: dict[str, str] = {}
    for name in names.values():
        made = next(iter(sorted((out / "sources").glob(f"*_{name[-12:]}.json"))), None)
        first.setdefault(name[-12:], made.stem if made else name)
    return first


def _job(path: Path, name: str, content: str, out: Path) -> SourceJob:
    """What there is to do for one file."""
    try:
        info = probe(path)
    except MediaError as error:
        return SourceJob(path, name, out, None, error=str(error))
    silent = info.is_still or not info.sample_rate_hz
    return SourceJob(path, name, out, info, () if silent else tuple(plan_segments(info, content)))


def _work(jobs: list[SourceJob], tools: Tools, settings: str, progress: Progress, workers: int, engine: str) -> None:
    """Follow and inspect every segment, then judge every file; each finished file is written down at once."""
    work = jobs[0].out / "work" if jobs else Path()
    segments = [segment for job in jobs for segment in job.segments]
    length_s = sum(s.length_s for s in segments)
    workers = workers or min(os.cpu_count() or 1, math.ceil(length_s / _WORTH_A_WORKER_S))
    found: list[list[Inspected] | str] = [[] for _ in segments]
    with closing(open_engine(engine, tools, max(1, workers))) as crew:
        progress.start("watching footage", max(length_s, 1e-3), "s")
        at = _Place(progress, segments)
        tools.reach = at.reach
        for place, result in crew.run(_follow, [(segment, work) for segment in segments]):
            at.done(place)
            found[place] = result
        progress.done(f"{len(segments)} segments")
        jobs = _inspected(jobs, iter(found))
        progress.start("choosing clips", len(jobs), "files")
        for place, result in crew.run(judge_source, jobs):
            _write_result(jobs[place].out, settings, result)
            progress.advance(1, result.source)
        progress.done()


def _follow(tools: Tools, item: tuple[Segment, Path]) -> list[Inspected] | str:
    """Follow one segment and inspect what was cut from it; returns why it cannot be read instead, where it cannot."""
    try:
        follow_segment(item[0], item[1], tools.config, tools.detector, tools.reach)
        return inspect_segment(item[0], item[1], tools)
    except (MediaError, SpeechError) as error:
        return str(error)


def _inspected(jobs: list[SourceJob], found: Iterator[list[Inspected] | str]) -> list[SourceJob]:
    """The jobs with what was found in all their segments, in order."""
    out = []
    for job in jobs:
        own = [next(found) for _ in job.segments]
        error = job.error or next((one for one in own if isinstance(one, str)), "")
        out.append(replace(job, error=error, inspected=tuple(one for one in own if not isinstance(one, str))))
    return out


class _Place:
    """Reports segments in seconds of footage, in steps of a fiftieth where they are done one after the other."""

    def __init__(self, progress: Progress, segments: list[Segment]) -> None:
        self.progress, self.segments = progress, segments
        self.finished, self.share = 0, 0.0

    def reach(self, share: float) -> None:
        """`share` of the segment after those that are finished is done."""
        if share >= self.share + 0.02:
            segment = self.segments[self.finished]
            self.progress.advance((share - self.share) * segment.length_s, segment.path.name)
            self.share = share

    def done(self, place: int) -> None:
        """Segment number `place` is done."""
        segment = self.segments[place]
        self.progress.advance((1.0 - self.share) * segment.length_s, segment.path.name)
        self.finished, self.share = self.finished + 1, 0.0


def _nothing(results: list[SourceResult]) -> str:
    reasons = sorted({d.reason for r in results for d in r.dropped})
    return (
        f"no usable clip in {len(results)} file(s): {', '.join(reasons)}. Use footage with one frontal, speaking face"
    )


def settings_hash(config: PrepareConfig, judge: SyncJudge) -> str:
    """8 hex digits for the settings that clips depend on."""
    values = {"config": to_mapping(config), "judge": judge.name}
    return hashlib.blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=4).hexdigest()


def source_id(path: Path, content: str, settings: str) -> str:
    """A file's name in the dataset: its stem and 12 hex digits of a hash of its content and of the settings."""
    digest = hashlib.blake2b(f"{content} {settings}".encode(), digest_size=6).hexdigest()
    stem = re.sub(r"[^\w.-]+", "_", path.stem)[:80]
    return f"{stem}_{digest}"


def _content(path: Path) -> str:
    """SHA-256 of a file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror}); check the file") from error


def _result(
    path: Path, name: str, twins: Mapping[str, str], out: Path, settings: str, label: Mapping[str, str]
) -> SourceResult:
    """What became of one file, labelled; of a copy, that it is one."""
    twin = twins[name[-12:]]
    [result] = _read_result(out / "sources" / f"{twin}.json")
    if twin != name:
        same = Dropped(0.0, result.duration_s, f"the same file as {result.source}")
        return SourceResult(path.name, result.duration_s, [], [same])
    labelled = _labelled(result, label)
    if labelled != result:
        _write_result(out, settings, labelled)
    return labelled


def _write_result(out: Path, settings: str, result: SourceResult) -> None:
    done = out / "sources" / f"{result.id}.json"
    unfinished = done.with_suffix(".part")
    unfinished.write_text(json.dumps({"settings": settings, **asdict(result)}, ensure_ascii=False), encoding="utf-8")
    unfinished.replace(done)


def _labelled(result: SourceResult, label: Mapping[str, str]) -> SourceResult:
    """The result with its clips' person, language, rights and origin as labelled; as it was without a label."""
    known = {"person": "person", "language": "language", "rights": "rights", "source": "origin", "origin": "origin"}
    values: dict[str, Any] = {known[column]: value for column, value in label.items() if column in known and value}
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
    for path in (out / "work").glob(".*.part"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
