"""Dubs as the page has them: a table that comes back, errors in words, voices and retakes, and the whole dub."""

import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "render"))
from drawn_people import DrawnDetector, speaking, tiny_base, write_video

from lipsync.consent import record_consent
from lipsync.errors import ConsentError, PersonError, SpeechError, UsageError
from lipsync.media import read_sound, write_wav
from lipsync.media.supply import SoundSupply
from lipsync.speech.segments import Segment, Transcript, write_transcript
from lipsync.speech.spans import find_spans
from lipsync.speech.subtitles import Cue, write_subtitles
from lipsync.studio.desk import DubDesk
from lipsync.studio.dubs import (
    SPANS,
    create_dub,
    find_dub,
    fit_words,
    format_time,
    list_dubs,
    parse_time,
    parse_voices,
    read_rows,
    save_rows,
)
from lipsync.studio.people import create_person
from lipsync.studio.studio import Studio, read_account
from lipsync.types import Sound

RATE = 16000
SPOKEN = [(0.3, 1.1), (1.6, 2.6)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Three seconds of a drawn head; noise where it speaks, else a quiet hum."""
    t = np.arange(3 * RATE) / RATE
    sound = 0.003 * np.sin(2 * np.pi * 120 * t)
    for start_s, end_s in SPOKEN:
        part = slice(round(start_s * RATE), round(end_s * RATE))
        sound[part] += 0.1 * np.random.default_rng(0).standard_normal(part.stop - part.start)
    folder = tmp_path_factory.mktemp("clip")
    return write_video(folder / "talk.mp4", speaking(75), sound=Sound(sound.astype(np.float32)[:, None], RATE))


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.setattr("lipsync.render.dub.open_detector", lambda *_, **__: DrawnDetector())
    studio = Studio(tmp_path / "home")
    create_person("Anna", record_consent("Anna", "me"), studio.home)
    base = tiny_base()
    monkeypatch.setattr(studio.models, "open", lambda *_: base)
    yield DubDesk(studio)
    studio.jobs.close()


def over(desk):
    """The job when it is over; it must have gone well."""
    job = desk.studio.jobs.wait(desk.studio.job("Anna").id)
    assert job.state == "done", job.error
    return job


def rows_of(desk, key):
    return read_rows(find_dub(desk.studio.person("Anna"), key))


def cells(rows):
    return [[format_time(r.start_s), format_time(r.end_s), r.speaker, r.original, r.text, r.fit] for r in rows]


def test_speech_is_found_where_it_is(clip):
    found = find_spans(SoundSupply(clip))
    assert np.abs(np.array(found) - SPOKEN).max() < 0.1
    assert find_spans(SoundSupply(Sound(np.zeros(RATE, np.float32), RATE))) == []


def test_a_dub_from_the_video_to_the_subtitles(desk, clip):
    key = desk.create("Anna", str(clip), "", "es")
    assert [dub.folder.name for dub in list_dubs(desk.studio.person("Anna"))] == [key]
    desk.find_sentences("Anna", key)
    over(desk)
    table = cells(rows_of(desk, key))
    assert len(table) == 2 and all(row[4] == "" for row in table)
    with pytest.raises(UsageError, match="nothing to say yet"):
        desk.voice("Anna", key, table)
    table[1][4] = "¿Cómo está usted?"
    desk.voice("Anna", key, table)
    over(desk)
    first, second = rows_of(desk, key)
    assert (first.text, first.fit) == ("", "") and second.fit.startswith("fits")
    dub = find_dub(desk.studio.person("Anna"), key)
    assert (dub.work / "mix.wav").is_file() and not dub.result.exists()
    old, new = (read_sound(path, sample_rate_hz=RATE, end_s=1.2) for path in (clip, dub.work / "mix.wav"))
    length = min(len(old.samples), len(new.samples))
    told = np.corrcoef(old.samples[:length], new.samples[:length])[0, 1]
    assert told > 0.95  # what has no translation keeps its own voice
    desk.dub("Anna", key, table, voice="espeak:es+f3")
    over(desk)
    names = {path.suffix for path in dub.result.parent.iterdir()}
    account = read_account(dub.result)
    assert names == {".mp4", ".srt", ".vtt", ".json"} and (account["in_slot"], account["sentences"]) == (1, 1)
    assert account["rendered"] == 75 and find_dub(desk.studio.person("Anna"), key).voice == "espeak:es+f3"


def test_one_sentence_said_again_by_a_recording_and_by_its_voice(desk, clip, tmp_path):
    key = desk.create("Anna", str(clip), "", "es")
    table = [["0:00.30", "0:01.10", "", "", "Buenos días.", ""], ["1,6", "2.6", "", "", "Hola a todos.", ""]]
    desk.voice("Anna", key, table)
    over(desk)
    t = np.arange(round(0.9 * RATE)) / RATE
    write_wav(tmp_path / "own.wav", Sound((0.3 * np.sin(2 * np.pi * 500 * t)).astype(np.float32), RATE))

    def pitch_hz():
        speech = find_dub(desk.studio.person("Anna"), key).work / "speech.wav"
        part = read_sound(speech, sample_rate_hz=RATE, start_s=1.7, end_s=2.3).samples
        return np.argmax(np.abs(np.fft.rfft(part))) / 0.6

    desk.retake("Anna", key, table, 2, str(tmp_path / "own.wav"))
    over(desk)
    assert pitch_hz() == pytest.approx(500, abs=5)
    desk.retake("Anna", key, table, 2, None)
    over(desk)
    assert pitch_hz() != pytest.approx(500, abs=5)
    with pytest.raises(PersonError, match="row 5"):
        desk.retake("Anna", key, table, 5, None)


def test_the_row_that_is_shown_is_said_again(desk, clip, monkeypatch):
    """Rows are put in anywhere, and some are empty: the page's numbers are those of its table."""
    key, asked = desk.create("Anna", str(clip), "", "es"), []
    monkeypatch.setattr(desk, "_run", lambda *_, **more: asked.append(more.get("again") or more["recordings"]))
    table = [
        ["1.6", "2.6", "", "", "Hola a todos.", ""],
        ["", "", "", "", "", ""],
        ["0:00.30", "0:00.70", "", "", "Buenos  días.", ""],
        ["0.8", "1.1", "", "", "Sí.", ""],
    ]
    for number in (1, 3, 4):
        desk.retake("Anna", key, table, number, "own.wav" if number == 4 else None)
        over(desk)
    assert asked == [(3,), (1,), {2: Path("own.wav")}]
    with pytest.raises(PersonError, match="row 2 of the table holds nothing"):
        desk.retake("Anna", key, table, 2, None)


def test_subtitles_that_are_brought_fill_the_table(desk, clip, tmp_path):
    key = desk.create("Anna", str(clip), "", "hi")
    write_subtitles(tmp_path / "hi.srt", [Cue(0.3, 1.1, "नमस्ते।", "ANNA"), Cue(1.6, 2.6, "[music]")])
    assert desk.subtitles("Anna", key, str(tmp_path / "hi.srt")) == []
    assert [(r.start_s, r.end_s, r.speaker, r.text) for r in rows_of(desk, key)] == [(0.3, 1.1, "ANNA", "नमस्ते।")]
    (tmp_path / "bad.srt").write_text("hello")
    with pytest.raises(SpeechError, match=r"bad\.srt"):
        desk.subtitles("Anna", key, str(tmp_path / "bad.srt"))


def test_originals_stand_beside_their_translations(desk, clip):
    key = desk.create("Anna", str(clip), "", "es")
    dub = find_dub(desk.studio.person("Anna"), key)
    old = Transcript((Segment(0.3, 1.1, "Good morning."), Segment(1.6, 2.6, "Hello all.", "BEN")), "en")
    write_transcript(dub.folder / SPANS, old)
    save_rows(dub, [["0.35", "1.1", "", "", "Buenos días.", ""], ["9", "10", "", "", "", ""]])
    assert [(r.original, r.text, r.speaker) for r in read_rows(dub)] == [
        ("Good morning.", "Buenos días.", ""), ("Hello all.", "", "BEN"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (["x", "2", "", "", "Hola", ""], r"row 1 \(Hola\): 'x' is no time"),
        (["3", "2", "", "", "Hola", ""], "must end after it begins, found 3 to 2"),
        (["-1", "2", "", "", "Hola", ""], "'-1' is no time"),
        (["nan", "2", "", "", "Hola", ""], "'nan' is no time"),
    ],
)
def test_what_is_no_row_is_named(desk, clip, row, words):
    dub = create_dub(desk.studio.person("Anna"), clip, "es")
    with pytest.raises(UsageError, match=words):
        save_rows(dub, [row])


def test_what_cannot_be_dubbed_says_why(desk, clip, tmp_path):
    with pytest.raises(PersonError, match="bring a video first"):
        desk.create("Anna", None, " ", "es")
    with pytest.raises(UsageError, match="choose the language"):
        desk.create("Anna", str(clip), "", "")
    with pytest.raises(PersonError, match="choose a dub first"):
        desk.find_sentences("Anna", "")
    with pytest.raises(UsageError, match="ANNA = espeak"):
        parse_voices("ANNA espeak:es")
    assert parse_voices("ANNA = espeak:es\n\nBEN=espeak:es+m3") == {"ANNA": "espeak:es", "BEN": "espeak:es+m3"}
    berta = create_person("Berta", record_consent("Berta", "me", covers=("voice",)), tmp_path / "other")
    with pytest.raises(ConsentError, match="not video"):
        create_dub(berta, clip, "es")
    assert not (berta.folder / "dubs").exists()


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000_000))
def test_times_that_are_shown_are_read_back(hundredths):
    assert parse_time(format_time(hundredths / 100), "") == pytest.approx(hundredths / 100, abs=1e-6)


