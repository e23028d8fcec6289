"""A video into another language, with real engines throughout: drawn heads, the embedded voice, tiny models made here.

What changes between runs is planted: an edited sentence, an edited file, a stop in the middle.
"""

import copy
import json
import sys
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "render"))

from dub_scene import CUES, SECONDS, copy_of, order

from lipsync.cli import main
from lipsync.config import RenderConfig
from lipsync.dubbing.pipeline import dub_into
from lipsync.errors import Cancelled, ConfigError, SpeechError, UsageError, VoiceError
from lipsync.media import probe, read_frames, read_sound, write_wav
from lipsync.progress import Silent
from lipsync.render.credentials import read_credentials
from lipsync.speech.subtitles import Cue, read_subtitles, write_subtitles
from lipsync.types import Sound


def test_the_whole_way(scene, done):
    folder, result = done
    assert result.stages_made == ["translation", "background", "speech", "mix", "lips"]
    before, after = probe(scene / "in.mp4"), probe(folder / "out.mp4")
    times = [[f.time_s for f in read_frames(p)] for p in (scene / "in.mp4", folder / "out.mp4")]
    assert times[0] == times[1] and len(times[0]) == result.frames == 75
    assert (before.width, before.height, before.duration_s) == (after.width, after.height, after.duration_s)
    assert result.in_slot == len(result.segments) == 2
    assert all(row.outside_s <= 0.08 and 0.8 <= row.rate <= 1.4 for row in result.segments)
    assert result.lufs == pytest.approx(result.source_lufs, abs=0.5)
    assert [(c.start_s, c.text) for c in read_subtitles(folder / "out.srt").cues] == [
        (0.3, CUES[0].text),
        (1.4, CUES[1].text),
    ]
    assert read_subtitles(folder / "work" / "subtitles.vtt").cues == read_subtitles(folder / "out.srt").cues
    assert json.loads((folder / "work" / "result.json").read_text())["language"] == "es"
    told = read_credentials(folder / "out.mp4")
    assert told.intact and told.synthetic and told.details["dubbed_to"] == "es"
    heard = read_sound(folder / "out.mp4", sample_rate_hz=16000)
    assert heard.duration_s == pytest.approx(SECONDS, abs=0.07)


def test_the_voices_sound_in_their_slots_and_nowhere_else(done):
    speech = read_sound(done[0] / "work" / "speech.wav", sample_rate_hz=None)
    loud = np.abs(speech.samples) > 0.02 * np.abs(speech.samples).max()
    for cue in CUES:
        first, last = (round(t * speech.sample_rate_hz) for t in (cue.start_s - 0.1, cue.end_s + 0.1))
        at = np.flatnonzero(loud[first:last]) / speech.sample_rate_hz + cue.start_s - 0.1
        assert at[0] == pytest.approx(cue.start_s, abs=0.08) and at[-1] <= cue.end_s + 0.08
        loud[first:last] = False
    assert not loud.any()


def test_nothing_is_done_twice(scene, done, base, tmp_path):
    folder = copy_of(done, tmp_path)
    again = dub_into(order(scene, folder), lambda: base)
    assert again.stages_made == [] and again.sentences_spoken == 0 and again.warnings == []


def test_an_adapter_learned_anew_renders_the_lips_again(scene, done, base, tmp_path):
    """The base's hash and the person's name stay; weights, as after more learning, do not."""
    folder = copy_of(done, tmp_path)
    learned = replace(base, pixel=copy.deepcopy(base.pixel))
    with torch.no_grad():
        next(learned.pixel.parameters()).add_(0.1)
    assert dub_into(order(scene, folder), lambda: learned).stages_made == ["lips"]


def test_one_edited_sentence_speaks_only_its_own(scene, done, base, tmp_path):
    folder = copy_of(done, tmp_path)
    work = folder / "work"
    text = (work / "translation.srt").read_text().replace("Buenos días.", "Buenas tardes.")
    (work / "translation.srt").write_text(text)
    takes = {path.name: path.stat().st_mtime_ns for path in (work / "voices").glob("0002_*.wav")}
    result = dub_into(order(scene, folder), lambda: base)
    assert [row.text for row in result.segments] == ["Buenas tardes.", CUES[1].text]
    assert result.stages_made == ["background", "speech", "mix", "lips"] or result.stages_made == [
        "speech",
        "mix",
        "lips",
    ]
    assert {path.name: path.stat().st_mtime_ns for path in (work / "voices").glob("0002_*.wav")} == takes
    assert 1 <= result.sentences_spoken <= 2  # its take, and the same at the speed that fits
    assert "Buenas tardes." in (folder / "out.srt").read_text()


