"""Does a second person speak under the first? A small network hears it in the harmonics of 64 ms of sound.

    P = log|STFT|² of windows of 1024 samples every 320, 16 kHz, 94 Hz to 3.2 kHz; 0 is its loud level, −60 dB its least
    p(t) = σ(f(P)(t)) every 40 ms        share = part of the spoken frames with p > ½

Learned by data_prep/learn_second_voice.py from clips of one voice, alone and two together. Two voices are two combs of
harmonics that cross; no rule found for that held (a second pitch after the first was taken off found 4 of 33 voices).
51 clips of people who taught nothing, a second voice under them: share above 0.3 in 71 % when it is as loud, in 49 %
when 6 dB softer; in 2 of 81 clips as they are. (The 0.3 was read off 40 of the 51.)
"""

from functools import cache
from pathlib import Path

import librosa
import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

WEIGHTS = Path(__file__).with_name("second_voice.safetensors")
FFT, HOP, FIRST, LAST = 1024, 320, 6, 206  # samples; bins of 15.6 Hz
STEP = 2 * HOP  # samples between two values of p
_RANGE_DB, _LOUD = 60.0, 95.0  # percentile of the loudest bins
_BLOCK, _BESIDE = 1500, 32  # frames of P at a time, half a minute, and those before and after it that it depends on


class VoiceCounter(nn.Module):
    """P (B, 200, T), −1 to 1 → logits (B, ⌈T / 2⌉) that two speak."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(1, 16, 5, 2, 2), nn.SiLU()]
        for before, after in ((16, 32), (32, 48), (48, 48), (48, 48)):
            layers += [nn.Conv2d(before, after, 3, (2, 1), 1), nn.BatchNorm2d(after), nn.SiLU()]
        self.seen = nn.Sequential(*layers)
        self.heard = nn.Sequential(
            nn.Conv1d(48 * 7, 40, 5, 1, 2), nn.SiLU(), nn.Dropout(0.2), nn.Conv1d(40, 1, 5, 1, 2)
        )

    def forward(self, spectra: Tensor) -> Tensor:
        """See the class."""
        return self.heard(self.seen(spectra[:, None]).flatten(1, 2))[:, 0]


def spectra_of(samples: np.ndarray) -> np.ndarray:
    """P of sound (N,) at 16 kHz: float32 (200, ⌈N / 320⌉), −1 to about 1; its level is taken out."""
    power = np.abs(librosa.stft(samples, n_fft=FFT, hop_length=HOP)[FIRST:LAST]) ** 2
    level_db = 10 * np.log10(power[:, : -(-len(samples) // HOP)] + 1e-10)
    loud_db = np.percentile(level_db.max(0), _LOUD)
    return (np.clip(level_db - loud_db, -_RANGE_DB, 0) / (_RANGE_DB / 2) + 1).astype(np.float32)


@cache
def load_counter() -> VoiceCounter:
    """The network with its shipped weights."""
    counter = VoiceCounter()
    counter.load_state_dict({name: v.float() if v.is_floating_point() else v for name, v in load_file(WEIGHTS).items()})
    return counter.eval()


def two_voices(samples: np.ndarray, counter: VoiceCounter | None = None) -> np.ndarray:
    """How likely two speak at once, every STEP samples of sound (N,) at 16 kHz: float32 (⌈N / STEP⌉,)."""
    spectra, parts = torch.from_numpy(spectra_of(samples))[None], []
    count = spectra.shape[2]
    with torch.inference_mode():
        for first in range(0, count, _BLOCK):
            begun = max(0, first - _BESIDE)
            logits = (counter or load_counter())(spectra[:, :, begun : first + _BLOCK + _BESIDE])[0]
            start = (first - begun) // 2
            parts.append(logits[start : start + -(-min(_BLOCK, count - first) // 2)])
    return torch.sigmoid(torch.cat(parts)).numpy()


def second_voice_share(samples: np.ndarray, spoken: np.ndarray, counter: VoiceCounter | None = None) -> float:
    """Part of the `spoken` (N,) time of sound (N,) at 16 kHz in which two speak; 0 where nothing is said."""
    found = two_voices(samples, counter)
    on = spoken[np.minimum(np.arange(len(found)) * STEP, len(spoken) - 1)]
    return float((found[on] > 0.5).mean()) if on.any() else 0.0