def test_how_it_fits_is_said_in_words():
    row = {"start_s": 0.0, "end_s": 1.0, "missing_s": 0.0, "borrowed_s": 0.0, "rate": 1.0}
    assert fit_words(row) == "fits"
    assert fit_words({**row, "rate": 1.3}) == "fits, a little fast (1.3 ×)"
    assert fit_words({**row, "borrowed_s": 0.52}) == "fits, 0.5 s into the pause after it"
    assert fit_words({**row, "missing_s": 0.41, "rate": 1.8}).startswith("0.4 s too long: shorten it")
    assert fit_words({**row, "end_s": 0.0}) == "no time left for it"


def test_two_dubs_begun_in_one_second_have_folders_of_their_own(desk, clip, monkeypatch):
    class Stopped(datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2026, 11, 22, 12, 0, 0)

    monkeypatch.setattr("lipsync.studio.dubs.datetime", Stopped)
    first, second = (create_dub(desk.studio.person("Anna"), clip, language) for language in ("es", "hi"))
    assert first.folder != second.folder
    assert find_dub(desk.studio.person("Anna"), first.folder.name).language == "es"


def test_what_was_typed_is_kept_beside_what_is_translated(desk, clip, monkeypatch):
    dub = create_dub(desk.studio.person("Anna"), clip, "es")
    write_subtitles(dub.sentences, [Cue(0.3, 1.1, "Typed.")])

    def heard(person, project, progress, **told):
        write_subtitles(project.work / "translation.srt", [Cue(0.3, 1.1, "Translated.")])

    monkeypatch.setattr(desk, "_run", heard)
    dub.work.mkdir(exist_ok=True)
    desk.translate("Anna", dub.folder.name)
    desk.studio.jobs.wait(desk.studio.job("Anna").id)
    assert "Translated." in dub.sentences.read_text()
    assert "Typed." in dub.sentences.with_name("sentences before.srt").read_text()
