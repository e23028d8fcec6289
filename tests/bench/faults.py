"""Faults planted on real footage, and what `prepare` finds of them; then shifts of the sound, found again.

    python tests/bench/faults.py VIDEO... [--seconds 5] [--only FAULT...] [--shifts DATASET]

Each video's first seconds are a take; the next video's are the other person. Takes of which nothing is kept as they are
are left out of the count and said. Shifts of −10 to 10 frames of up to 60 clips of 3 s or more of a prepared dataset
are judged against where their sound as it is was found. The last line is JSON. Asserts nothing.
"""

import argparse
import json
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "data_prep"))
from planted_faults import FAULTS, FOUND, HZ, Take, is_found, plant

from data_prep.pipeline import prepare
from data_prep.speaker import LipJudge, open_judge
from lipsync.faces.detect import open_detector
from lipsync.media import probe, read_frames, read_sound
from lipsync.speech.features import mono_16k
from lipsync.training.clipstore import MEL_PAD_S, Clip, load_clips
from lipsync.training.judge_task import judge_side

SHIFTS = (-10, -7, -5, -3, 3, 5, 7, 10)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--only", nargs="*", default=list(FAULTS), choices=list(FAULTS))
    parser.add_argument("--shifts", type=Path, metavar="DATASET")
    args = parser.parse_args()
    begun_s, values = time.process_time(), {}
    with tempfile.TemporaryDirectory() as folder:
        if args.videos:
            values["faults"] = faults(args.videos, args.seconds, args.only, Path(folder))
        if args.shifts:
            values["shifts"] = shifts(args.shifts)
    print(json.dumps({**values, "cpu_s": round(time.process_time() - begun_s, 1)}))


def take_of(path: Path, seconds: float) -> Take:
    """The first seconds of a video with the largest face of each picture; the last known one where none is found."""
    detector, pictures, landmarks = open_detector(), [], []
    rate = probe(path).frame_rate
    for frame in read_frames(path):
        found = detector.detect(frame.image)
        pictures.append(frame.image)
        landmarks.append(max(found, key=lambda f: f.box_px[2] - f.box_px[0]).landmarks if found else landmarks[-1])
        if len(pictures) >= seconds * float(rate):
            break
    sound = read_sound(path)
    count = round(len(pictures) / float(rate) * HZ)
    samples = np.zeros(0, np.float32) if sound is None else mono_16k(sound)
    lead = np.zeros(max(0, round((sound.start_s if sound else 0.0) * HZ)), np.float32)
    samples = np.concatenate([lead, samples])[:count]
    return Take(pictures, landmarks, np.pad(samples, (0, count - len(samples))), Fraction(rate))


def faults(videos: list[Path], seconds: float, names: list[str], folder: Path) -> dict:
    """Plant, prepare, count: {fault: [found, of]}, and the falsely said of the good ones."""
    made = folder / "in"
    made.mkdir()
    names = [*dict.fromkeys(["good", *names])]
    takes = [take_of(video, seconds) for video in videos]
    labels = {}
    for i, take in enumerate(takes):
        for name in names:
            plant(made / f"{i:02d}_{name}.mp4", name, take, takes[(i + 1) % len(takes)])
            if name not in ("two", "cut"):
                labels[f"{i:02d}_{name}.mp4"] = {"person": f"person{i}"}
    results = {r.source: r for r in prepare([made], folder / "d", labels=labels, workers=1)}
    mirrored = _mirrored(folder / "d")
    good = [i for i in range(len(takes)) if results[f"{i:02d}_good.mp4"].clips]
    out: dict = {"videos": len(videos), "kept as they are": len(good)}
    for i in range(len(takes)):
        result = results[f"{i:02d}_good.mp4"]
        said = sorted({d.reason for d in result.dropped} | {f for c in result.clips for f in c.flags})
        print(f"{videos[i].name}: as it is: {len(result.clips)} clips; {', '.join([*said, *result.warnings]) or '-'}")
    print(f"{'fault':14} found  of   not found in")
    for name in names[1:]:
        hit = {
            i: f"{i:02d}_mirrored.mp4" in mirrored
            if name == "mirrored"
            else is_found(results[f"{i:02d}_{name}.mp4"], name, len(takes[i]) // 2 / float(takes[i].rate))
            for i in good
        }
        missed = [f"{videos[i].name} ({_said(results[f'{i:02d}_{name}.mp4'])})" for i in good if not hit[i]]
        print(f"{name:14} {sum(hit.values()):5} {len(good):3}   {'; '.join(missed)}")
        out[name] = [sum(hit.values()), len(good)]
    false = {
        name: sum(is_found(results[f"{i:02d}_good.mp4"], name) for i in good)
        for name in names[1:]
        if name in FOUND and FOUND[name][0] != "cut"
    }
    out["false"] = {name: count for name, count in false.items() if count}
    print(f"said of takes as they are: {out['false'] or 'nothing'}")
    return out


def _mirrored(dataset: Path) -> set[str]:
    report = json.loads((dataset / "report.json").read_text())
    return {warning["about"] for warning in report["warnings"] if "mirrored" in warning["found"]}


def _said(result) -> str:
    flags = {flag for clip in result.clips for flag in clip.flags}
    return ", ".join(sorted({d.reason for d in result.dropped} | flags)) or f"{len(result.clips)} clips"


def shifts(dataset: Path, most: int = 60) -> dict:
    """How often a shift of a clip's sound is found within a frame of where it is found unmoved; clip by clip."""
    judge = open_judge()
    clips = [clip for clip in load_clips(dataset) if clip.record.duration_s >= 3.0]
    clips = [clips[i] for i in sorted(np.random.default_rng(0).permutation(len(clips))[:most])]
    curves = [[_curve(clip, shift, judge) for shift in (0, *SHIFTS)] for clip in clips]
    heard = np.array([judge_side(clip.record) == "supervisor" for clip in clips])
    out: dict = {"clips": len(clips)}
    for reach in (12, 15):
        found = np.array(
            [[c[len(c) // 2 - reach : len(c) // 2 + reach + 1].argmax() - reach for c in row] for row in curves]
        )
        near = np.abs(found[:, 1:] - found[:, :1] - np.array(SHIFTS)) <= 1
        by_shift = {shift: round(float(near[:, k].mean()), 3) for k, shift in enumerate(SHIFTS)}
        out[f"reach {reach}"] = {"within_1": round(float(near.mean()), 4), **by_shift}
        out[f"reach {reach}"]["people the judge never heard"] = round(float(near[~heard].mean()), 4)
        out[f"reach {reach}"]["unmoved within 1.5 of 0"] = round(float((np.abs(found[:, 0]) < 1.5).mean()), 3)
        print(f"{len(clips)} clips, {int((~heard).sum())} of people never heard: {out[f'reach {reach}']}")
    return out


def _curve(clip: Clip, shift: int, judge: LipJudge) -> np.ndarray:
    """The judge's score at lags of −15 to 15 frames when the clip's sound comes `shift` frames later."""
    gap_s = 1 / clip.record.frame_rate
    span = SimpleNamespace(start_s=0.0, end_s=clip.times_s[-1], times_s=clip.times_s)
    return judge.curve(span, clip.windows(), clip.log_mel, shift * gap_s - MEL_PAD_S, gap_s, 15)


if __name__ == "__main__":
    main()
