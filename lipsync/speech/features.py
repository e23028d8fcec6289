"""Sound → log-mel at 100 Hz, and windows of it around any frame times.

    X[k, f] = Σ_n w[n] · s[160·k + n − 256] · exp(−2πi·f·n/512)     Hann window of 400 samples inside 512, s at 16 kHz
    mel[k, m] = (log10(max(Σ_f H[m, f] · |X[k, f]|², 10⁻⁶)) + 2.5) / 3.5

Mel frame k is centred k/100 s after the sound's first sample; what lies outside the sound is silence. H: 80 triangles
on Slaney's scale, each of unit area, 0–8000 Hz. The scaling is fixed, never per clip: digital silence is −1 and speech
at SPEECH_LEVEL_DB peaks near +1. Call `log_mel(level(sound))` so that loud and soft recordings agree.

Source: Davis & Mermelstein 1980 for mel energies; Slaney 1998 (Auditory Toolbox) for the scale and the triangles.
"""

from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from lipsync.errors import SpeechError
from lipsync.types import Sound

if TYPE_CHECKING:
    import torch

SAMPLE_RATE_HZ = 16_000
MELS = 80
MEL_RATE_HZ = 100
FFT_SAMPLES = 512
WINDOW_SAMPLES = 400  # 25 ms
HOP_SAMPLES = SAMPLE_RATE_HZ // MEL_RATE_HZ  # 10 ms
MEL_FLOOR = 1e-6  # power; about 70 dB under the loudest speech
MEL_CENTRE = -2.5  # log10 power that maps to 0
MEL_HALF_RANGE = 3.5  # log10 power per unit
MEL_SILENCE = -1.0  # what the floor maps to: (log10(MEL_FLOOR) − MEL_CENTRE) / MEL_HALF_RANGE

SPEECH_LEVEL_DB = -23.0  # RMS of the parts that sound, dB of full scale
SILENCE_DB = -60.0  # RMS below this is silence
MAX_GAIN_DB = 30.0
GATE_BELOW_DB = 15.0  # a frame this far under the mean of the sounding frames does not count toward loudness
ACTIVE_BELOW_DB = 30.0  # a frame this far under the loud ones is a pause
SPEECH_SHARE = 0.35
STEADY_DB = 10.0  # less than this between quiet and loud: no pauses to be found
SPEECH_BAND_HZ = (300.0, 4000.0)
SMOOTH_FRAMES = 5  # of the levels, 50 ms
HANGOVER_S = 0.15  # shorter pauses (stop consonants) belong to the speech around them
BLOCK_FRAMES = 1_000  # ten seconds at a time: memory beyond input and result stays flat
_BLOCK_TIMES = 64  # windows cut at a time, as above


def mono_16k(sound: Sound) -> np.ndarray:
    """Mix down and resample (soxr, no delay): float32 (N,) at SAMPLE_RATE_HZ. SpeechError on an empty sound."""
    samples = np.asarray(sound.samples, dtype=np.float32)
    if samples.ndim == 2:
        samples = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
    if samples.ndim != 1 or samples.size == 0:
        raise SpeechError(f"the sound holds no samples (shape {sound.samples.shape}); give a file with speech in it")
    if not np.isfinite(samples).all():
        raise SpeechError("the sound holds samples that are not numbers (NaN or infinity); export it again")
    if sound.sample_rate_hz != SAMPLE_RATE_HZ:
        import librosa  # here and below: training on packed data does without it

        samples = librosa.resample(samples, orig_sr=sound.sample_rate_hz, target_sr=SAMPLE_RATE_HZ, res_type="soxr_hq")
    return np.ascontiguousarray(samples, dtype=np.float32)


@cache
def mel_filters() -> np.ndarray:
    """H: float32 (MELS, FFT_SAMPLES/2 + 1)."""
    import librosa

    return librosa.filters.mel(sr=SAMPLE_RATE_HZ, n_fft=FFT_SAMPLES, n_mels=MELS, fmin=0.0, fmax=SAMPLE_RATE_HZ / 2)


