"""Transcription through faster-whisper's own loading code, on a tiny Whisper made here; words into segments."""

import numpy as np
import pytest
from tiny_models import tiny_whisper

from lipsync.errors import CheckpointError, SpeechError
from lipsync.speech.hub import WHISPER, model_folder
from lipsync.speech.segments import Segment, Transcript, read_transcript, segments_of, write_transcript
from lipsync.speech.speakers import name_speakers
from lipsync.speech.subtitles import Cue
from lipsync.speech.transcribe import group_words, transcribe
from lipsync.types import Sound, Timed


def words(*rows):
    return [Timed(f" {text}", start, end) for text, start, end in rows]


@pytest.fixture(scope="module")
def whisper(tmp_path_factory):
    return tiny_whisper(
        tmp_path_factory.mktemp("models") / "whisper", [" Oh", " good", " morning.", " How", " are", " you?"]
    )


def noise(seconds, start_s=0.0):
    samples = 0.1 * np.random.default_rng(0).standard_normal(round(16000 * seconds))
    return Sound(samples.astype(np.float32), 16000, start_s)


def test_a_planted_whisper_is_heard(whisper):
    """Its decoder says planted words after one another; which of them is heard when is up to untrained attention."""
    found = transcribe(noise(3.0, start_s=5.0), str(whisper), device="cpu")
    heard = [w.text.strip(" .?") for s in found.segments for w in s.words]
    assert found.language == "en" and len(heard) >= 3
    assert set(heard) <= {"Oh", "good", "morning", "How", "are", "you"}
    assert [w.strip(".?") for s in found.segments for w in s.text.split()] == heard
    times = [t for s in found.segments for w in s.words for t in (w.start_s, w.end_s)]
    assert times == sorted(times) and times[0] >= 5.0 and type(times[0]) is float


def test_a_missing_model_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("LIPSYNC_MODELS", str(tmp_path))
    with pytest.raises(CheckpointError, match=r"whisper-small.*486 MB.*MIT.*lipsync models get whisper-small"):
        transcribe(noise(1.0))
    with pytest.raises(CheckpointError, match="known: whisper-tiny"):
        model_folder("whisper-huge", WHISPER)
    with pytest.raises(CheckpointError, match=r"model\.bin is missing"):
        transcribe(noise(1.0), str(tmp_path))


def test_a_broken_model_is_named(whisper, tmp_path):
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((whisper / name).read_bytes())
    (tmp_path / "model.bin").write_bytes((whisper / "model.bin").read_bytes()[:200])
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        transcribe(noise(1.0), str(tmp_path), device="cpu")


def test_no_sound_is_no_transcript(whisper):
    with pytest.raises(SpeechError, match="no samples"):
        transcribe(Sound(np.zeros(0, np.float32), 16000), str(whisper))


def test_words_become_sentences():
    rows = words(("Hi.", 0.0, 0.4), ("I", 0.5, 0.6), ("am", 0.6, 0.8), ("late", 1.6, 2.0), ("now", 2.0, 2.3))
    found = group_words(rows)
    assert [(s.text, s.start_s, s.end_s) for s in found] == [
        ("Hi.", 0.0, 0.4),
        ("I am", 0.5, 0.8),
        ("late now", 1.6, 2.3),
    ]
    assert [w.text for w in found[1].words] == [" I", " am"]


def test_a_change_of_speaker_ends_a_segment():
    rows = words(("you", 0.0, 0.4), ("me", 0.45, 0.8))
    assert [(s.text, s.speaker) for s in group_words(rows, ["A", "B"])] == [("you", "A"), ("me", "B")]


def test_a_long_run_of_words_is_cut_at_its_longest_pause():
    rows = [
        Timed(f" w{k}", k * 0.5 + (0.3 if k >= 15 else 0), k * 0.5 + 0.45 + (0.3 if k >= 15 else 0)) for k in range(40)
    ]
    found = group_words(rows)
    assert found[0].text.endswith("w14") and found[1].text.startswith("w15")
    assert all(s.duration_s <= 12.5 for s in found)
    assert sum(len(s.words) for s in found) == 40


def test_scripts_without_spaces_stay_without():
    assert group_words([Timed("今天", 0, 0.5), Timed("很好。", 0.5, 1)])[0].text == "今天很好。"


def test_transcripts_as_files(tmp_path):
    transcript = Transcript((Segment(0.5, 1.25, "Héllo “you” 🎉", "A", (Timed("Héllo", 0.5, 1.0),)),), "en")
    write_transcript(tmp_path / "t.json", transcript)
    assert read_transcript(tmp_path / "t.json") == transcript
    for text, found in (("{", "no transcript"), ('{"segments": [{"text": "x"}]}', "segment 1"), ("[]", "a list")):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(SpeechError, match=found):
            read_transcript(tmp_path / "bad.json")
    (tmp_path / "bad.json").write_text('{"segments": [{"text": "x", "start_s": 2, "end_s": 1}]}')
    with pytest.raises(SpeechError, match="must end after it begins"):
        read_transcript(tmp_path / "bad.json")


def test_what_is_not_speech_is_no_segment():
    cues = [Cue(0, 1, "[music]"), Cue(1, 2, "- Hi [laughs]", "ANNA")]
    assert segments_of(cues) == (Segment(1, 2, "Hi", "ANNA"),)


def voice(pitch_hz, formant_hz, seconds, seed):
    """A buzz through one resonance, with syllables: enough to tell voices apart by."""
    t = np.arange(round(16000 * seconds)) / 16000
    rng = np.random.default_rng(seed)
    pitch = pitch_hz * (1 + 0.05 * np.sin(2 * np.pi * 0.7 * t + seed))
    phase = 2 * np.pi * np.cumsum(pitch) / 16000
    out = np.zeros_like(t)
    for k in range(1, 30):
        out += np.sin(k * phase) / (1 + ((k * pitch_hz - formant_hz) / 300) ** 2)
    return ((0.6 + 0.4 * np.sin(2 * np.pi * 4 * t)) * out * 0.05 + 1e-3 * rng.standard_normal(len(t))).astype(
        np.float32
    )


def test_two_voices_are_told_apart_and_one_is_not_split():
    parts = [voice(110, 600, 2, 0), voice(210, 1500, 2, 1), voice(110, 600, 2, 2), voice(210, 1500, 2, 3)]
    segments = tuple(Segment(2.0 * k, 2.0 * k + 2, "x") for k in range(4))
    found = name_speakers(Transcript(segments, "en"), Sound(np.concatenate(parts), 16000))
    assert [s.speaker for s in found.segments] == ["SPEAKER 1", "SPEAKER 2", "SPEAKER 1", "SPEAKER 2"]
    one = name_speakers(Transcript(segments, "en"), Sound(np.concatenate([parts[0]] * 4), 16000))
    assert {s.speaker for s in one.segments} == {""}
