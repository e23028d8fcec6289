"""Scripts: speakers, pauses exact to a sample, sentences that join back to their text."""

import numpy as np
import pytest

from lipsync.errors import SpeechError, VoiceError
from lipsync.speech.script import Line, Pause, parse_script, read_script
from lipsync.speech.sentences import split_sentences
from lipsync.speech.speaking import LINE_PAUSE_S, SENTENCE_PAUSE_S, speak_script
from lipsync.speech.voices import open_voice
from lipsync.types import Sound, Speech, Timed


class ToneVoice:
    """Ten samples a character, and one word: the whole text. What it was asked is kept."""

    name, language, takes_text = "tone", "xx", True

    def __init__(self, rate_hz=8000, value=0.5):
        self.rate_hz, self.value, self.said = rate_hz, value, []

    def speak(self, text, *, speed=1.0):
        self.said.append(text)
        samples = np.full(round(10 * len(text) / speed), self.value, dtype=np.float32)
        end_s = len(samples) / self.rate_hz
        return Speech(Sound(samples, self.rate_hz), [Timed(text, 0.0, end_s)], [Timed("a", 0.0, end_s)], text, "xx")


def test_speakers_and_pauses_are_parsed():
    script = parse_script(
        "ANNA: Good morning. [pause 0.5] How are you?\n\nBEN JR: Fine!\nNote: at 10:30 we go.[pause 250ms]"
    )
    assert script.parts == (
        Line("Good morning.", "ANNA"),
        Pause(0.5),
        Line("How are you?", "ANNA"),
        Line("Fine!", "BEN JR"),
        Line("Note: at 10:30 we go."),
        Pause(0.25),
    )
    assert script.speakers == ["ANNA", "BEN JR", ""]


def test_known_speakers_count_in_any_case_and_script():
    script = parse_script("Anna: hi\nराम: नमस्ते\n小明：你好", speakers=["anna", "राम", "小明"])
    assert script.parts == (Line("hi", "anna"), Line("नमस्ते", "राम"), Line("你好", "小明"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("One.\nTwo [smile] three", r"line 2, column 5: unknown markup '\[smile\]'"),
        ("[pause] hi", r"line 1, column 1: unknown markup '\[pause\]'"),
        ("hi [pause -1]", r"unknown markup '\[pause -1\]'"),
        ("hi [pause 1", "without its closing bracket"),
        ("hi [pause 3600]", "longer than 60 s"),
        ("[pause 1]", "nothing to say"),
        ("…", "found only '…'"),
        ("", "an empty text"),
    ],
)
def test_faults_are_named(text, message):
    with pytest.raises(SpeechError, match=message):
        parse_script(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ('Dr. Smith and J. R. left! "Really?" she asked. It is 3.14. Bye', 4),
        ("नमस्ते। आप कैसे हैं? अच्छा।ठीक", 4),
        ("你好。世界！好吗？「好。」走", 5),
        ("كيف حالك؟ أنا بخير. شكرا", 3),
        ("One line\nanother line\n\nlast", 3),
        ("Wait... what? No… Yes.", 3),
        ("no end at all", 1),
        ("", 0),
    ],
)
def test_sentences(text, count):
    sentences = split_sentences(text)
    assert "".join(sentences) == text
    assert len(sentences) == count


def test_any_text_joins_back():
    rng = np.random.default_rng(0)
    alphabet = list("aB9é. .!?…\n\n  \"')।。！؟नमسل你,;:-")
    for _ in range(3000):
        text = "".join(rng.choice(alphabet, size=rng.integers(0, 40)))
        sentences = split_sentences(text)
        assert "".join(sentences) == text
        assert all(sentences)


def test_pauses_are_exact_and_times_are_shifted():
    voice = ToneVoice()
    speech = speak_script("Abc. Defg.\nHi. [pause 0.1234] Jk.", voice)
    assert voice.said == ["Abc.", "Defg.", "Hi.", "Jk."]
    sounding = np.flatnonzero(np.diff(np.concatenate([[0], speech.sound.samples != 0, [0]]).astype(int)))
    starts, ends = sounding[::2], sounding[1::2]
    assert (ends - starts).tolist() == [40, 50, 30, 30]
    pauses = [SENTENCE_PAUSE_S, LINE_PAUSE_S, 0.1234]
    assert (starts[1:] - ends[:-1]).tolist() == [round(pause * 8000) for pause in pauses]
    for timed in (speech.words, speech.phonemes):
        np.testing.assert_allclose([item.start_s for item in timed], starts / 8000, atol=1e-12)
        np.testing.assert_allclose([item.end_s for item in timed], ends / 8000, atol=1e-12)
    assert speech.text == "Abc. Defg. Hi. Jk." and speech.language == "xx"


def test_pauses_at_the_ends_and_in_a_row():
    speech = speak_script("[pause 1] A [pause 0.5] [pause 0.25] B [pause 2]", ToneVoice())
    assert len(speech.sound.samples) == round((1 + 0.75 + 2) * 8000) + 20
    assert speech.words[0].start_s == 1.0


def test_each_speaker_has_a_voice_at_the_first_ones_rate():
    anna, ben = ToneVoice(8000, 0.25), ToneVoice(16000, 0.5)
    text = "ANNA: Hello. I am Anna.\nBen: And I am Ben, " + "and so on " * 20
    speech = speak_script(text, {"Anna": anna, "BEN": ben})
    assert anna.said == ["Hello.", "I am Anna."] and len(ben.said) == 1
    assert speech.sound.sample_rate_hz == 8000
    last = speech.words[-1]
    assert last.end_s == pytest.approx(speech.sound.duration_s, abs=2 / 8000)
    middle = speech.sound.samples[round((last.start_s + last.end_s) / 2 * 8000)]
    assert middle == pytest.approx(0.5, abs=0.01)


def test_a_speaker_without_a_voice_is_named():
    with pytest.raises(VoiceError, match=r"no voice for CLARA.*ANNA"):
        speak_script("CLARA: Hello.", {"ANNA": ToneVoice()})
    with pytest.raises(VoiceError, match="no voice for the narrator"):
        speak_script("Hello.", {"ANNA": ToneVoice()})


def test_a_recording_is_said_whole_or_not_at_all():
    recording = ToneVoice()
    recording.takes_text = False
    speak_script("One. Two.", recording)
    assert recording.said == ["One. Two."]
    with pytest.raises(VoiceError, match="cannot speak a part"):
        speak_script("One. Two.", {"": recording})


def test_a_real_voice_speaks_a_script():
    speech = speak_script("ANNA: Good morning. [pause 0.5] नमस्ते। Bye!", open_voice(), speed=1.5)
    assert [word.text for word in speech.words] == ["Good", "morning", "नमस्ते", "Bye"]
    assert speech.words[2].start_s - speech.words[1].end_s == pytest.approx(0.5, abs=0.02)


def test_files(tmp_path):
    path = tmp_path / "script.txt"
    path.write_text("\ufeffANNA: Grüße.\r\n", encoding="utf-8")
    assert read_script(path).parts == (Line("Grüße.", "ANNA"),)
    path.write_bytes("Grüße".encode("latin-1"))
    with pytest.raises(SpeechError, match=r"script\.txt: not UTF-8"):
        read_script(path)
    path.write_text("hi [wave]")
    with pytest.raises(SpeechError, match=r"script\.txt: line 1, column 4: unknown markup"):
        read_script(path)
    with pytest.raises(SpeechError, match="cannot be read"):
        read_script(tmp_path / "none.txt")
