"""Word times of a known text in a sound: planted warps, pauses and other voices come back."""

import csv
from collections import defaultdict

import numpy as np
import pytest

from lipsync.errors import SpeechError, VoiceError
from lipsync.media import read_sound
from lipsync.speech.align import align, warp_path, with_times
from lipsync.speech.voices.base import guess_language
from lipsync.speech.voices.espeak import EspeakVoice
from lipsync.types import Sound, Speech

TEXTS = {
    "en": "The quick brown fox jumps over the lazy dog near the river.",
    "hi": "आज मौसम बहुत अच्छा है और हम बाहर जा रहे हैं",
    "es": "La casa blanca está cerca del mar y del monte",
    "ar": "ذهب الولد إلى المدرسة في الصباح",
    "ru": "Сегодня мы идём гулять в большой парк",
}


def errors_ms(found, true):
    assert [word.text for word in found] == [word.text for word in true]
    return 1000 * np.array([(a.start_s - b.start_s, a.end_s - b.end_s) for a, b in zip(found, true, strict=True)])


@pytest.mark.parametrize("language", TEXTS)
def test_another_voice_at_another_speed(language):
    true = EspeakVoice(f"{language}+f3").speak(TEXTS[language], speed=1.25)
    words, phonemes = align(true.sound, TEXTS[language], language)
    errors = np.abs(errors_ms(words, true.words))
    assert np.median(errors) < 25 and errors.max() < 130, errors
    assert len(phonemes) == len(true.phonemes)


def test_planted_pauses_and_warps():
    voice = EspeakVoice("en+m3")
    text = "one seven four nine three eight two"
    parts = [(voice.speak(word, speed=speed), gap_s) for word, speed, gap_s in zip(
        text.split(), [1, 0.7, 1.4, 1, 0.8, 1.3, 1], [0.4, 0.1, 0.9, 0.0, 0.3, 0.15, 0.5], strict=True
    )]  # fmt: skip
    rate, pieces, truth, at_s = parts[0][0].sound.sample_rate_hz, [], [], 0.0
    for spoken, gap_s in parts:
        pieces.append(np.zeros(round(gap_s * rate), np.float32))
        at_s += len(pieces[-1]) / rate
        truth.append((at_s + spoken.words[0].start_s, at_s + spoken.words[0].end_s))
        pieces.append(spoken.sound.samples)
        at_s += spoken.sound.duration_s
    noise = np.random.default_rng(0).standard_normal(round(at_s * rate) + 9).astype(np.float32) * 1e-3
    sound = np.concatenate([*pieces, np.zeros(9, np.float32)])
    words, _ = align(Sound(0.2 * (sound + noise[: len(sound)]), rate), text, "en")
    starts = np.array([word.start_s for word in words])
    assert np.abs(starts - np.array(truth)[:, 0]).max() < 0.15
    assert np.median(np.abs(starts - np.array(truth)[:, 0])) < 0.05


def test_the_path_is_the_best_there_is():
    rng = np.random.default_rng(1)
    b = rng.standard_normal((40, 6))
    wanted = np.concatenate([np.arange(0, 20), np.repeat(np.arange(20, 30), 2), np.arange(30, 40, 2), [39]])
    path = warp_path(b[wanted] + 0.01 * rng.standard_normal((len(wanted), 6)), b)
    np.testing.assert_array_equal(path, wanted)
    for n in (14, 40, 90):
        path = warp_path(rng.standard_normal((n, 6)), b)
        assert path[0] == 0 and path[-1] == 39 and ((np.diff(path) >= 0) & (np.diff(path) <= 3)).all()


def test_times_lie_in_order_within_the_sound():
    rng = np.random.default_rng(2)
    for trial in range(6):
        text = " ".join(rng.choice(["to", "be", "a", "25", "house", "it's", "Straße", "I"], 8))
        true = EspeakVoice("en").speak(text, speed=float(rng.uniform(0.7, 1.6)))
        sound = Sound(np.pad(true.sound.samples, rng.integers(0, 20000, 2)), true.sound.sample_rate_hz)
        for items in align(sound, text, "en"):
            edges = np.array([(item.start_s, item.end_s) for item in items])
            assert (edges[:, 1] > edges[:, 0]).all() and (edges[1:, 0] >= edges[:-1, 1] - 1e-9).all(), (trial, text)
            assert edges[0, 0] >= 0 and edges[-1, 1] <= sound.duration_s + 0.02


def test_what_cannot_be_aligned():
    with pytest.raises(SpeechError, match=r"cannot hold|do not go with"):
        align(Sound(EspeakVoice("en").speak("No.").sound.samples[:3000], 22050), "A long text " * 30, "en")
    with pytest.raises(SpeechError, match="loud enough"):
        align(Sound(np.zeros(16000, np.float32), 16000), "Hello", "en")
    with pytest.raises(VoiceError):
        align(EspeakVoice("en").speak("Hello").sound, "Hello", "xx")
    silent = Speech(Sound(np.zeros(16000, np.float32), 16000), text="Hello", language="en")
    assert with_times(silent) is silent


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Hello", "en"), ("नमस्ते world", "hi"), ("你好", "cmn"), ("日本語です", "ja"), ("안녕", "ko"), ("Привет", "ru"),
        ("Привіт, їжак", "uk"), ("مرحبا", "ar"), ("کیا ہے ٹھیک", "ur"), ("چه خوب", "fa"), ("שלום", "he"),
        ("สวัสดี", "th"), ("வணக்கம்", "ta"), ("Γεια", "el"), ("123", "en"), ("", "en"), ("ሰላም", "am"),
    ],
)  # fmt: skip
def test_languages_by_their_letters(text, language):
    assert guess_language(text) == language


@pytest.mark.footage
def test_words_of_real_speech(footage):
    truth = defaultdict(list)
    with (footage / "grid_s1" / "words.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["word"] not in ("sil", "sp"):
                truth[row["clip"]].append((row["word"], float(row["start_s"]), float(row["end_s"])))
    errors = []
    for path in sorted((footage / "grid_s1" / "test").iterdir())[:10]:
        sound = read_sound(path)
        words, _ = align(sound, " ".join(word for word, _, _ in truth[path.stem]), "en-gb")
        for found, (_, start_s, end_s) in zip(words, truth[path.stem], strict=True):
            errors += [found.start_s + sound.start_s - start_s, found.end_s + sound.start_s - end_s]
    assert np.median(np.abs(errors)) < 0.05
