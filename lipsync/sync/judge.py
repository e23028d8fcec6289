"""How well lips and sound belong together, by a judge's embeddings (see model/judge.py).

    curve(k) = mean_t ⟨lip_t, sound_{t + k/25 s}⟩,  |k| ≤ reach
    offset = argmax curve,  confidence = curve(offset) − median curve,  score = curve(0) − median curve

The offset is refined by a parabola through its neighbours. Two judges exist, learned from disjoint people: the
supervisor takes part in training and in the choice of footage; the scorer only scores.
Source: Chung & Zisserman 2016 (offset and confidence of SyncNet).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lipsync.errors import CheckpointError, SpeechError
from lipsync.model.base import checkpoints_folder
from lipsync.model.checkpoint import load_model
from lipsync.model.judge import RATE_HZ, Judge, lag_scores, mouth_crops
from lipsync.speech.features import MEL_RATE_HZ, MEL_SILENCE, MELS

JUDGES = ("supervisor", "scorer")
REACH = 15
LEAST_FRAMES = 20  # at RATE_HZ
PIECE_FRAMES = 250
PAD_S = 1.0


@dataclass(frozen=True)
class Verdict:
    """`offset_frames` at RATE_HZ, positive: the sound comes late. `curve` (2·reach + 1,): similarity at each lag."""

    offset_frames: float
    confidence: float
    score: float
    curve: np.ndarray


def judge_file(which: str = "scorer") -> Path:
    """Where a judge's weights lie."""
    return checkpoints_folder() / "judges" / f"{which}.safetensors"


def load_judge(which: str = "scorer", device: str = "cpu") -> Judge:
    """A judge that ships with the project. Raises CheckpointError when it is not there."""
    if which not in JUDGES:
        raise CheckpointError(f"no judge is called {which!r}; there are: {', '.join(JUDGES)}")
    return load_model(judge_file(which), "judge", device)


def crops_at(crops: np.ndarray, times_s: np.ndarray, grid_s: np.ndarray) -> np.ndarray:
    """Crops (F, s, s) at the times of a grid (N,), each blended from its two nearest: uint8 (N, s, s)."""
    place = np.interp(grid_s, times_s, np.arange(len(times_s)))
    low = np.floor(place).astype(int)
    high, share = np.minimum(low + 1, len(crops) - 1), (place - low)[:, None, None]
    return np.clip(crops[low] * (1 - share) + crops[high] * share + 0.5, 0, 255).astype(np.uint8)


def crop_mouths(windows: np.ndarray, size_px: int, margin_px: int = 0) -> np.ndarray:
    """Windows uint8 (F, S, S, 3) → mouth crops float32 (F, s, s), 0…255."""
    pixels = torch.from_numpy(windows).permute(0, 3, 1, 2)
    return torch.cat([mouth_crops(part.float(), size_px, margin_px)[:, 0] for part in pixels.split(256)]).numpy()


@torch.inference_mode()
def judge_sync(
    judge: Judge, crops: np.ndarray, times_s: np.ndarray, log_mel: np.ndarray, start_s: float = 0.0, reach: int = REACH
) -> Verdict:
    """Judge a stretch in which the mouth is seen throughout.

    Args:
        crops: (F, s, s) from `crop_mouths`.
        times_s: (F,) on the sound's clock.
        log_mel: (T, 80) of the levelled sound, row k at start_s + k/100 s; before and after it nothing is known.

    Raises:
        SpeechError: less than 0.8 s of pictures, or less than half of it has sound.
    """
    count = int((times_s[-1] - times_s[0]) * RATE_HZ + 1e-6) + 1
    if count < LEAST_FRAMES:
        raise SpeechError(f"{count / RATE_HZ:.2f} s of lips; a judgement needs {LEAST_FRAMES / RATE_HZ:.1f} s or more")
    device = next(judge.parameters()).device
    grid_s = times_s[0] + np.arange(count) / RATE_HZ
    seen = torch.from_numpy(crops_at(crops, times_s, grid_s)).float()[None, :, None].to(device)
    lips = judge.lips(torch.cat([judge.features(part) for part in seen.split(PIECE_FRAMES, 1)], 1))
    pad = np.full((int(PAD_S * MEL_RATE_HZ), MELS), MEL_SILENCE, np.float32)
    mel = torch.from_numpy(np.concatenate([pad, log_mel, pad]))[None].to(device)
    wide_s = times_s[0] + np.arange(-reach, count + reach) / RATE_HZ
    on_mel = torch.from_numpy(wide_s - start_s + PAD_S).float()[None].to(device)
    heard = (wide_s >= start_s) & (wide_s <= start_s + len(log_mel) / MEL_RATE_HZ)
    there = torch.from_numpy(heard.astype(np.float32))[None].to(device)
    curve = lag_scores(lips, judge.sound(mel, on_mel), there)[0].float().cpu().numpy()
    return _verdict(curve, reach)


def _verdict(curve: np.ndarray, reach: int) -> Verdict:
    usable = curve[curve > -1]
    if not len(usable):
        raise SpeechError("less than half of the pictures have sound; nothing can be said about sync")
    best, middle = int(curve.argmax()), float(np.median(usable))
    place = float(best - reach)
    if 0 < best < len(curve) - 1 and curve[best - 1] > -1 and curve[best + 1] > -1:
        a, b, c = (float(v) for v in curve[best - 1 : best + 2])
        place += 0.5 * (a - c) / (a - 2 * b + c) if a - 2 * b + c < -1e-9 else 0.0
    return Verdict(place, float(curve[best]) - middle, float(curve[reach]) - middle, curve)
