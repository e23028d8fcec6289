"""Script markup, the header, and takes: an edit says only its own sentence again."""

import numpy as np
import pytest

from lipsync.cli import main
from lipsync.errors import SpeechError, UsageError, VoiceError
from lipsync.media import write_wav
from lipsync.speech.script import LANGUAGE_PAUSE_S, Line, Pause, parse_script
from lipsync.speech.speaking import plan_sentences, speak_turns
from lipsync.speech.takes import Takes
from lipsync.speech.voices import Mark, open_voice
from lipsync.studio.scenes import SceneOrder, read_cast, settle
from lipsync.types import Sound, Speech, Timed


class CountingVoice:
    """A tone a sentence; keeps what it was asked."""

    name, takes_text, takes_marks = "counting", True, True

    def __init__(self, language="en"):
        self.language, self.said = language, []

    def speak(self, text, *, speed=1.0, marks=()):
        self.said.append((text, self.language, tuple(marks)))
        samples = np.full(100 * len(text), 0.25, np.float32)
        return Speech(Sound(samples, 8000), [Timed(text, 0.0, len(samples) / 8000)], [], text, self.language)

    def in_language(self, language):
        other = CountingVoice(language)
        other.said = self.said
        return other


def test_markup_is_parsed():
    script = parse_script(r"A [strong: really] \[big\] day. I saw [say nəˈvɑːdə: Nevada]! [lang hi: नमस्ते] ok")
    text = "A really [big] day. I saw Nevada!"
    marks = (Mark(2, 8, emphasis=True), Mark(26, 32, ipa="nəˈvɑːdə"))
    pause = Pause(LANGUAGE_PAUSE_S)
    assert script.parts == (Line(text, "", marks), pause, Line("नमस्ते", "", (), "hi"), pause, Line("ok"))
    first, _, second, *_ = plan_sentences(script)
    assert first == Line("A really [big] day.", "", (Mark(2, 8, emphasis=True),))
    assert second == Line("I saw Nevada!", "", (Mark(6, 12, ipa="nəˈvɑːdə"),))


def test_languages_and_marks_reach_the_voice():
    voice = CountingVoice()
    spoken = speak_turns("ANNA: [strong: So] it is. [lang hi: नमस्ते दोस्त।] Bye", {"ANNA": voice})
    assert [(text, language) for text, language, _ in voice.said] == [
        ("So it is.", "en"), ("नमस्ते दोस्त।", "hi"), ("Bye", "en"),
    ]  # fmt: skip
    assert voice.said[0][2] == (Mark(0, 2, emphasis=True),)
    assert [turn.speaker for turn in spoken.turns] == ["ANNA"] * 3
    for turn, word in zip(spoken.turns, spoken.speech.words, strict=True):
        assert (turn.start_s, turn.end_s) == (word.start_s, word.end_s)


def test_an_unknown_language_is_named_with_its_place():
    with pytest.raises(VoiceError, match=r"line 3, column 7: \[lang xx: …\]: no espeak voice for the language 'xx'"):
        speak_turns("One.\n\nANNA: [lang xx: Hola. Adiós].", {"ANNA": open_voice(), "": open_voice()})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("One.\n\nTwo [smile]", r"line 3, column 5: unknown markup '\[smile\]'; known: \[pause 0.5\], \[strong"),
        ("ANNA: a [strong: ]", "line 1, column 9: unknown markup"),
        ("a [strong: …] b", "line 1, column 3: .*holds nothing that can be said"),
        ("a [say: word]", "line 1, column 3: unknown markup"),
        ("a [say x!: word]", r"line 1, column 3: '!' in 'x!' is no IPA symbol"),
        ("hello ] there", "line 1, column 7: a closing bracket without markup"),
        ("hello [lang hi नमस्ते]", "line 1, column 7: unknown markup"),
        ("a [strong: b", "line 1, column 3: markup without its closing bracket"),
        ("---\nANNA: voice=\n---\nhi", "line 2: 'voice=' is no value"),
        ("---\nANNA: colour=red\n---\nhi", "line 2: 'colour=red' is unknown; known: person="),
        ("---\nANNA: voice=a voice=b\n---\nhi", "line 2: 'voice=b' is twice there"),
        ("---\nANNA: person='An\n---\nhi", "line 2: .*a quote is left open"),
        ("---\nwho\n---\nhi", "line 2: 'who'; expected in the header"),
        ("---\nANNA: Anna\nBEN: Ben", "line 1: the header has no end"),
    ],
)
def test_faults_have_a_place(text, message):
    with pytest.raises(SpeechError, match=message):
        parse_script(text)


