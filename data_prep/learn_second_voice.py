"""Learn the network of second_voice.py: clips of one voice, alone or with another person's voice under them.

Half of the sounds of a batch hold two voices, the second 4 dB louder to 10 dB softer. Every voice has a room, a band
and a level of its own; noise or held tones lie under half of all, so that none of these gives two voices away. A
frame is one of two voices when both sound in it and differ by less than _NEAR_DB; where they differ by up to _FAR_DB
nothing is learned. A seventh of the people is kept for testing.

    python -m data_prep.learn_second_voice DATASET... [--steps 600]
"""

import argparse
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from scipy import signal
from torch.nn import functional as F

from data_prep.second_voice import STEP, WEIGHTS, VoiceCounter, second_voice_share, spectra_of
from data_prep.voice_activity import voice_activity
from lipsync.media import read_sound
from lipsync.speech.features import HOP_SAMPLES, SAMPLE_RATE_HZ, mono_16k
from lipsync.training.clipstore import load_clips
from lipsync.types import Sound

_LENGTH = 2 * SAMPLE_RATE_HZ
_NEAR_DB, _FAR_DB = 12.0, 20.0
_HEARD_DB = 30.0  # under a voice's loud level
_VOICES, _UNDERS = 1100, 300  # cuts and backgrounds that are made once
_BATCH = 16


@dataclass(frozen=True)
class Voice:
    """The sound of one clip at 16 kHz, and who speaks."""

    samples: np.ndarray
    person: str

    @property
    def held_out(self) -> bool:
        """Whether this person is kept for testing."""
        return zlib.crc32(self.person.encode()) % 7 == 0


def collect(datasets: Sequence[Path]) -> list[Voice]:
    """The voices of clips that are not known to hold several, or music."""
    voices = []
    for clip in load_clips(list(datasets)):
        sound = read_sound(clip.folder / "clips" / f"{clip.record.id}.wav")
        if sound is not None and not clip.record.flags:
            voices.append(Voice(mono_16k(sound), clip.record.person or clip.record.source))
    return voices


