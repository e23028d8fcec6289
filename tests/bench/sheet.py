"""Source, result and what differs, around the mouth: contact sheets at 100 % and 200 %, and a video side by side.

    python tests/bench/sheet.py SOURCE RESULT --out FOLDER [--at 0 10 11 12] [--frames 6] [--zoom 1 2] [--face largest]

Columns are source, result, and 128 + 4 · (result − source); rows are frames, with their number and, where the report
of the render is given with --json FILE, why a frame was left as it was. At 100 % the pixels are the pictures' own, so
what is seen is what is published. A result that is not as long as its source (a typed script on a template) is compared
with the source frames whose upper half is most like its own. Nothing is measured, nothing asserted.
"""

import argparse
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np

from lipsync.config import WindowConfig
from lipsync.faces.align import OUTER_LIP
from lipsync.faces.detect import open_detector
from lipsync.faces.follow import Followed, follow_face
from lipsync.media import VideoWriter, probe, read_frames, read_sound

AMPLIFY = 4
LABEL_PX = 14
THUMB = (48, 24)  # of the upper half, by which frames of a template are found again


def partners(source: Path, result: Path) -> list[int]:
    """The source's frame for each frame of the result."""
    old, new = (np.array([thumbnail(f.image) for f in read_frames(file)]) for file in (source, result))
    if len(old) == len(new):
        return list(range(len(new)))
    return [int(np.abs(old - one).mean((1, 2)).argmin()) for one in new]


def thumbnail(image: np.ndarray) -> np.ndarray:
    """The upper half of a picture, small and grey: float32."""
    upper = cv2.cvtColor(image[: image.shape[0] // 2], cv2.COLOR_RGB2GRAY)
    return cv2.resize(upper, THUMB, interpolation=cv2.INTER_AREA).astype(np.float32)


def boxes(followed: Followed, pairs: list[int], most_px: int) -> list[np.ndarray]:
    """Centre x, y and side in px of what is shown of each frame of the result, where `followed` is the source.

    Where no face was seen the last seen place is shown.
    """
    lips = followed.mouth_px()[:, OUTER_LIP]
    known, found = np.flatnonzero(followed.seen), []
    width = float(np.median(np.ptp(lips[known, :, 0], axis=1)))
    side = int(np.clip(3.2 * width, 96, most_px))
    for k in pairs:
        near = known[np.abs(known - k).argmin()]
        found.append(np.array([*lips[near].mean(0), side]))
    return found


def crop(image: np.ndarray, box: np.ndarray, zoom: float) -> np.ndarray:
    """The square around a box's centre, its side by `zoom` smaller and enlarged by it, moved into the picture."""
    side = min(int(box[2] / min(zoom, 2)), *image.shape[:2])
    x, y = (int(np.clip(box[i] - side / 2, 0, image.shape[1 - i] - side)) for i in (0, 1))
    part = np.ascontiguousarray(image[y : y + side, x : x + side])
    return part if zoom == 1 else cv2.resize(part, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)


def side_by_side(source: Path, result: Path, pairs: list[int]) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Number, source picture and result picture; a template's frames are kept, a dub's are read along."""
    if pairs == list(range(len(pairs))):
        for k, (a, b) in enumerate(zip(read_frames(source), read_frames(result), strict=True)):
            yield k, a.image, b.image
        return
    wanted = set(pairs)
    kept = {k: frame.image for k, frame in enumerate(read_frames(source)) if k in wanted}
    for k, frame in enumerate(read_frames(result)):
        yield k, kept[pairs[k]], frame.image


def row(a: np.ndarray, b: np.ndarray, box: np.ndarray, zoom: float, text: str) -> np.ndarray:
    """Source, result, difference and a line of text."""
    apart = np.clip(128 + AMPLIFY * (b.astype(np.int16) - a), 0, 255).astype(np.uint8)
    line = np.hstack([crop(image, box, zoom) for image in (a, b, apart)])
    label = np.zeros((LABEL_PX, line.shape[1], 3), np.uint8)
    cv2.putText(label, text, (2, LABEL_PX - 3), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (255, 255, 255), 1, cv2.LINE_AA)
    return np.vstack([label, line])


def write_sheets(rows: dict[float, list[np.ndarray]], stem: Path, most_px: int = 1500) -> list[Path]:
    """Pages of rows, each page at most `most_px` high, for every zoom."""
    files = []
    for zoom, lines in rows.items():
        each = max(1, most_px // lines[0].shape[0])
        for page in range(0, len(lines), each):
            files.append(stem.with_name(f"{stem.name}_{zoom * 100:.0f}_{page // each}.png"))
            cv2.imwrite(str(files[-1]), np.vstack(lines[page : page + each])[..., ::-1])
    return files


def look(args: argparse.Namespace) -> dict[float, list[np.ndarray]]:
    """Rows of sheets by zoom; writes the video on the way where it is asked for."""
    said = json.loads(args.json.read_text()) if args.json else {"passed_through": []}
    passed = {frame["frame"]: frame["reason"] for frame in said["passed_through"]}
    pairs, info = partners(args.source, args.result), probe(args.result)
    places = boxes(follow_face(args.source, open_detector(), WindowConfig(), face=args.face), pairs, args.most)
    at = args.at or sorted({int(k) for k in np.linspace(0, len(pairs) - 1, args.frames + 2)[1:-1]})
    rows: dict[float, list[np.ndarray]] = {zoom: [] for zoom in args.zoom}
    height, width = info.height // 2 * 2, info.width // 2 * 2
    with ExitStack() as stack:
        writer = None
        if args.video:
            sound, file = read_sound(args.result, sample_rate_hz=None), args.out / f"{args.result.stem}_beside.mp4"
            beside = VideoWriter(file, width=2 * width, height=height, frame_rate=info.frame_rate, sound=sound)
            writer = stack.enter_context(beside)
        for k, a, b in side_by_side(args.source, args.result, pairs):
            if writer is not None:
                writer.write(np.hstack([a[:height, :width], b[:height, :width]]))
            if k in at:
                text = f"{k} of {len(pairs)}, source {pairs[k]} {passed.get(k, '')}"
                for zoom, lines in rows.items():
                    lines.append(row(a, b, places[k], zoom, text))
    return rows


def main() -> None:
    """See the file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--json", type=Path, help="what the render printed with --json")
    parser.add_argument("--at", type=int, nargs="*", help="frames; default: spread evenly")
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--zoom", type=float, nargs="*", default=[1.0, 2.0])
    parser.add_argument("--face", default="largest")
    parser.add_argument("--most", type=int, default=360, help="side of what is shown, at most, in px")
    parser.add_argument("--video", action="store_true", help="write a video of source and result side by side")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for file in write_sheets(look(args), args.out / args.result.stem):
        print(file)


if __name__ == "__main__":
    main()
