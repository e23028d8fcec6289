"""Does a long render stay the person, and in sync? A typed script on a template, minute by minute.

    python tests/bench/drift.py VIDEO TEMPLATE [--base base] [--seconds 60]

VIDEO is what `lipsync say` made of TEMPLATE. For each minute, or its first so many seconds:

    colour, outside, detail   the window's mean colour against that of the template's frames that were shown, in and out
                       of the mask, grey levels; and its mean |∇²Y| in the mask by theirs
    face                      cosine of the mean window in the mask (32 px, its mean taken off) with the template's own
    lips                      distance of the mouth at rest (the 20 % most closed frames) from the first minute's,
                       of the eyes' distance
    heard, spread             correlation of the opening seen with the one the shape model hears, and the ratio of
                       their spreads
    judge                     offset (frames at 25/s), confidence and score of the scoring sync judge

Frames of the template are found again by the upper half of the picture. At the end how long sound and pictures are.
Prints a table and then one JSON line; asserts nothing.
"""

import argparse
import json
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from sheet import thumbnail

from lipsync.config import WindowConfig
from lipsync.faces.align import OUTER_LIP, crop_window, mouth_opening
from lipsync.faces.choose import choose_tracks
from lipsync.faces.detect import open_detector
from lipsync.faces.follow import Followed, place_tracks
from lipsync.faces.track import Tracker
from lipsync.media import probe, read_frames, read_sound
from lipsync.model.base import load_base
from lipsync.model.shape import find_neutral
from lipsync.render.generate import hear, speech_shapes
from lipsync.speech.features import level, log_mel
from lipsync.sync.judge import crop_mouths, judge_sync, load_judge
from lipsync.sync.offset import correlation

MINUTE_S, LEAST = 60.0, 20
FACE_PX = 32
TOP, INNER, SIDE = 0.08, 0.2, 0.12  # of the window's side: above is outside the mask, within is where skin changes


@dataclass
class Looks:
    """What is kept of F frames: mean colours (F, 3), detail (F,), small faces, judge's crops, thumbnails; the face."""

    known: Followed
    inside: list[np.ndarray] = field(default_factory=list)
    outside: list[np.ndarray] = field(default_factory=list)
    detail: list[float] = field(default_factory=list)
    faces: list[np.ndarray] = field(default_factory=list)
    crops: list[np.ndarray] = field(default_factory=list)
    thumbs: list[np.ndarray] = field(default_factory=list)


def look(video: Path, judged_px: int, start_s: float = 0.0, end_s: float | None = None) -> Looks:
    """Follow the face through a stretch of a file and look at it: read twice, nothing large is held."""
    tracker, window = Tracker(open_detector()), WindowConfig()
    for frame in read_frames(video, start_s=start_s, end_s=end_s, count=False):
        tracker.update(frame)
    times_s, cuts = np.array(tracker.times_s), frozenset(tracker.cuts)
    tracks = choose_tracks(tracker.finish(), "largest", video)
    found = Looks(place_tracks(probe(video), times_s, np.arange(len(times_s)), cuts, tracks, window))
    size = window.size_px
    top, inner, side = (round(share * size) for share in (TOP, INNER, SIDE))
    frames = read_frames(video, start_s=start_s, end_s=end_s, count=False)
    for frame, transform in zip(frames, found.known.transforms, strict=True):
        seen = np.isfinite(transform).all()
        whole = crop_window(frame.image, transform, size) if seen else np.zeros((size, size, 3), np.uint8)
        part = whole[inner : round(0.85 * size), side:-side]
        grey = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY).astype(np.float32)
        found.inside.append(part.mean((0, 1)))
        found.outside.append(whole[:top].mean((0, 1)))
        found.detail.append(float(np.abs(cv2.Laplacian(grey, cv2.CV_32F)).mean()))
        found.faces.append(cv2.resize(grey, (FACE_PX,) * 2, interpolation=cv2.INTER_AREA))
        found.crops.append(crop_mouths(whole[None], judged_px)[0])
        found.thumbs.append(thumbnail(frame.image))
    return found


