"""The card's third part: whole clips generated and put before the scoring judge, which took no part in training.

The clip's own windows are driven by four sounds — its own, another clip's, its own with its half seconds shuffled, and
none — each against the pictures made from it, beside the same judge's view of the real clip:

    score, confidence, within 1 frame    of the judge (sync/judge.py), real and generated
    opening correlation, spread          of the mouth that the judge's lip reader sees in what was made, against the
                                         real clip's landmarks (own sound: high; foreign: near 0)
    silent motion                        of that opening without sound, over the speaking one's
"""

import numpy as np
import torch

from lipsync.model.base import Base
from lipsync.model.judge import Judge
from lipsync.progress import Progress
from lipsync.speech.features import MEL_RATE_HZ
from lipsync.sync.judge import crop_mouths, judge_sync
from lipsync.sync.offset import correlation
from lipsync.training.clipstore import Clip
from lipsync.training.foreign import ForeignSound, ForeignSpeech, Puppet
from lipsync.training.shape_task import opening_weights
from lipsync.types import Sound

LEAST_S, MOST_S = 1.6, 6.0
WITHIN_FRAMES = 1.5  # of 25 a second: as near as one frame, with the offset's fraction


def measure_judged(base: Base, clips: list[Clip], judge: Judge, progress: Progress) -> dict[str, float]:
    """The readings by name; medians over clips, shares over clips. `clips` all last LEAST_S or longer."""
    weights = opening_weights(base.shape.space)
    rows: dict[str, list[float]] = {}
    for number, clip in enumerate(clips):
        puppet, frames = Puppet(clip, clip.windows()), min(len(clip.times_s), int(MOST_S * clip.record.frame_rate))
        own = _from_first_frame(clip)
        lines = [
            own,
            _resized(_from_first_frame(clips[(number + 1) % len(clips)]), len(own)),
            shuffled_mel(own, number),
        ]
        driver = ForeignSound([_line(mel) for mel in lines], base.shape, base.style, base.pixel.config)
        times_s, seen = puppet.gap_s * np.arange(frames), puppet.opening[:frames]
        found = {"real": _judged(judge, puppet.windows[:frames], times_s, own)}
        openings = {}
        for kind, line in (("own", 0), ("foreign", 1), ("shuffled", 2), ("silent", -1)):
            made, _, _ = driver.perform(base.pixel, puppet, line, frames * puppet.gap_s)
            openings[kind] = _read_opening(judge, made[:frames], weights)
            if line >= 0:
                found[kind] = _judged(judge, made[:frames], times_s, lines[line])
        found["real, foreign sound"] = _judged(judge, puppet.windows[:frames], times_s, lines[1])
        for kind, values in found.items():
            for name, value in values.items():
                rows.setdefault(f"{kind}_{name}".replace(" ", "_").replace(",", ""), []).append(value)
        for kind in ("own", "foreign"):
            rows.setdefault(f"{kind}_opening_correlation", []).append(correlation(openings[kind], seen))
        real = _read_opening(judge, puppet.windows[:frames], weights)
        rows.setdefault("own_opening_spread", []).append(float(openings["own"].std() / max(real.std(), 1e-6)))
        rows.setdefault("silent_motion", []).append(float(openings["silent"].std() / max(openings["own"].std(), 1e-6)))
        progress.advance()
    return {
        name: round(float(np.mean(v) if name.endswith("within_1_frame") else np.nanmedian(v)), 4)
        for name, v in rows.items()
    }


def _from_first_frame(clip: Clip) -> np.ndarray:
    return clip.log_mel[max(0, round(clip.mel_times_s[0] * MEL_RATE_HZ)) :]


def _resized(mel: np.ndarray, length: int) -> np.ndarray:
    return np.resize(mel, (length, mel.shape[1]))


def shuffled_mel(mel: np.ndarray, seed: int, piece: int = 50) -> np.ndarray:
    """The mel's half seconds in another order."""
    pieces = [mel[a : a + piece] for a in range(0, len(mel), piece)]
    return np.concatenate([pieces[k] for k in np.random.default_rng(seed).permutation(len(pieces))])


def _line(mel: np.ndarray) -> ForeignSpeech:
    """A line of which only the mel is known; its sound is an empty one as long."""
    return ForeignSpeech("", mel, (), Sound(np.zeros(160 * len(mel), np.float32), 16000))


def _judged(judge: Judge, windows: np.ndarray, times_s: np.ndarray, mel: np.ndarray) -> dict[str, float]:
    verdict = judge_sync(judge, crop_mouths(windows, judge.config.size_px), times_s, mel)
    near = float(abs(verdict.offset_frames) <= WITHIN_FRAMES)
    return {"score": verdict.score, "confidence": verdict.confidence, "within_1_frame": near}


@torch.inference_mode()
def _read_opening(judge: Judge, windows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(F,): the opening that the lip reader sees, head units."""
    crops = torch.from_numpy(crop_mouths(windows, judge.config.size_px))[None, :, None]
    device = next(judge.parameters()).device
    read = judge.read_shape(judge.features(crops.to(device)))[0].float().cpu().numpy()
    return read @ weights