def log_mel(sound: Sound, *, device: str = "cpu") -> np.ndarray:
    """The log-mel of a sound, scaled to about [−1, 1].

    Args:
        sound: any rate, mono or (N, C); `start_s` is not applied (pass it to `mel_at`).
        device: "cpu" takes librosa; a CUDA device takes torch (and torchaudio's resampler when it is installed).

    Returns:
        float32 (T, MELS), T = 1 + N // HOP_SAMPLES with N samples at 16 kHz.

    Raises:
        SpeechError: the sound is empty or not finite.
    """
    if device != "cpu":
        return log_mel_torch(sound, device=device).cpu().numpy()
    import librosa

    samples = np.pad(mono_16k(sound), FFT_SAMPLES // 2)
    total = 1 + (len(samples) - FFT_SAMPLES) // HOP_SAMPLES
    mel = np.empty((total, MELS), dtype=np.float32)
    for first in range(0, total, BLOCK_FRAMES):
        last = min(total, first + BLOCK_FRAMES)
        block = samples[first * HOP_SAMPLES : (last - 1) * HOP_SAMPLES + FFT_SAMPLES]
        spectrum = librosa.stft(
            block, n_fft=FFT_SAMPLES, hop_length=HOP_SAMPLES, win_length=WINDOW_SAMPLES, center=False
        )
        power = mel_filters() @ np.abs(spectrum) ** 2
        mel[first:last] = (np.log10(np.maximum(power, MEL_FLOOR)).T - MEL_CENTRE) / MEL_HALF_RANGE
    return mel


def log_mel_torch(sound: Sound, *, device: str = "cpu") -> "torch.Tensor":
    """The same as `log_mel` in torch: float32 (T, MELS) on `device`. Resamples on a CUDA device by torchaudio."""
    import torch

    samples = _resampled_on(device, sound) if device.startswith("cuda") else None
    if samples is None:
        samples = torch.from_numpy(mono_16k(sound)).to(device)
    samples = torch.nn.functional.pad(samples, (FFT_SAMPLES // 2, FFT_SAMPLES // 2))
    window = torch.hann_window(WINDOW_SAMPLES, periodic=True, device=device)
    spectrum = torch.stft(
        samples, FFT_SAMPLES, HOP_SAMPLES, WINDOW_SAMPLES, window=window, center=False, return_complex=True
    )
    power = torch.from_numpy(mel_filters()).to(device) @ (spectrum.real**2 + spectrum.imag**2)
    return (power.clamp_min(MEL_FLOOR).log10().T - MEL_CENTRE) / MEL_HALF_RANGE


def _resampled_on(device: str, sound: Sound) -> "torch.Tensor | None":
    """(N,) at 16 kHz through torchaudio's Kaiser-windowed sinc; None where torchaudio is not installed."""
    import torch

    try:
        from torchaudio.functional import resample  # pyright: ignore[reportMissingImports]
    except (ImportError, OSError):
        return None
    if sound.samples.size == 0 or not np.isfinite(sound.samples).all():
        mono_16k(sound)  # raises
    samples = torch.from_numpy(np.asarray(sound.samples, dtype=np.float32)).to(device)
    samples = samples.mean(dim=1) if samples.ndim == 2 else samples
    return resample(
        samples,
        sound.sample_rate_hz,
        SAMPLE_RATE_HZ,
        lowpass_filter_width=64,
        rolloff=0.9476,
        resampling_method="sinc_interp_kaiser",
        beta=14.77,
    )


def mel_at(mel: np.ndarray, times_s: np.ndarray, *, start_s: float, half_width: int) -> np.ndarray:
    """Windows of a log-mel around arbitrary frame times, so that any frame rate works.

    Args:
        mel: (T, MELS), frame k at start_s + k / MEL_RATE_HZ.
        times_s: (F,) the frames' times.
        start_s: time of the sound's first sample on the same clock (`Sound.start_s`).
        half_width: mel frames on each side.

    Returns:
        float32 (F, 2·half_width + 1, MELS): row j lies (j − half_width) / MEL_RATE_HZ s from the frame's time, linear
        between mel frames; silence outside the sound.
    """
    offsets = np.arange(-half_width, half_width + 1)
    times_s = np.asarray(times_s, dtype=np.float64)[:, None] - start_s
    silence = np.full((1, mel.shape[1]), MEL_SILENCE, dtype=np.float32)
    padded = np.concatenate([silence, mel, silence])
    windows = np.empty((len(times_s), len(offsets), mel.shape[1]), dtype=np.float32)
    for first in range(0, len(times_s), _BLOCK_TIMES):
        rows = slice(first, first + _BLOCK_TIMES)
        position = np.clip(times_s[rows] * MEL_RATE_HZ + offsets + 1, 0, len(padded) - 1)
        lower = np.minimum(position.astype(np.int64), len(padded) - 2)
        weight = (position - lower)[..., None]
        windows[rows] = padded[lower] * (1 - weight) + padded[lower + 1] * weight
    return windows


def frame_levels_db(samples: np.ndarray) -> np.ndarray:
    """RMS of 25 ms around each mel frame, dB of full scale: float32 (T,), −120 at silence. `samples`: (N,), 16 kHz."""
    total = 1 + len(samples) // HOP_SAMPLES
    mean = np.empty(total)
    for begun in range(0, total, BLOCK_FRAMES):
        centres = np.arange(begun, min(total, begun + BLOCK_FRAMES)) * HOP_SAMPLES
        last = np.minimum(centres + WINDOW_SAMPLES // 2, len(samples))
        first = np.maximum(centres - WINDOW_SAMPLES // 2, 0)
        energy = np.concatenate([[0.0], np.cumsum(samples[first[0] : last[-1]].astype(np.float64) ** 2)])
        mean[begun : begun + len(centres)] = (energy[last - first[0]] - energy[first - first[0]]) / WINDOW_SAMPLES
    return (10 * np.log10(np.maximum(mean, 1e-12))).astype(np.float32)


def loudness_db(sound: Sound) -> float:
    """RMS of the frames that sound, in dB of full scale; −inf for silence. Gated twice, after ITU-R BS.1770-4."""
    return gated_loudness_db(frame_levels_db(mono_16k(sound)))


def gated_loudness_db(levels_db: np.ndarray) -> float:
    """The same from the levels (T,) of its frames, for sound that is read in parts."""
    power = 10 ** (levels_db / 10)
    sounding = power[power > 10 ** (SILENCE_DB / 10)]
    if sounding.size == 0:
        return -np.inf
    loud = sounding[sounding >= sounding.mean() * 10 ** (-GATE_BELOW_DB / 10)]
    return float(10 * np.log10(loud.mean()))


def level(sound: Sound, loudness: float | None = None) -> Sound:
    """The same sound at SPEECH_LEVEL_DB; silence stays as it is, and the gain is at most MAX_GAIN_DB.

    For features, not for the ear: peaks may pass full scale. `loudness`: of the whole where this is a part, in dB.
    """
    loudness = loudness_db(sound) if loudness is None else loudness
    if not np.isfinite(loudness):
        return sound
    gain_db = min(SPEECH_LEVEL_DB - loudness, MAX_GAIN_DB)
    samples = np.asarray(sound.samples, dtype=np.float32) * np.float32(10 ** (gain_db / 20))
    return Sound(samples, sound.sample_rate_hz, sound.start_s)


def speech_activity(sound: Sound) -> np.ndarray:
    """Where something is said, by energy between 300 and 4000 Hz: bool (T,), one per mel frame.

    The threshold lies SPEECH_SHARE of the way from the quiet to the loud parts, in dB. Silence has none; a sound that
    is steady throughout counts as speech throughout. Pauses up to HANGOVER_S belong to the speech around them.
    """
    import librosa

    mel = log_mel(level(sound))
    bands_hz = librosa.mel_frequencies(MELS + 2, fmin=0.0, fmax=SAMPLE_RATE_HZ / 2)[1:-1]
    band = (bands_hz > SPEECH_BAND_HZ[0]) & (bands_hz < SPEECH_BAND_HZ[1])
    power = 10 ** (mel[:, band] * MEL_HALF_RANGE + MEL_CENTRE)
    levels = 10 * np.log10(power.mean(axis=1))
    box = np.full(SMOOTH_FRAMES, 1 / SMOOTH_FRAMES)
    levels = np.convolve(np.pad(levels, SMOOTH_FRAMES // 2, mode="edge"), box, "valid")
    quiet, loud = np.percentile(levels, [5, 95])
    threshold = max(loud - ACTIVE_BELOW_DB, 10 * np.log10(MEL_FLOOR) + 5.0)
    if loud - quiet > STEADY_DB:
        threshold = max(threshold, quiet + SPEECH_SHARE * (loud - quiet))
    return _close_gaps(levels > threshold, int(HANGOVER_S * MEL_RATE_HZ))


def _close_gaps(active: np.ndarray, longest: int) -> np.ndarray:
    """Fill runs of False of at most `longest` frames between True ones."""
    filled = active.copy()
    on = np.flatnonzero(active)
    for before, after in pairwise(on):
        if 1 < after - before <= longest + 1:
            filled[before:after] = True
    return filled
