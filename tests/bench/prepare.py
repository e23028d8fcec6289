"""How fast footage becomes clips, stage by stage, against decoding alone.

    python tests/bench/prepare.py VIDEO... [--workers N]     videos, best of one size and a minute or more

CPU milliseconds a picture in one process, everything loaded before, then the wall time with N (0: left out). The last
line is JSON. Asserts nothing.
"""

import argparse
import cProfile
import json
import os
import pstats
import resource
import tempfile
import time
from pathlib import Path

from data_prep.engine import Tools
from data_prep.pipeline import prepare
from data_prep.speaker import open_judge
from lipsync.config import PrepareConfig
from lipsync.media import probe
from lipsync.media.read import read_pictures

# Stage: functions whose whole time it is, by file and name.
STAGES = {
    "decoding": [("read.py", "read_pictures")],
    "small picture": [("picture.py", "small")],
    "finding faces": [("detect.py", "detect")],
    "holding faces": [("watch.py", "hold")],
    "cutting and coding windows": [("segments.py", "_write")],
    "reading sound": [("sound.py", "read_sound")],
    "voice activity": [("voice_activity.py", "voice_activity")],
    "mouth heard (judge)": [("speaker.py", "heard")],
    "checks of windows": [("quality.py", "window_reason"), ("quality.py", "hidden_reason")],
    "checks of sound": [("listen.py", "sound_flags")],
    "checks of pictures": [("sights.py", "judge_pictures")],
    "reading windows back": [("inspection.py", "read_windows")],
    "lips judged": [("speaker.py", "curve")],
    "thumbnails for cuts": [("shots.py", "thumbnail")],
    "poses": [("align.py", "fit_pose")],
    "writing clips": [("source.py", "_write_clip")],
    "report": [("report.py", "write_report")],
}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    pictures, floor_s = decode(args.videos)
    config = PrepareConfig()
    tools = Tools(config)
    judge, detector = open_judge(), tools.detector
    with tempfile.TemporaryDirectory() as folder:
        shortest = min(args.videos, key=lambda video: probe(video).duration_s)
        prepare([shortest], Path(folder) / "warm", config, detector=detector, judge=judge, workers=1)
        begun_s = time.process_time()
        profile = cProfile.Profile(time.process_time)
        profile.runcall(prepare, args.videos, Path(folder) / "alone", config, detector=detector, judge=judge, workers=1)
        total_s = time.process_time() - begun_s
        begun_s = time.monotonic()
        if args.workers:
            prepare(args.videos, Path(folder) / "together", config, workers=args.workers)
        wall_s = time.monotonic() - begun_s
    times_s = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    shares = {stage: sum(_spent_s(times_s, *place) for place in places) for stage, places in STAGES.items()}
    info = probe(args.videos[0])
    rate = float(info.frame_rate)
    print(f"{len(args.videos)} file(s), {pictures} pictures, {info.width}×{info.height} at {rate:g}")
    print(f"{'':30} ms a picture   share")
    for stage, spent_s in sorted(shares.items(), key=lambda item: -item[1]):
        print(f"{stage:30} {1e3 * spent_s / pictures:8.2f}      {100 * spent_s / total_s:4.0f} %")
    print(f"{'the rest':30} {1e3 * (total_s - sum(shares.values())) / pictures:8.2f}")
    print(f"{'all':30} {1e3 * total_s / pictures:8.2f}")
    print(f"{'floor: decoding alone':30} {1e3 * floor_s / pictures:8.2f}")
    hour_min = 3600 * rate * total_s / pictures / 2 / 60
    print(f"an hour on two cores at this cost: {hour_min:.1f} min; wall with {args.workers} workers: {wall_s:.1f} s")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    values = {
        "pictures": pictures,
        "size": [info.width, info.height],
        "ms_a_picture": round(1e3 * total_s / pictures, 2),
        "floor_ms": round(1e3 * floor_s / pictures, 2),
        "hour_on_two_cores_min": round(hour_min, 1),
        "workers": args.workers,
        "wall_s": round(wall_s, 1),
        "peak_mb": round(peak_mb),
        "stages_ms": {stage: round(1e3 * spent_s / pictures, 2) for stage, spent_s in shares.items()},
    }
    print(json.dumps(values))


def decode(videos: list[Path]) -> tuple[int, float]:
    """How many pictures there are, and the CPU seconds that decoding them takes."""
    begun_s = time.process_time()
    count = sum(1 for video in videos for _ in read_pictures(video, tolerant=True))
    return count, time.process_time() - begun_s


def _spent_s(times_s: dict, file: str, name: str) -> float:
    return sum(row[3] for (path, _, function), row in times_s.items() if Path(path).name == file and function == name)


if __name__ == "__main__":
    main()
