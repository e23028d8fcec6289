"""Separation by Demucs: its own network, saved as the hub has it, in pieces that add up."""

import importlib.util
import json

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from tiny_models import tiny_demucs

from lipsync.errors import CheckpointError
from lipsync.speech.separate import can_separate, load_separator, separate
from lipsync.types import Sound


@pytest.fixture(scope="module")
def demucs(tmp_path_factory):
    return tiny_demucs(tmp_path_factory.mktemp("models") / "demucs")


@pytest.mark.parametrize(("channels", "rate"), [(1, 16000), (2, 8000)])
def test_voice_and_background_add_up(demucs, channels, rate, monkeypatch):
    monkeypatch.setattr("lipsync.speech.separate.BLOCK_S", 1.0)
    monkeypatch.setattr("lipsync.speech.separate.OVERLAP_S", 0.2)
    samples = 0.1 * np.random.default_rng(0).standard_normal((round(2.3 * rate), channels)).astype(np.float32)
    voice, rest = (np.concatenate(parts) for parts in zip(*separate(Sound(samples, rate), str(demucs)), strict=True))
    assert voice.shape == rest.shape == samples.shape
    assert np.allclose(voice + rest, samples, atol=1e-6)
    assert np.abs(voice).max() > 1e-4


def test_a_header_that_names_anything_else_is_refused(demucs, tmp_path):
    state = load_file(demucs / "abc.safetensors")
    (tmp_path / "tiny.yaml").write_text("models: ['abc']\n")
    for header in ({"klass": "subprocess.Popen", "args": '[["touch", "x"]]', "kwargs": "{}"}, {}):
        save_file(state, tmp_path / "abc.safetensors", metadata=header)
        with pytest.raises(CheckpointError, match=r"names the network .*expected demucs"):
            load_separator(tmp_path)
    save_file(
        state,
        tmp_path / "abc.safetensors",
        metadata={"klass": "demucs.htdemucs.HTDemucs", "args": "[]", "kwargs": json.dumps({"no": 1})},
    )
    with pytest.raises(CheckpointError, match="do not fit"):
        load_separator(tmp_path)


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("LIPSYNC_MODELS", str(tmp_path))
    with pytest.raises(CheckpointError, match=r"htdemucs.*MIT.*lipsync models get htdemucs"):
        separate(Sound(np.zeros(100, np.float32), 8000))
    with pytest.raises(CheckpointError, match=r"no \.yaml|there is no"):
        load_separator(tmp_path)
    (tmp_path / "a.yaml").write_text("models: ['none']\n")
    with pytest.raises(CheckpointError, match=r"none\.safetensors"):
        load_separator(tmp_path)


def test_a_model_without_demucs_cannot_separate(demucs, monkeypatch):
    assert can_separate(str(demucs)) and not can_separate("no-such-model")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "demucs" else 1)
    assert not can_separate(str(demucs))
