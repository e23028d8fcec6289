"""A file in segments of some _PICTURES pictures, each followed in one pass of decoding and on its own.

    DATASET/work/
      SEEN.safetensors     the faces in every picture of a segment, and what cuts are found by
      CUT/                 its spans: segment.json, spans.safetensors, pictures.safetensors, 000.mp4 … (their windows)

SEEN is a hash of the file's content, the segment's place and what faces are found with; CUT of SEEN and of the
settings that spans and windows depend on. Both appear only when they are whole. So work can be done by any process in
any order, a killed run follows one segment again (the checks of its spans are made again: they are a tenth), and
other settings repeat only what depends on them. `work` may be deleted.
"""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from data_prep.clips import Dropped, Span, crop_windows, cut_spans, write_windows
from data_prep.shots import THUMB_PX, find_cuts
from data_prep.watch import Seen, Watched, find_faces, stride_of, watch
from lipsync.config import PrepareConfig, to_mapping
from lipsync.errors import DatasetError, MediaError
from lipsync.faces.align import HeadPose, crop_window
from lipsync.faces.detect import FaceDetector
from lipsync.faces.track import Tracker
from lipsync.media import read_frames
from lipsync.media.picture import Picture
from lipsync.media.read import read_pictures
from lipsync.types import Face, Track, VideoInfo

_VERSION = 3  # of what is written to work/; other code that writes other bytes counts it up
_PICTURES = 640
_MOST_PICTURES = 2 * _PICTURES  # held at once where a file states its length wrong
# Settings that neither spans nor windows depend on.
_JUDGED_LATER = {
    "checks",
    "least_speech_share",
    "least_sharpness",
    "least_brightness",
    "most_repeated_share",
    "least_mouth_motion",
    "least_head_motion",
    "offset_reach_s",
    "pick",
}


@dataclass(frozen=True)
class Segment:
    """The part number `number` of `count` of a file: pictures shown at start_s ≤ time < end_s.

    start_s 0: from the first picture; end_s None: to the last. `content` is the SHA-256 of the file.
    """

    path: Path
    content: str
    number: int
    count: int
    start_s: float
    end_s: float | None
    frame_rate: Fraction
    length_s: float

    def seen_id(self, config: PrepareConfig) -> str:
        """Names what was seen in it."""
        return _hash([_VERSION, self.content, self.number, self.count, config.detector])

    def cut_id(self, config: PrepareConfig) -> str:
        """Names what was cut from it."""
        values = {name: value for name, value in to_mapping(config).items() if name not in _JUDGED_LATER}
        return _hash([self.seen_id(config), values])


def _hash(values: list[Any]) -> str:
    return hashlib.blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=10).hexdigest()


def plan_segments(info: VideoInfo, content: str) -> list[Segment]:
    """The segments of a file, of even lengths; one where its length is not known."""
    count = max(1, round(info.duration_s * float(info.frame_rate) / _PICTURES))
    edges = [info.duration_s * k / count for k in range(count)]
    ends = [*edges[1:], None]
    length_s = info.duration_s / count
    return [
        Segment(info.path, content, k, count, a, b, info.frame_rate, length_s)
        for k, (a, b) in enumerate(zip(edges, ends, strict=True))
    ]


