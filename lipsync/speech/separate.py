"""Voice out of a mix by Demucs (extra `separate`): what is not voice is the background, kept as it is.

A model is a folder as the hub has it: NAME.yaml lists the parts of a bag, each a .safetensors whose header names the
network and its sizes. Only Demucs' own networks are built: a header that names anything else is refused.

Source: Défossez et al. 2021 (Demucs), Rouard et al. 2023 (HTDemucs).
"""

import importlib.util
import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from lipsync.errors import CheckpointError
from lipsync.media.supply import SoundSupply
from lipsync.progress import Progress, Silent
from lipsync.speech.blocks import between, supply_of
from lipsync.speech.hub import DEFAULTS, SEPARATOR, has_model, model_folder
from lipsync.types import Sound

NETWORKS = ("demucs.demucs.Demucs", "demucs.hdemucs.HDemucs", "demucs.htdemucs.HTDemucs")
BLOCK_S, OVERLAP_S = 60.0, 1.0  # memory stays that of a block
CONTEXT_S = 0.1  # more on both sides, for the resampler
VOICE = "vocals"


def can_separate(model: str = DEFAULTS[SEPARATOR]) -> bool:
    """Whether both Demucs and the model are there."""
    return has_model(model) and importlib.util.find_spec("demucs") is not None


def separate(
    sound: Sound | SoundSupply,
    model: str = DEFAULTS[SEPARATOR],
    *,
    end_s: float | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(voice, background) block after block: float32 (n, C) each, at the sound's rate; they add up to it.

    Args:
        sound: heard from time 0 of its clock on.
        model: a name that `lipsync models` knows, or a folder.
        end_s: where it ends; None: with its last sample.

    Raises:
        CheckpointError: Demucs is not installed, or its model is not there (says how to get it), or is none.
    """
    supply, progress = supply_of(sound), progress or Silent()
    networks = load_separator(model_folder(model, SEPARATOR), device)
    length = round((supply.end_s if end_s is None else end_s) * supply.rate)
    return _separated(supply, length, networks, device, progress)


def _separated(
    supply: SoundSupply, length: int, networks: list[Any], device: str, progress: Progress
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Blocks of BLOCK_S, each heard from OVERLAP_S before, over which it is blended with the one before."""
    block, overlap = round(BLOCK_S * supply.rate), round(OVERLAP_S * supply.rate)
    context = round(CONTEXT_S * supply.rate)
    tail = np.zeros((0, supply.channels), np.float32)  # the end of the block before, to be blended with the next
    progress.start("separating voice and background", length / supply.rate, "seconds")
    for first in range(0, length, block):
        low, high = max(0, first - overlap), min(length, first + block)
        samples = between(supply, low - context, high + context)
        voice = _voice(samples, supply.rate, networks, device)[context : context + high - low]
        if len(tail):
            fade = np.linspace(0, 1, len(tail), dtype=np.float32)[:, None]
            voice[: len(tail)] = tail * (1 - fade) + voice[: len(tail)] * fade
        held = overlap if high < length else 0
        tail, voice = voice[len(voice) - held :], voice[: len(voice) - held]
        yield voice, samples[context : context + len(voice)] - voice
        progress.advance((high - first) / supply.rate)
    progress.done()


def _voice(samples: np.ndarray, rate_hz: int, networks: list[Any], device: str) -> np.ndarray:
    """The voice in (N, C): float32 (N, C)."""
    import librosa
    import torch
    from demucs.apply import apply_model

    rate = int(networks[0].samplerate)
    stereo = samples[:, :2] if samples.shape[1] >= 2 else np.repeat(samples, 2, axis=1)
    mix = librosa.resample(stereo, orig_sr=rate_hz, target_sr=rate, axis=0, res_type="soxr_hq")
    part = torch.from_numpy(np.ascontiguousarray(mix.T))
    mean, spread = part.mean(), part.std() + 1e-8
    found = torch.zeros_like(part)
    with torch.inference_mode():
        for network in networks:
            sources = apply_model(network, ((part - mean) / spread)[None], shifts=0, device=device)[0]
            found += sources[list(network.sources).index(VOICE)].cpu() * spread / len(networks)
    voice = librosa.resample(found.numpy().T, orig_sr=rate, target_sr=rate_hz, axis=0, res_type="soxr_hq")
    voice = np.pad(voice, ((0, max(0, len(samples) - len(voice))), (0, 0)))[: len(samples)]
    if samples.shape[1] == 1:
        voice = voice.mean(1, keepdims=True)
    elif samples.shape[1] > 2:  # the voice sits in the front; the other channels stay
        voice = np.pad(voice, ((0, 0), (0, samples.shape[1] - 2)))
    return voice.astype(np.float32)


def load_separator(folder: Path, device: str = "cpu") -> list[Any]:
    """The networks of a Demucs bag. Raises CheckpointError when it is none, or Demucs is not installed."""
    try:
        import yaml
        from demucs.states import set_state
    except ImportError as error:
        raise CheckpointError('demucs is not installed; get it with: pip install "lipsync[separate]"') from error
    bags = sorted(folder.glob("*.yaml"))
    if not bags:
        raise CheckpointError(f"{folder}: no Demucs: there is no .yaml in it that lists its parts")
    try:
        names = [str(name) for name in yaml.safe_load(bags[0].read_text(encoding="utf-8"))["models"]]
    except (yaml.YAMLError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{bags[0]}: no list of models in it: {error}") from error
    networks = []
    for name in names:
        network, state = _build(folder / f"{Path(name).name}.safetensors")
        set_state(network, state)
        if VOICE not in network.sources:
            raise CheckpointError(f"{folder}: separates {', '.join(network.sources)}, but no {VOICE}")
        networks.append(network.to(device).eval())
    return networks


def _build(path: Path) -> tuple[Any, dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            header = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  no mapping
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot be read as safetensors: {error}") from error
    if header.get("klass") not in NETWORKS or "structure" in header:
        raise CheckpointError(f"{path}: names the network {header.get('klass')!r}, expected {', '.join(NETWORKS)}")
    module, _, name = header["klass"].rpartition(".")
    try:
        arguments, settings = _plain(json.loads(header["args"])), _plain(json.loads(header["kwargs"]))
        network = getattr(importlib.import_module(module), name)(*arguments, **settings)
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path}: the network's sizes in its header do not fit: {error}") from error
    return network, state


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get("_type") == "fraction":
            return Fraction(value["numerator"], value["denominator"])
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
