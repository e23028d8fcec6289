"""The Kokoro voice: its own loading code, on a model of the real architecture made on the spot, with random weights."""

import json
import warnings

import numpy as np
import pytest
import torch

from lipsync.errors import CheckpointError, SpeechError, VoiceError
from lipsync.speech.voices import kokoro, open_voice
from lipsync.speech.voices.kokoro import WEIGHTS

pytest.importorskip("kokoro", reason='the extra: pip install "lipsync[kokoro]"')
LETTERS = ';:,.!?—…"() abcdefhijklmnopqrstuvwxyzæðŋɑɔəɚɛɜɡɪɹɾʃʊʌʒʤʧˈˌːθᵊAIOQWYᵻɐɒβɲɣʁø'


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model folder as the hub has it: config.json, one .pth of five parts, voices as tensors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from kokoro.model import KModel
    found = tmp_path_factory.mktemp("kokoro")
    config = {
        "vocab": {letter: number for number, letter in enumerate(LETTERS, start=1)},
        "n_token": len(LETTERS) + 2, "hidden_dim": 512, "style_dim": 128, "n_layer": 1, "max_dur": 10, "dropout": 0.0,
        "dim_in": 64, "n_mels": 80, "text_encoder_kernel_size": 3,
        "plbert": {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 32, "num_hidden_layers": 1,
                   "max_position_embeddings": 512, "dropout": 0.0},
        "istftnet": {"upsample_kernel_sizes": [20, 12], "upsample_rates": [10, 6], "gen_istft_hop_size": 5,
                     "gen_istft_n_fft": 20, "resblock_dilation_sizes": [[1, 1, 1]], "resblock_kernel_sizes": [3],
                     "upsample_initial_channel": 512},
    }  # fmt: skip
    (found / "config.json").write_text(json.dumps(config))
    torch.save({}, found / WEIGHTS)
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = KModel(repo_id="none", config=str(found / "config.json"), model=str(found / WEIGHTS))
    parts = ("bert", "bert_encoder", "predictor", "decoder", "text_encoder")
    torch.save({part: getattr(model, part).state_dict() for part in parts}, found / WEIGHTS)
    (found / "voices").mkdir()
    for name in ("af_heart", "ef_dora"):
        torch.save(torch.randn(510, 1, 256), found / "voices" / f"{name}.pt")
    yield found
    (found / WEIGHTS).unlink()


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("af_heart", "Good morning. It's 25!", ["Good", "morning", "It's", "25"]),
        ("ef_dora", "Sí, amigo.", ["Sí", "amigo"]),
    ],
)
def test_speaks_with_the_models_own_times(folder, name, text, words):
    voice = open_voice(f"kokoro:{name}@{folder}")
    speech = voice.speak(text)
    assert speech.sound.sample_rate_hz == 24000 and speech.sound.samples.ndim == 1
    assert np.isfinite(speech.sound.samples).all() and speech.sound.samples.any()
    assert [word.text for word in speech.words] == words and speech.language == voice.language
    for items in (speech.words, speech.phonemes):
        edges = np.array([(item.start_s, item.end_s) for item in items])
        assert (edges[:, 1] > edges[:, 0]).all() and (edges[1:, 0] >= edges[:-1, 1] - 1e-9).all()
        assert edges[0, 0] > 0 and edges[-1, 1] <= speech.sound.duration_s + 1e-6
        np.testing.assert_allclose(edges * 40, np.rint(edges * 40), atol=1e-6)  # in frames of 25 ms
    again = voice.speak(text)
    np.testing.assert_array_equal(again.sound.samples, speech.sound.samples)


def test_letters_are_the_models(folder):
    voice = open_voice(f"kokoro:af_heart@{folder}")
    letters = "".join(letter for letter, _ in voice._tokens("Hey, how high? Church.", set(LETTERS)))
    assert letters == "hˈA, hˌW hˈI? ʧˈɜɹʧ."


def test_long_texts_go_through_in_parts(folder, monkeypatch):
    monkeypatch.setattr(kokoro, "MOST_CHARACTERS", 12)
    text = "one two, six ten, "
    speech = open_voice(f"kokoro:af_heart@{folder}").speak(text)
    assert [word.text for word in speech.words] == ["one", "two", "six", "ten"]
    assert all(a.end_s <= b.start_s + 1e-9 for a, b in zip(speech.words, speech.words[1:], strict=False))


def test_what_is_missing_is_named(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("LIPSYNC_MODELS", str(tmp_path))
    with pytest.raises(
        CheckpointError, match=r"kokoro-82m is not here.*360 MB, licence Apache-2.0.*models get kokoro-82m"
    ):
        open_voice("kokoro:af_heart").speak("Hello")
    with pytest.raises(CheckpointError, match="no such voice; there are: af_heart, ef_dora"):
        open_voice(f"kokoro:bm_george@{folder}").speak("Hello")
    with pytest.raises(CheckpointError, match=r"config\.json: not there"):
        open_voice(f"kokoro:af_heart@{tmp_path}").speak("Hello")


def test_names_that_are_none():
    with pytest.raises(VoiceError, match=r"Japanese needs a Kokoro server"):
        open_voice("kokoro:jf_alpha")
    with pytest.raises(VoiceError, match="no voice's name"):
        open_voice("kokoro:heart")
    assert open_voice("kokoro:af_heart", "hi").name == "espeak:hi+f3"
    with pytest.raises(SpeechError):
        open_voice("kokoro:af_heart").speak("🙂")