def test_a_sentence_put_in_before_leaves_the_others_their_takes(scene, done, base, tmp_path):
    folder = copy_of(done, tmp_path)
    write_subtitles(folder / "work" / "translation.srt", [Cue(0.0, 0.25, "Sí."), *CUES])
    result = dub_into(order(scene, folder), lambda: base)
    assert len(result.segments) == 3 and result.sentences_spoken <= 2


def test_a_take_recorded_by_hand_is_used_and_kept(scene, done, base, tmp_path):
    folder = copy_of(done, tmp_path)
    work = folder / "work"
    take = min((work / "voices").glob("0001_*.wav"), key=lambda path: len(path.name))
    t = np.arange(round(0.75 * 22050)) / 22050
    write_wav(take, Sound((0.4 * np.sin(2 * np.pi * 500 * t)).astype(np.float32), 22050))
    result = dub_into(order(scene, folder), lambda: base)
    assert result.sentences_spoken == 0
    speech = read_sound(work / "speech.wav", sample_rate_hz=16000, start_s=0.4, end_s=1.0)
    assert np.argmax(np.abs(np.fft.rfft(speech.samples))) / 0.6 == pytest.approx(500, abs=5)


def coded(path):
    """Every picture's packet with its time."""
    with av.open(str(path)) as file:
        return [(p.pts, p.dts, bytes(p)) for p in file.demux(video=0) if p.size]


def test_one_edited_sentence_renders_only_the_pieces_it_touches(scene, base, tmp_path):
    """The pictures are those of a dub that was made from the edited text at once, packet by packet."""
    short = RenderConfig(segment_s=0.6)
    wanted = order(scene, tmp_path, render=short)
    first = dub_into(wanted, lambda: base)
    target = wanted.work_folder / "translation.srt"
    target.write_text(target.read_text().replace("usted", "Usted, señor"))
    edited = dub_into(wanted, lambda: base)
    count = first.render["pieces"]["made"]
    assert count == 4 and edited.render["pieces"]["made"] + edited.render["pieces"]["kept"] == count
    assert 1 <= edited.render["pieces"]["made"] <= 3  # the sentence begins at 1.4 s, in the third piece
    write_subtitles(tmp_path / "new.srt", read_subtitles(target).cues)
    (tmp_path / "at_once").mkdir()
    whole = order(scene, tmp_path / "at_once", subtitles=tmp_path / "new.srt", render=short)
    assert dub_into(whole, lambda: base).render["pieces"]["kept"] == 0
    assert coded(wanted.out) == coded(whole.out)


def test_a_dub_stops_where_it_is_told_and_goes_on(scene, base, tmp_path):
    wanted = order(scene, tmp_path, until="words")
    assert dub_into(wanted, lambda: base).stages_made == ["translation"]
    heard = dub_into(replace(wanted, until="voices"), lambda: base)
    assert heard.stages_made == ["background", "speech", "mix"] and heard.in_slot == 2 and heard.out == ""
    assert not wanted.out.exists()
    assert dub_into(replace(wanted, until="lips"), lambda: base).stages_made == ["lips"]


def test_a_mix_made_by_hand_is_what_is_heard_and_no_picture_is_made_again(scene, done, base, tmp_path):
    folder = copy_of(done, tmp_path)
    t = np.arange(round(SECONDS * 16000)) / 16000
    write_wav(folder / "work" / "mix.wav", Sound((0.2 * np.sin(2 * np.pi * 1000 * t)).astype(np.float32), 16000))
    result = dub_into(order(scene, folder), lambda: base)
    assert result.stages_made == []
    heard = read_sound(folder / "out.mp4", sample_rate_hz=16000, start_s=1.0, end_s=2.0)
    assert np.argmax(np.abs(np.fft.rfft(heard.samples))) == pytest.approx(1000, abs=2)