def follow_segment(
    segment: Segment,
    work: Path,
    config: PrepareConfig,
    detector: FaceDetector,
    reach: Callable[[float], None] = lambda _: None,
) -> None:
    """Write what a segment shows to `work`, unless it is there. `reach` is told the share that is done.

    Raises:
        MediaError: the file cannot be read.
    """
    target, memo = work / segment.cut_id(config), work / f"{segment.seen_id(config)}.safetensors"
    if target.is_dir():
        return
    known = _read_seen(memo) if memo.is_file() else None
    pictures, stride = _pictures(segment, reach), stride_of(segment.frame_rate)
    seen = find_faces(pictures, detector, stride) if known is None else _replayed(pictures, known)
    part = work / f".{target.name}.{secrets.token_hex(4)}.part"
    part.mkdir(parents=True)
    try:
        writer, every = _CutWriter(part, segment, config), Watched()
        while True:
            watched = watch(islice(seen, _MOST_PICTURES), config.window, config.least_inter_ocular_px / 2)
            if not watched.times_s:
                break
            writer.take(watched)
            every.times_s += watched.times_s
            every.thumbs += watched.thumbs
            every.faces += watched.faces
        writer.finish()
        if known is None:
            _write_seen(memo, every)
        _keep(part, target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _keep(part: Path, target: Path) -> None:
    """Rename a folder into place; another process may have put the same there first."""
    try:
        os.rename(part, target)
    except OSError:
        if not target.is_dir():
            raise


def _pictures(segment: Segment, reach: Callable[[float], None]) -> Iterator[Picture]:
    start_s, end_s = segment.start_s, segment.end_s
    for picture in read_pictures(segment.path, start_s=start_s, end_s=end_s, tolerant=True, count=False):
        yield picture
        reach(min(1.0, (picture.time_s - start_s) / max(segment.length_s, 1e-3)))


def _replayed(pictures: Iterable[Picture], known: Watched) -> Iterator[Seen]:
    """Pictures with the faces that an earlier run saw in them."""
    for i, picture in enumerate(pictures):
        if i >= len(known.times_s) or known.times_s[i] != picture.time_s:
            raise DatasetError("work/ knows other pictures of this file than are read now; delete DATASET/work")
        yield Seen(picture, known.thumbs[i], known.faces[i])


class _CutWriter:
    """Cuts spans from what was watched and writes them."""

    def __init__(self, folder: Path, segment: Segment, config: PrepareConfig) -> None:
        self.folder, self.segment, self.config = folder, segment, config
        self.spans: list[tuple[int, Span, np.ndarray]] = []
        self.dropped: list[Dropped] = []
        self.cuts_s: list[float] = []
        self.seen: list[tuple[float, float]] = []
        self.times_s: list[float] = []
        self.frames = self.tracks = 0
        self.pictures: dict[str, np.ndarray] = {}

    def take(self, watched: Watched) -> None:
        """Follow the faces of the next pictures, and write their spans' windows."""
        cuts = set(find_cuts(np.stack(watched.thumbs)))
        tracker = Tracker(None)  # type: ignore[arg-type]  # faces are found already
        for i, (faces, time_s) in enumerate(zip(watched.faces, watched.times_s, strict=True)):
            tracker.take(faces, time_s, i in cuts)
        tracks = [(first, track) for first, track in tracker.finish() if len(track.faces)]
        for first, track in sorted(tracks, key=_place):
            spans, dropped = cut_spans(first, track, self.config)
            self.dropped += dropped
            self.seen.append((float(track.times_s[0]), float(track.times_s[-1])))
            for span in spans:
                self._write(span, first, track, watched)
            self.tracks += 1
        self.cuts_s += [watched.times_s[i] for i in sorted(cuts)]
        self.times_s += [watched.times_s[0], watched.times_s[-1]]
        self.frames += len(watched.times_s)
        for time_s, picture in watched.pictures:
            self.pictures[repr(time_s)] = np.frombuffer(picture, np.uint8)

    def _write(self, span: Span, first: int, track: Track, watched: Watched) -> None:
        size_px = self.config.window.size_px
        faces = [face for face in track.faces[span.first - first : span.last - first] if face is not None]
        held = [watched.held.get(id(face)) for face in faces]
        windows = [
            crop_window(part.image, part.map(transform), size_px)
            for part, transform in zip(held, span.transforms, strict=True)
            if part is not None and part.covers(transform, size_px)
        ]
        if len(windows) < len(held):  # a head that came much nearer or moved much faster: read that stretch again
            local = Span(**{**vars(span), "first": 0, "last": len(held)})
            end_s = self.segment.end_s if span.last == len(watched.times_s) else watched.times_s[span.last]
            again = read_frames(
                self.segment.path, start_s=max(span.start_s, 0.0), end_s=end_s, tolerant=True, count=False
            )
            windows = [w for _, found in crop_windows(again, [local], size_px) for w in found]
        if len(windows) != len(held):
            raise MediaError(f"{self.segment.path}: gives other pictures at {span.start_s:.2f} s when read again")
        path = self.folder / f"{len(self.spans):03d}.mp4"
        write_windows(path, np.stack(windows), self.segment.frame_rate, self.config.window_crf)
        looks = [watched.looks[id(face)] for face in faces if id(face) in watched.looks]
        moved = Span(**{**vars(span), "first": span.first + self.frames, "last": span.last + self.frames})
        self.spans.append((self.tracks, moved, np.array(looks, np.uint8)))

    def finish(self) -> None:
        """Write the rest."""
        arrays, spans = {}, []
        for i, (track, span, looks) in enumerate(self.spans):
            values, plain = flatten(span)
            arrays |= {f"{i:03d}.{name}": value for name, value in values.items()}
            if len(looks):
                arrays[f"{i:03d}.looks"] = looks
            spans.append({"track": track, **plain})
        values = {
            "frames": self.frames,
            "first_s": self.times_s[0] if self.times_s else None,
            "last_s": self.times_s[-1] if self.times_s else None,
            "cuts_s": self.cuts_s,
            "seen": self.seen,
            "dropped": [asdict(d) for d in self.dropped],
            "spans": spans,
        }
        save_file(arrays, self.folder / "spans.safetensors")
        save_file(self.pictures, self.folder / "pictures.safetensors")
        (self.folder / "segment.json").write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")


def _place(item: tuple[int, Track]) -> tuple[int, int, float]:
    first, track = item
    return first, len(track.faces), next(face.box_px[0] for face in track.faces if face is not None)


def flatten(span: Span) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """A span's arrays and its other values."""
    arrays, plain = {}, {}
    for name, value in vars(span).items():
        if isinstance(value, HeadPose):
            arrays |= {f"{name}.{f.name}": np.ascontiguousarray(getattr(value, f.name)) for f in fields(HeadPose)}
        elif isinstance(value, np.ndarray):
            small = value.astype(np.float32) if name in ("mouth", "points") else value
            arrays[name] = np.ascontiguousarray(small)
        else:
            plain[name] = value
    return arrays, plain


@dataclass(frozen=True)
class Cut:
    """A span of a segment with its place in work/: `windows` is its video, `looks` (K, D) describe its face."""

    span: Span
    windows: Path
    looks: np.ndarray
    track: int


@dataclass(frozen=True)
class Followed:
    """What `follow_segment` wrote of one segment. `first_s`, `last_s`: None where it shows no picture."""

    frames: int
    first_s: float | None
    last_s: float | None
    cuts_s: list[float]
    seen: list[tuple[float, float]]
    dropped: list[Dropped]
    cuts: list[Cut]
    pictures: list[tuple[float, bytes]]


def read_followed(folder: Path, first_frame: int) -> Followed:
    """Read a segment whose first picture is number `first_frame` of its file.

    Raises:
        DatasetError: it is damaged.
    """
    try:
        values = json.loads((folder / "segment.json").read_text(encoding="utf-8"))
        arrays = load_file(folder / "spans.safetensors")
        pictures = load_file(folder / "pictures.safetensors")
        cuts = [_read_cut(folder, i, plain, arrays, first_frame) for i, plain in enumerate(values.pop("spans"))]
        values["dropped"] = [Dropped(**entry) for entry in values["dropped"]]
        values["seen"] = [(a, b) for a, b in values["seen"]]
        shown = sorted((float(time), picture.tobytes()) for time, picture in pictures.items())
        return Followed(**values, cuts=cuts, pictures=shown)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise DatasetError(f"{folder}: damaged ({error}); delete it and prepare again") from error


def _read_cut(folder: Path, number: int, plain: dict[str, Any], arrays: dict[str, np.ndarray], first_frame: int) -> Cut:
    prefix = f"{number:03d}."
    own = {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
    looks, track = own.pop("looks", np.zeros((0, 0), np.uint8)), plain.pop("track")
    pose = HeadPose(**{f.name: own.pop(f"pose.{f.name}") for f in fields(HeadPose)})
    place = {name: plain.pop(name) + first_frame for name in ("first", "last")}
    return Cut(Span(**place, **plain, **own, pose=pose), folder / f"{number:03d}.mp4", looks, track)


def _write_seen(path: Path, seen: Watched) -> None:
    faces = [face for found in seen.faces for face in found]
    arrays = {
        "times_s": np.array(seen.times_s, np.float64),
        "thumbs": np.array(seen.thumbs, np.uint8).reshape(len(seen.times_s), THUMB_PX * THUMB_PX * 3),
        "count": np.array([len(found) for found in seen.faces], np.int32),
        "box_px": np.array([face.box_px for face in faces], np.float32).reshape(len(faces), 4),
        "landmarks": np.array([face.landmarks for face in faces], np.float32).reshape(len(faces), 68 * 3),
        "score": np.array([face.score for face in faces], np.float32),
    }
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    save_file(arrays, part)
    os.replace(part, path)


def _read_seen(path: Path) -> Watched:
    try:
        arrays = load_file(path)
        faces = [
            Face(tuple(box.tolist()), points.reshape(68, 3), float(score))
            for box, points, score in zip(arrays["box_px"], arrays["landmarks"], arrays["score"], strict=True)
        ]
        ends = np.cumsum(arrays["count"]).tolist()
        found = [faces[end - count : end] for end, count in zip(ends, arrays["count"].tolist(), strict=True)]
        thumbs = list(arrays["thumbs"].reshape(len(found), THUMB_PX, THUMB_PX, 3))
        return Watched(times_s=arrays["times_s"].tolist(), thumbs=thumbs, faces=found)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise DatasetError(f"{path}: damaged ({error}); delete it and prepare again") from error