def test_any_text_is_parsed_or_refused_with_a_line():
    rng = np.random.default_rng(3)
    pieces = ["[pause 1]", "[strong: x]", "[say a: b]", "[lang hi: न]", "[", "]", "\\[", "ANNA: ", "word. ", "\n",
              "नमस्ते। ",
              "你好。", "مرحبا؟ ", "---\n", "สวัสดี ", "🙂", " "]  # fmt: skip
    for _ in range(1500):
        text = "".join(rng.choice(pieces, rng.integers(1, 12)))
        try:
            plan = plan_sentences(parse_script(text))
        except SpeechError as error:
            assert "line" in str(error) or "nothing to say" in str(error)
            continue
        lines = [piece for piece in plan if isinstance(piece, Line)]
        assert lines and all(line.text == line.text.strip() != "" for line in lines)
        assert all(0 <= mark.start < mark.end <= len(line.text) for line in lines for mark in line.marks)


def test_an_edit_says_only_its_own_sentence(tmp_path):
    voice, takes = CountingVoice(), Takes(tmp_path / "takes")
    first = speak_turns("One. Two [strong: now]. Three.", voice, takes=takes)
    assert len(voice.said) == 3
    again = speak_turns("One. Two [strong: now]. Three.", voice, takes=takes)
    assert len(voice.said) == 3
    np.testing.assert_array_equal(again.speech.sound.samples, first.speech.sound.samples)
    assert again.turns == first.turns and again.speech.words == first.speech.words
    speak_turns("One. Two [strong: then]. Three.", voice, takes=takes)
    assert [text for text, *_ in voice.said[3:]] == ["Two then."]
    speak_turns("One. Two now. Three.", voice, takes=takes)
    assert [text for text, *_ in voice.said[4:]] == ["Two now."]  # without emphasis it is another take
    speak_turns("One. Two now. Three.", voice, takes=takes, again=[3])
    assert [text for text, *_ in voice.said[5:]] == ["Three."]
    with pytest.raises(VoiceError, match="no sentence 4: the script has 3"):
        speak_turns("One. Two. Three.", voice, takes=takes, again=[4])


def test_a_take_can_be_replaced_by_hand_and_damage_is_named(tmp_path):
    voice, takes = CountingVoice(), Takes(tmp_path)
    speak_turns("One.", voice, takes=takes)
    path = next(tmp_path.glob("*.wav"))
    write_wav(path, Sound(np.full(4000, 0.5, np.float32), 8000))
    assert speak_turns("One.", voice, takes=takes).speech.sound.samples[0] == pytest.approx(0.5, abs=1e-3)
    path.with_suffix(".json").write_text("{")
    with pytest.raises(SpeechError, match=r"this take is damaged .*delete it"):
        speak_turns("One.", voice, takes=takes)


def test_takes_of_the_embedded_voice_sound_the_same(tmp_path):
    voice = open_voice("espeak:en+f3")
    plain = speak_turns("A [strong: short] one. [lang es: Hola].", voice).speech
    kept = speak_turns("A [strong: short] one. [lang es: Hola].", voice, takes=Takes(tmp_path)).speech
    assert kept.words == plain.words
    np.testing.assert_allclose(kept.sound.samples, plain.sound.samples, atol=1e-4)


def test_the_cast_of_header_and_command_line(tmp_path):
    script = parse_script(
        '---\nANNA: template=a.mp4 voice="espeak:en+f3" face=left\nBen: template=b.mp4 speed=1.2\n---\n'
        "ANNA: hi\nBen: yes\nhm"
    )
    assert script.speakers == ["ANNA", "Ben", ""]
    order = SceneOrder("", tmp_path / "o.mp4", template=tmp_path / "d.mp4")
    parts = settle(script, order)
    assert list(parts) == ["ANNA", "Ben", ""]
    assert (parts["ANNA"].voice, parts["ANNA"].face, parts["Ben"].speed) == ("espeak:en+f3", "left", 1.2)
    assert parts[""].template == tmp_path / "d.mp4"
    assert len({part.voice for part in parts.values()}) == 3  # no two sound alike
    over = SceneOrder("", tmp_path / "o.mp4", read_cast(["anna=face=right"]), template=tmp_path / "d.mp4")
    assert settle(script, over)["ANNA"].face == "right"
    with pytest.raises(UsageError, match="the narrator speaks but has no face"):
        settle(script, SceneOrder("", tmp_path / "o.mp4"))
    with pytest.raises(UsageError, match="Zoe is cast but does not speak"):
        settle(script, SceneOrder("", tmp_path / "o.mp4", {"Zoe": {}}))
    for bad in (["ANNA"], ["ANNA=x", "ANNA=y"], ["ANNA=colour=red"]):
        with pytest.raises(UsageError, match="--cast"):
            read_cast(bad)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Hello"], "say needs a face"),
        (["--cast", "ANNA=Anna"], "needs a TEXT"),
        (["Hi", "--template", "x.mp4", "--retake", "1"], "--retake needs --takes"),
        (["Hi", "--cast", "ANNA"], "expected NAME=PERSON"),
        (["ANNA: Hi", "--cast", "BEN=template=x.mp4"], "BEN is cast but does not speak"),
    ],
)
def test_wrong_use_of_say(arguments, message, tmp_path, capsys):
    assert main(["say", *arguments, "--out", str(tmp_path / "o.mp4")]) == 2
    assert message in capsys.readouterr().err
