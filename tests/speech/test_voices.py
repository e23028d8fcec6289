"""Voices: sound with word and phoneme times inside it, the same every time, and errors that help."""

import threading
import wave

import numpy as np
import pytest

from lipsync.errors import SpeechError, VoiceError
from lipsync.media import write_wav
from lipsync.speech.voices import espeak_library, open_voice, voice_names
from lipsync.speech.voices.espeak import MARKS, STOPS, EspeakVoice

SENTENCES = {
    "espeak:en": ("Hello world, it's a small boat.", ["Hello", "world", "it's", "a", "small", "boat"]),
    "espeak:hi+f3": ("नमस्ते दुनिया। आप कैसे हैं?", ["नमस्ते", "दुनिया", "आप", "कैसे", "हैं"]),
    "espeak:es": ("¡Hola mundo! Año nuevo.", ["Hola", "mundo", "Año", "nuevo"]),
    "espeak:ar+m2": ("مرحبا بالعالم", ["مرحبا", "بالعالم"]),
}


def level_db(speech, start_s, end_s):
    rate_hz = speech.sound.sample_rate_hz
    part = speech.sound.samples[round(start_s * rate_hz) : round(end_s * rate_hz)]
    return 10 * np.log10(np.mean(part.astype(np.float64) ** 2) + 1e-12)


@pytest.mark.parametrize("name", SENTENCES)
def test_speaks_with_times_in_order_within_the_sound(name):
    text, expected = SENTENCES[name]
    speech = open_voice(name).speak(text)
    assert speech.sound.samples.dtype == np.float32 and speech.sound.samples.ndim == 1
    assert speech.sound.sample_rate_hz == 22050
    assert 0.05 < np.abs(speech.sound.samples).max() <= 1.0
    assert [word.text for word in speech.words] == expected
    assert speech.text == text and speech.language == name.split(":")[1].split("+")[0]
    for timed in (speech.words, speech.phonemes):
        edges = np.array([(item.start_s, item.end_s) for item in timed])
        assert (edges[:, 1] > edges[:, 0]).all()
        assert (edges[1:, 0] >= edges[:-1, 1] - 1e-9).all()
        assert edges[0, 0] >= 0 and edges[-1, 1] <= speech.sound.duration_s + 1e-9
    assert all(phoneme.text.strip(MARKS) for phoneme in speech.phonemes)


def test_phoneme_times_agree_with_the_sound():
    speech = open_voice("espeak:en").speak("A papa took a copper pot. Sing, mama!")
    stops = [item for item in speech.phonemes if item.text.lstrip(MARKS).startswith(STOPS)]
    assert len(stops) >= 7
    for stop in stops[1:]:  # closed at first: silent
        assert level_db(speech, stop.start_s + 0.012, stop.start_s + 0.032) < -60
    vowels = [item for item in speech.phonemes if item.text.lstrip(MARKS)[0] in "aɑɐɒəɪiʊuɛ"]
    assert len(vowels) >= 9
    for vowel in vowels:
        assert level_db(speech, vowel.start_s, vowel.end_s) > -35
    gap_start_s = next(item.end_s for item in speech.words if item.text == "pot")
    gap_end_s = next(item.start_s for item in speech.words if item.text == "Sing")
    assert gap_end_s - gap_start_s > 0.1
    assert level_db(speech, gap_start_s + 0.02, gap_end_s) < -60
    sing = next(item for item in speech.phonemes if item.start_s >= gap_end_s - 1e-9)
    assert sing.text == "s" and level_db(speech, sing.start_s, sing.start_s + 0.03) > -50


def test_numbers_stay_one_word_and_pictures_are_not_read():
    speech = open_voice("espeak:en").speak("I have 25 🙂 cats 🎉")
    assert [word.text for word in speech.words] == ["I", "have", "25", "cats"]
    plain = open_voice("espeak:en").speak("I have 25   cats  ")
    np.testing.assert_array_equal(speech.sound.samples, plain.sound.samples)


def test_the_same_text_gives_the_same_sound_whatever_came_before():
    voice = open_voice("espeak:en+f3")
    first = voice.speak("The same again.")
    open_voice("espeak:de+m3").speak("Etwas anderes.", speed=1.7)
    again = voice.speak("The same again.")
    np.testing.assert_array_equal(first.sound.samples, again.sound.samples)
    assert first.phonemes == again.phonemes


