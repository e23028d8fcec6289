"""Calibrate the sync judges on footage in known sync: planted offsets, shuffled sound, somebody else's sound.

    PYTHONPATH=. .venv/bin/python tests/bench/judge.py DATASET... [--seconds 3] [--clips 60] [--held-out]

Each clip is cut to the given length. Prints a table, then one JSON line. Asserts nothing.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from lipsync.model.judge import RATE_HZ
from lipsync.sync.judge import JUDGES, crop_mouths, judge_sync, load_judge
from lipsync.training.card_judged import shuffled_mel
from lipsync.training.clipstore import load_clips
from lipsync.training.pretrain import PretrainConfig, is_held_out

PLANTED = (0, 1, -1, 2, -2, 5, -5)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("datasets", nargs="+", type=Path)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--held-out", action="store_true", help="only people that no base and no judge learned from")
    args = parser.parse_args()
    clips = [c for c in load_clips(args.datasets) if c.record.duration_s >= args.seconds]
    if args.held_out:
        clips = [c for c in clips if is_held_out(c.record, PretrainConfig().held_out_one_in)]
    clips = [clips[i] for i in np.unique(np.linspace(0, len(clips) - 1, args.clips).astype(int))]
    judges = {name: load_judge(name) for name in JUDGES}
    rows: dict[str, dict[str, list[float]]] = {name: {} for name in JUDGES}
    for number, clip in enumerate(clips):
        frames = int(args.seconds * clip.record.frame_rate)
        windows, times = clip.windows()[:frames], clip.mel_times_s[:frames]
        other = clips[(number + 1) % len(clips)]
        foreign = np.resize(other.log_mel, clip.log_mel.shape)
        for name, judge in judges.items():
            crops = crop_mouths(windows, judge.config.size_px)
            note = rows[name]
            base = judge_sync(judge, crops, times, clip.log_mel)
            for planted in PLANTED:
                # the footage's own, unknown offset is taken from the unshifted sound: what is planted must be found
                found = judge_sync(judge, crops, times - planted / RATE_HZ, clip.log_mel)
                note.setdefault(f"planted {planted:+d}", []).append(abs(found.offset_frames - planted) <= 1.5)
                note.setdefault("moves along", []).append(
                    abs(found.offset_frames - base.offset_frames - planted) <= 1.0
                )
            note.setdefault("own score", []).append(base.score)
            note.setdefault("own confidence", []).append(base.confidence)
            note.setdefault("foreign score", []).append(judge_sync(judge, crops, times, foreign).score)
            note.setdefault("foreign confidence", []).append(judge_sync(judge, crops, times, foreign).confidence)
            shuffled = shuffled_mel(clip.log_mel, number)
            note.setdefault("shuffled score", []).append(judge_sync(judge, crops, times, shuffled).score)
    result = {}
    for name, note in rows.items():
        own, foreign = np.array(note["own score"]), np.array(note["foreign score"])
        table = {key: round(float(np.mean(values)), 4) for key, values in note.items()}
        table["own above foreign"] = round(float((own[:, None] > foreign[None]).mean()), 4)
        table["median own score"] = round(float(np.median(own)), 4)
        result[name] = table
        print(f"{name}: {len(clips)} clips of {args.seconds} s")
        for key, value in table.items():
            print(f"  {key:22}{value:8.3f}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