def cut_voice(rng: np.random.Generator, voice: Voice) -> np.ndarray:
    """_LENGTH samples of a voice as another room and microphone would give them, RMS of what sounds at 0.1."""
    samples = voice.samples
    if len(samples) < _LENGTH:
        samples = np.pad(samples, (0, _LENGTH - len(samples)))
    first = int(rng.integers(0, len(samples) - _LENGTH + 1))
    out = samples[first : first + _LENGTH].astype(np.float64)
    if rng.random() < 0.5:
        decay_s = rng.uniform(0.03, 0.25)
        times_s = np.arange(int(2.5 * decay_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
        room = rng.standard_normal(len(times_s)) * np.exp(-times_s / decay_s * 3.5)
        room *= rng.uniform(0.1, 0.7) / np.linalg.norm(room)
        room[0] += 1.0
        out = np.asarray(signal.fftconvolve(out, room))[:_LENGTH]
    if rng.random() < 0.3:
        low, high = rng.uniform(60, 350), rng.uniform(2500, 7500)
        out = np.asarray(signal.sosfilt(signal.butter(2, (low, high), "band", fs=SAMPLE_RATE_HZ, output="sos"), out))
    loud = np.sqrt(np.percentile(power_of(out), 90))
    return (0.1 * out / max(float(loud), 1e-4)).astype(np.float32)


def power_of(samples: np.ndarray) -> np.ndarray:
    """Mean square per STEP: (T,)."""
    count = -(-len(samples) // STEP)
    return (np.pad(samples, (0, count * STEP - len(samples))).reshape(count, STEP).astype(np.float64) ** 2).mean(1)


def background(rng: np.random.Generator) -> np.ndarray:
    """Noise or chords of held tones, RMS up to 0.03: (_LENGTH,)."""
    if rng.random() < 0.6:
        noise = np.asarray(signal.lfilter([1], [1, -rng.uniform(0, 0.97)], rng.standard_normal(_LENGTH)))
    else:
        times_s = np.arange(_LENGTH) / SAMPLE_RATE_HZ
        noise = np.zeros(_LENGTH)
        for _ in range(int(rng.integers(2, 6))):
            root_hz, start = 440 * 2 ** (rng.integers(-24, 18) / 12), int(rng.integers(0, _LENGTH // 2))
            for part in range(1, 5):
                tone = np.sin(2 * np.pi * root_hz * part * times_s + rng.uniform(0, 6.3)) / part
                noise += np.where(np.arange(_LENGTH) >= start, tone, 0)
    return (noise / max(float(noise.std()), 1e-9) * 0.1 * 10 ** rng.uniform(-2.2, -0.5)).astype(np.float32)


class Mixer:
    """Batches from cuts of voices and backgrounds that are made once."""

    def __init__(self, rng: np.random.Generator, voices: Sequence[Voice]) -> None:
        self.rng = rng
        weight = np.sqrt([len(voice.samples) for voice in voices])
        drawn = [voices[i] for i in rng.choice(len(voices), _VOICES, p=weight / weight.sum())]
        self.people = [voice.person for voice in drawn]
        self.cuts = np.stack([cut_voice(rng, voice) for voice in drawn])
        self.power = np.stack([power_of(cut) for cut in self.cuts])
        self.under = np.stack([background(rng) for _ in range(_UNDERS)])

    def batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """P (_BATCH, 200, 100) and per frame 1 two voices, 0 one or none, −1 not to be learned (_BATCH, 50)."""
        rng, mixes, labels = self.rng, [], []
        for i in range(_BATCH):
            a, b = rng.integers(0, len(self.cuts), 2)
            mix, own, label = self.cuts[a].copy(), self.power[a], np.zeros(self.power.shape[1])
            if rng.random() < 0.5:
                mix += self.under[rng.integers(len(self.under))]
            if i % 2 and self.people[a] != self.people[b]:
                gain = 10 ** (-rng.uniform(-4, 10) / 20)
                then = self.power[b] * gain**2
                apart_db = 10 * np.abs(np.log10((own + 1e-9) / (then + 1e-9)))
                heard = np.minimum(own, then) > 0.01 * 10 ** (-_HEARD_DB / 10)
                label = np.where(heard & (apart_db < _NEAR_DB), 1.0, np.where(heard & (apart_db < _FAR_DB), -1.0, 0.0))
                mix += self.cuts[b] * np.float32(gain)
            mixes.append(spectra_of(mix))
            labels.append(label)
        return torch.from_numpy(np.stack(mixes)), torch.from_numpy(np.stack(labels)).float()


def learn(voices: Sequence[Voice], steps: int, seed: int = 0) -> VoiceCounter:
    """Train on the voices."""
    torch.manual_seed(seed)
    mixer, counter = Mixer(np.random.default_rng(seed), voices), VoiceCounter()
    optimizer = torch.optim.AdamW(counter.parameters(), 3e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    total = 0.0
    for step in range(1, steps + 1):
        spectra, labels = mixer.batch()
        logits, known = counter(spectra), labels >= 0
        loss = F.binary_cross_entropy_with_logits(logits[known], labels[known])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss.item()
        if step % 100 == 0:
            sys.stderr.write(f"step {step}: loss {total / 100:.3f}\n")
            total = 0.0
    return counter.eval()


def shares(voices: Sequence[Voice], counter: VoiceCounter, second_db: float | None, seed: int = 1) -> np.ndarray:
    """What second_voice_share says of each voice, with another person's voice under it by second_db, or alone."""
    rng, out = np.random.default_rng(seed), []
    for voice in voices:
        samples = voice.samples.astype(np.float64)
        spoken = np.repeat(voice_activity(Sound(voice.samples, SAMPLE_RATE_HZ)), HOP_SAMPLES)[: len(samples)]
        spoken = np.pad(spoken, (0, len(samples) - len(spoken)))
        if second_db is not None:
            others = [other for other in voices if other.person != voice.person]
            then = np.resize(others[rng.integers(len(others))].samples, len(samples))
            gain = np.sqrt((samples**2).mean() / max(float((then**2).mean()), 1e-9)) * 10 ** (second_db / 20)
            samples = samples + gain * then
        out.append(second_voice_share(samples.astype(np.float32), spoken, counter))
    return np.array(out)


def main(argv: Sequence[str] | None = None) -> int:
    """Learn, save, and say what is found of people that taught nothing."""
    parser = argparse.ArgumentParser("python -m data_prep.learn_second_voice", description="Learn to hear two voices.")
    parser.add_argument("dataset", type=Path, nargs="+", metavar="DATASET")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="where the weights are written")
    args = parser.parse_args(argv)
    voices = collect(args.dataset)
    counter = learn([voice for voice in voices if not voice.held_out], args.steps)
    values = counter.state_dict().items()
    halves = {name: (v.half() if v.is_floating_point() else v).contiguous() for name, v in values}
    save_file(halves, args.out)
    own = [voice for voice in voices if voice.held_out and len(voice.samples) > 2 * SAMPLE_RATE_HZ]
    for second_db in (None, 0.0, -6.0):
        found = shares(own, counter, second_db)
        points = ", ".join(f"{100 * (found > t).mean():.0f} % over {t}" for t in (0.1, 0.2, 0.3, 0.4))
        sys.stdout.write(f"held out, {len(own)} clips, second voice {second_db} dB: {points}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
