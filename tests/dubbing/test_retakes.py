"""One sentence again: on request, reworded by a server, recorded by hand; each as it is heard."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "render"))

from dub_scene import CUES, copy_of, order

from lipsync.dubbing.pipeline import dub_into
from lipsync.errors import VoiceError
from lipsync.media import read_sound, write_wav
from lipsync.speech.subtitles import Cue, write_subtitles
from lipsync.types import Sound


def test_a_sentence_is_said_again_on_request(scene, done, base, tmp_path):
    folder = copy_of(done, tmp_path)
    again = dub_into(order(scene, folder, again=(1,), until="voices"), lambda: base)
    assert again.sentences_spoken >= 1 and again.stages_made == []  # the same voice says it the same
    with pytest.raises(VoiceError, match="no sentence 3 to say again: the dub has 2"):
        dub_into(order(scene, folder, again=(3,)), lambda: base)


def test_what_does_not_fit_is_reworded_by_a_server(scene, base, tmp_path, chat):
    long = "Una frase que es demasiado larga para tan poco tiempo."
    write_subtitles(tmp_path / "long.srt", [Cue(0.3, 0.9, long), CUES[1]])
    chat.replies = ["1. Una frase demasiado larga para el tiempo\n2. Frase larga\n3. Frase"]
    wanted = order(scene, tmp_path, subtitles=tmp_path / "long.srt", translator=chat.address_text, until="voices")
    result = dub_into(wanted, lambda: base)
    assert [row.text for row in result.segments] == ["Frase larga", CUES[1].text]
    assert result.segments[0].missing_s == 0 and result.segments[0].in_slot
    assert any("segment 1, at 0.30 s: reworded to fit: 'Frase larga'" in warning for warning in result.warnings)
    asked = chat.asked[0][2]["messages"][0]["content"]
    assert long in asked and "in the same language (es)" in asked and len(chat.asked) == 1
    again = dub_into(wanted, lambda: base)
    assert again.stages_made == [] and len(chat.asked) == 1 and again.segments == result.segments


def tone(path, hz, seconds):
    t = np.arange(round(seconds * 22050)) / 22050
    return write_wav(path, Sound((0.4 * np.sin(2 * np.pi * hz * t)).astype(np.float32), 22050))


def pitch_hz(work, start_s, end_s):
    samples = read_sound(work / "speech.wav", sample_rate_hz=16000, start_s=start_s, end_s=end_s).samples
    return np.argmax(np.abs(np.fft.rfft(samples))) / (end_s - start_s)


def test_a_reworded_sentence_is_recorded_and_said_again_as_it_is_heard(scene, base, tmp_path, chat):
    long = "Una frase que es demasiado larga para tan poco tiempo."
    write_subtitles(tmp_path / "long.srt", [Cue(0.3, 0.9, long), CUES[1]])
    chat.replies = ["1. Frase larga\n2. Frase"]
    wanted = order(scene, tmp_path, subtitles=tmp_path / "long.srt", translator=chat.address_text, until="voices")
    dub_into(wanted, lambda: base)
    tone(tmp_path / "actor.wav", 500, 0.6)
    for more in ({1: tmp_path / "actor.wav"}, {}):  # and it stays
        result = dub_into(replace(wanted, recordings=more), lambda: base)
        assert result.segments[0].text == "Frase larga" and len(chat.asked) == 1
        assert pitch_hz(tmp_path / "work", 0.4, 0.8) == pytest.approx(500, abs=5)
    assert dub_into(replace(wanted, again=(1,)), lambda: base).sentences_spoken >= 1
    assert pitch_hz(tmp_path / "work", 0.4, 0.8) != pytest.approx(500, abs=5)


def test_a_sentence_recorded_by_hand_is_not_reworded(scene, base, tmp_path, chat):
    long = "Una frase que es demasiado larga para tan poco tiempo."
    write_subtitles(tmp_path / "long.srt", [Cue(0.3, 0.9, long), CUES[1]])
    wanted = order(scene, tmp_path, subtitles=tmp_path / "long.srt", until="voices")
    tone(tmp_path / "actor.wav", 500, 3.0)
    dub_into(replace(wanted, recordings={1: tmp_path / "actor.wav"}), lambda: base)
    chat.replies = ["1. Frase larga\n2. Frase"]
    result = dub_into(replace(wanted, translator=chat.address_text), lambda: base)
    assert result.segments[0].missing_s > 0 and result.segments[0].text == long and not chat.asked


def test_a_recording_is_its_own_sentence_s_alone(scene, base, tmp_path):
    cues = [Cue(0.3, 0.9, "Sí."), Cue(1.2, 1.8, "Sí."), Cue(2.2, 2.8, "No.")]
    write_subtitles(tmp_path / "three.srt", cues)
    wanted = order(scene, tmp_path, subtitles=tmp_path / "three.srt", until="voices")
    work = wanted.work_folder

    def recorded():
        return [k for k, c in enumerate(cues) if abs(pitch_hz(work, c.start_s + 0.05, c.start_s + 0.45) - 500) < 5]

    tone(tmp_path / "actor.wav", 500, 0.6)
    dub_into(replace(wanted, recordings={2: tmp_path / "actor.wav", 3: tmp_path / "actor.wav"}), lambda: base)
    assert recorded() == [1, 2]
    dub_into(replace(wanted, again=(1,)), lambda: base)
    assert recorded() == [1, 2]
    write_subtitles(work / "translation.srt", [Cue(0.0, 0.2, "Ya."), *cues])
    dub_into(wanted, lambda: base)
    assert 2 in recorded()  # a recording goes along when a sentence is put in before it
    dub_into(replace(wanted, again=(4,)), lambda: base)
    assert 2 not in recorded()