def test_threads_do_not_mix():
    texts = ["One.", "Two and two.", "Three and three and three."]
    alone = [open_voice().speak(text).sound.samples for text in texts]
    together = [np.zeros(0)] * len(texts)

    def say(index):
        together[index] = open_voice().speak(texts[index]).sound.samples

    threads = [threading.Thread(target=say, args=(index,)) for index in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for expected, found in zip(alone, together, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_speed_pitch_and_variant_change_the_sound():
    text = "This is a sentence of some length."
    normal = open_voice("espeak:en").speak(text)
    fast = open_voice("espeak:en").speak(text, speed=2.0)
    assert fast.sound.duration_s == pytest.approx(normal.sound.duration_s / 2, rel=0.15)
    high = EspeakVoice("en", pitch=90).speak(text).sound.samples
    other = open_voice("espeak:en+f2").speak(text).sound.samples
    for changed in (high, other):
        assert len(changed) != len(normal.sound.samples) or not np.allclose(changed, normal.sound.samples)


def test_names_open():
    names = voice_names()
    assert {"espeak:en", "espeak:hi", "espeak:es", "espeak:ar", "espeak:cmn"} <= set(names)
    assert len(names) > 100
    assert open_voice("espeak:EN_gb").language == "en-gb"
    assert open_voice("espeak:zh-CN").language == "cmn"
    assert open_voice().name == "espeak:en"


def test_every_language_speaks():
    text = "Banana 25. Τι κάνεις; Привет мир. 你好。 こんにちは नमस्ते مرحبا 안녕"
    for name in voice_names():
        speech = open_voice(name).speak(text)
        starts = [item.start_s for item in speech.phonemes]
        assert len(starts) > 10 and starts == sorted(starts), name
        assert all(character.isprintable() for item in speech.phonemes for character in item.text), name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("espeak:engl", "near ones: en"),
        ("espeak:", "known: af, am"),
        ("espeak:en+f33", "near ones: f3"),
        ("piper:en", "no such voice"),
        ("missing.wav", "no such file"),
    ],
)
def test_unknown_voices_are_refused_with_advice(name, expected):
    with pytest.raises(VoiceError, match=expected.replace("+", r"\+")):
        open_voice(name)


@pytest.mark.parametrize("pitch", [-1, 100])
def test_pitch_out_of_range(pitch):
    with pytest.raises(VoiceError, match="outside"):
        EspeakVoice("en", pitch=pitch)


@pytest.mark.parametrize("speed", [0.0, 0.4, 3.0, float("nan")])
def test_speed_out_of_range(speed):
    with pytest.raises(VoiceError, match="outside"):
        open_voice().speak("Hello", speed=speed)


@pytest.mark.parametrize("text", ["", "  \n", "…", "?!", "🙂🙂", "\0"])
def test_nothing_to_say(text):
    with pytest.raises(SpeechError, match="expected a letter or a digit"):
        open_voice().speak(text)


def test_a_missing_engine_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "espeakng_loader", None)
    with pytest.raises(VoiceError, match="pip install"):
        espeak_library.synthesize("Hello", "en", words_per_minute=175, pitch=50)


def test_a_long_data_path_works(monkeypatch, tmp_path):
    found = espeak_library._find_library()
    deep = tmp_path / ("d" * 200)
    deep.mkdir()
    (deep / "espeak-ng-data").symlink_to(found[1], target_is_directory=True)
    monkeypatch.setattr(espeak_library, "_find_library", lambda: (found[0], str(deep / "espeak-ng-data")))
    assert espeak_library.synthesize("Hello", "en", words_per_minute=175, pitch=50).samples.any()


def test_a_recording_is_a_voice(tmp_path):
    path = tmp_path / "said.wav"
    said = open_voice().speak("Hello there.").sound
    write_wav(path, said)
    voice = open_voice(path)
    speech = voice.speak("Hello there.")
    assert speech.words == [] and speech.text == "Hello there." and not voice.takes_text
    assert speech.sound.sample_rate_hz == said.sample_rate_hz and speech.sound.start_s == 0
    np.testing.assert_allclose(speech.sound.samples, said.samples, atol=1e-4)
    with pytest.raises(VoiceError, match="played as it is"):
        voice.speak("", speed=2.0)


@pytest.mark.parametrize("samples", [0, 8000])
def test_a_silent_or_empty_recording_is_refused(tmp_path, samples):
    path = tmp_path / "quiet.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, samples, "NONE", ""))
        file.writeframes(bytes(2 * samples))
    with pytest.raises(SpeechError, match=r"quiet\.wav.*give a file with speech"):
        open_voice(path).speak("")