def test_an_edit_wins_over_a_changed_input_and_says_so(scene, done, base, tmp_path):
    folder = copy_of(done, tmp_path)
    edited = (folder / "work" / "translation.srt").read_text().replace("Buenos días.", "Hola a todos.")
    (folder / "work" / "translation.srt").write_text(edited)
    write_subtitles(tmp_path / "other.srt", [Cue(0.3, 1.1, "Otra cosa.")])
    result = dub_into(order(scene, folder, subtitles=tmp_path / "other.srt"), lambda: base)
    assert result.segments[0].text == "Hola a todos."
    assert any("translation.srt was edited by hand" in warning for warning in result.warnings)


class StopAt(Silent):
    """Stops the job where a stage of this name begins."""

    def __init__(self, stage):
        self.stage = stage

    def start(self, stage, total=None, unit=""):
        if stage.startswith(self.stage):
            raise Cancelled(f"stopped at {stage}")


@pytest.mark.parametrize("stage", ["speaking", "fitting", "rendering", "writing"])
def test_stopped_anywhere_it_goes_on_and_ends_the_same(scene, done, base, tmp_path, stage):
    wanted = order(scene, tmp_path)
    with pytest.raises(Cancelled):
        dub_into(wanted, lambda: base, StopAt(stage))
    assert not wanted.out.exists()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*.wav")}
    result = dub_into(wanted, lambda: base)
    assert "translation" not in result.stages_made
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    for name in ("speech.wav", "mix.wav"):
        assert (tmp_path / "work" / name).read_bytes() == (done[0] / "work" / name).read_bytes()
    assert result.in_slot == 2 and wanted.out.is_file()


def test_what_cannot_be_dubbed_says_why(scene, base, tmp_path):
    write_subtitles(tmp_path / "late.srt", [Cue(50, 51, "Tarde.")])
    with pytest.raises(SpeechError, match=r"after the end of the video, at 3\.0 s"):
        dub_into(order(scene, tmp_path, subtitles=tmp_path / "late.srt"), lambda: base)
    with pytest.raises(UsageError, match="--to LANG"):
        dub_into(order(scene, tmp_path, language=""), lambda: base)
    with pytest.raises(VoiceError, match="recording"):
        dub_into(order(scene, tmp_path, voice=str(scene / "in.mp4")), lambda: base)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("private")
    with pytest.raises(ConfigError, match="no dub's working folder"):
        dub_into(order(scene, tmp_path, work=tmp_path / "mine"), lambda: base)


def test_too_much_text_names_the_segment_and_the_seconds(scene, base, tmp_path):
    write_subtitles(tmp_path / "long.srt", [Cue(0.3, 0.9, "Una frase demasiado larga para tan poco tiempo."), CUES[1]])
    with pytest.raises(Cancelled):
        dub_into(order(scene, tmp_path, subtitles=tmp_path / "long.srt"), lambda: base, StopAt("rendering"))
    placed = json.loads((tmp_path / "work" / "fit.json").read_text())
    assert placed[0]["missing_s"] > 0.5 and placed[0]["end_s"] <= CUES[1].start_s and placed[1]["start_s"] == 1.4


def test_subtitles_that_were_handed_in_are_not_written_over(scene, base, tmp_path, done):
    folder = copy_of(done, tmp_path)
    mine = folder / "out.srt"
    write_subtitles(mine, [replace(cue, text=cue.text + " ") for cue in CUES])
    before = mine.read_bytes()
    result = dub_into(order(scene, folder, subtitles=mine), lambda: base)
    assert mine.read_bytes() == before and result.subtitles.endswith("out.dubbed.srt")


def test_command_line_wrong_use(capsys, scene):
    video, out = str(scene / "in.mp4"), str(scene / "x.mp4")
    assert main(["dub", video, "--out", out]) == 2
    assert "--to LANG" in capsys.readouterr().err
    assert main(["dub", video, "--out", out, "--to", "es", "--audio", "x.wav"]) == 2
    assert main(["dub", video, "--out", out, "--to", "es", "--voices", "ANNA"]) == 2
    assert "SPEAKER=VOICE" in capsys.readouterr().err


def test_without_models_the_message_says_what_to_do(capsys, scene, tmp_path, monkeypatch):
    monkeypatch.setenv("LIPSYNC_MODELS", str(tmp_path / "none"))
    command = ["dub", str(scene / "in.mp4"), "--to", "es", "--out", str(tmp_path / "o.mp4"), "--json", "--quiet"]
    assert main(command) == 1
    error = json.loads(capsys.readouterr().out)
    assert error["kind"] == "CheckpointError" and "lipsync models get whisper-small" in error["error"]
    assert not (tmp_path / "o.mp4").exists()