def shown_frames(thumbs: list[np.ndarray], of: list[np.ndarray]) -> np.ndarray:
    """The template's frame for each thumbnail, by least squares."""
    a, b = (np.stack(t).reshape(len(t), -1) for t in (thumbs, of))
    return ((b * b).sum(1)[None] - 2 * a @ b.T).argmin(1)


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine of two pictures, their means taken off."""
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def resting(mouths: np.ndarray) -> np.ndarray:
    """The mouth (31, 3) at rest: the mean of the fifth of frames that are most closed."""
    opening = mouth_opening(mouths)
    return mouths[opening <= np.quantile(opening, 0.2)].mean(0)


def by_minute(video: Path, template: Path, base_name: str, seconds: float) -> list[dict[str, float]]:
    """A row for each minute."""
    judge, base, sound = load_judge("scorer"), load_base(base_name), read_sound(video)
    if sound is None:
        raise SystemExit(f"{video} has no sound")
    old, mel, speech = look(template, judge.config.size_px), log_mel(level(sound)), hear(sound)
    rows: list[dict[str, float]] = []
    neutral: np.ndarray | None = None
    for k in range(int(np.ceil(probe(video).duration_s / MINUTE_S))):
        new = look(video, judge.config.size_px, k * MINUTE_S, k * MINUTE_S + seconds)
        at = np.flatnonzero(new.known.seen)
        if len(at) < LEAST:
            continue
        shown, times_s, mouth = shown_frames(new.thumbs, old.thumbs)[at], new.known.times_s[at], new.known.mouth[at]
        neutral = resting(mouth) if neutral is None else neutral
        shapes = speech_shapes(base.shape, speech, times_s, base.style)
        heard = mouth_opening(base.shape.space.decode(shapes, find_neutral(mouth)))
        opening = mouth_opening(mouth)
        colour, outside = (
            np.array(a)[at] - np.array(b)[shown] for a, b in ((new.inside, old.inside), (new.outside, old.outside))
        )
        said = judge_sync(judge, np.stack([new.crops[i] for i in at]), times_s, mel, sound.start_s)
        row = {
            "minute": k + 1,
            "frames": len(at),
            "colour": float(np.abs(colour.mean(0)).mean()),
            "outside": float(np.abs(outside).mean()),
            "detail": float(np.mean(np.array(new.detail)[at]) / np.mean(np.array(old.detail)[shown])),
            "face": likeness(np.mean([new.faces[i] for i in at], 0), np.mean([old.faces[i] for i in shown], 0)),
            "lips": float(np.linalg.norm((resting(mouth) - neutral)[OUTER_LIP], axis=-1).mean()),
            "heard": correlation(opening, heard),
            "spread": float(opening.std() / heard.std()),
            "judge_offset": said.offset_frames,
            "judge_confidence": said.confidence,
            "judge_score": said.score,
        }
        rows.append({name: round(value, 4) for name, value in row.items()})
    return rows


def main() -> None:
    """See the file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("video", type=Path)
    parser.add_argument("template", type=Path)
    parser.add_argument("--base", default="base")
    parser.add_argument("--seconds", type=float, default=MINUTE_S, help="of each minute")
    args = parser.parse_args()
    rows = by_minute(args.video, args.template, args.base, args.seconds)
    print("  ".join(rows[0]))
    for row in rows:
        print("  ".join(f"{value:g}" for value in row.values()))
    info, sound = probe(args.video), read_sound(args.video, sample_rate_hz=None)
    heard_s = 0.0 if sound is None else sound.start_s + len(sound.samples) / sound.sample_rate_hz
    print(
        json.dumps(
            {"bench": "drift", "pictures_s": round(info.duration_s, 4), "sound_s": round(heard_s, 4), "rows": rows}
        )
    )


if __name__ == "__main__":
    main()
