"""The reference of a cloned voice: the clean clips of the one speaker are taken, and only with their consent."""

import json

import numpy as np
import pytest

from lipsync.consent import record_consent
from lipsync.errors import ConsentError, DatasetError, SpeechError, VoiceError
from lipsync.media import read_sound, write_wav
from lipsync.speech.features import loudness_db
from lipsync.speech.reference import LOUDNESS_DB, choose_reference, judge
from lipsync.speech.voices.espeak import EspeakVoice
from lipsync.studio.cloning import reference_for, wants_reference
from lipsync.studio.people import add_file, create_person
from lipsync.studio.service import order_for
from lipsync.training.clipstore import ClipRecord, write_manifest
from lipsync.types import Sound

SENTENCES = [
    "The old man walked slowly down to the harbour this morning.",
    "Seven white boats were waiting in the quiet water there.",
    "Nobody knew when the next train would leave for the city.",
    "She opened the window and looked at the garden for a while.",
    "We should have asked for a better map before we left home.",
    "A little rain has never hurt the flowers on the balcony.",
]
RNG = np.random.default_rng(0)


def clip(voice, text, gain=0.5, noise=0.0005, clipped=False):
    sound = EspeakVoice(voice).speak(text).sound
    samples = sound.samples * gain + noise * RNG.standard_normal(len(sound.samples)).astype(np.float32)
    samples = np.clip(samples * 20, -1, 1) if clipped else samples
    return Sound(samples.astype(np.float32), sound.sample_rate_hz)


@pytest.fixture(scope="module")
def clips():
    own = [(f"own{k}", clip("en+m3", text)) for k, text in enumerate(SENTENCES)]
    bad = [
        ("other", clip("en+f5", SENTENCES[0])),
        ("noisy", clip("en+m3", SENTENCES[1], noise=0.08)),
        ("loud", clip("en+m3", SENTENCES[2], clipped=True)),
        ("quiet", clip("en+m3", SENTENCES[3], gain=0.02)),
        ("silent", Sound(np.zeros(30000, np.float32), 16000)),
    ]
    return own, bad


def test_the_clean_clips_of_the_one_speaker_are_taken(clips):
    own, bad = clips
    chosen = choose_reference([bad[0], *own[:3], *bad[1:], *own[3:]])
    names = [one.name for one in chosen.clips]
    assert set(names) <= {name for name, _ in own} and len(names) >= 4
    assert 10 <= chosen.sound.duration_s <= 31
    assert loudness_db(chosen.sound) == pytest.approx(LOUDNESS_DB, abs=1.5)
    assert np.abs(chosen.sound.samples).max() <= 0.951
    judged = {one.name: one for one in judge([*own, *bad])}
    worst_own = max(judged[name].penalty_db for name, _ in own)
    assert all(judged[name].penalty_db > worst_own for name, _ in bad)
    assert judged["loud"].clipped and judged["silent"].penalty_db == np.inf


def test_too_little_is_said(clips):
    own, bad = clips
    with pytest.raises(SpeechError, match=r"only [3-7]\.\d s of clean speech in 3 clips"):
        choose_reference([*own[:2], bad[4]])
    with pytest.raises(SpeechError, match="0 clips"):
        choose_reference([])


@pytest.fixture
def person(clips, tmp_path):
    def make(covers):
        person = create_person("Ada", record_consent("Ada", "a test", covers=covers), home=tmp_path / "people")
        add_file(person, write_template(tmp_path))
        return person

    return make


def write_template(folder):
    path = folder / "ada.png"
    path.write_bytes(b"a picture")
    return path


def fill(person, clips):
    (person.dataset / "clips").mkdir(parents=True)
    records = []
    for name, sound in clips:
        write_wav(person.dataset / "clips" / f"{name}.wav", sound)
        records.append(ClipRecord(name, "ada.mp4", "Ada", 0.0, sound.duration_s, 10, 25.0, 60.0))
    write_manifest(person.dataset, records)


def test_a_voice_is_cloned_with_consent_alone(person, clips, tmp_path):
    voice = "openai:http://127.0.0.1:9/v1?clone=upload"
    assert (
        wants_reference(voice)
        and not wants_reference("openai:http://127.0.0.1:9/v1")
        and not wants_reference("espeak:en")
    )
    ada = person(("video",))
    fill(ada, clips[0])
    with pytest.raises(ConsentError, match="covers video, not voice"):
        reference_for(ada)
    with pytest.raises(ConsentError, match="not voice"):
        order_for(ada, tmp_path / "o.mp4", voice=voice)
    assert not (ada.folder / "reference.wav").exists()
    assert order_for(ada, tmp_path / "o.mp4", voice="espeak:en").reference is None


def test_the_reference_is_made_once_and_anew_when_the_dataset_changes(person, clips, tmp_path):
    ada = person(("video", "voice"))
    with pytest.raises(DatasetError):
        reference_for(ada)
    fill(ada, [*clips[0], *clips[1]])
    order = order_for(ada, tmp_path / "o.mp4", voice="openai:http://127.0.0.1:9/v1?clone=inline")
    path = order.reference
    assert read_sound(path).duration_s >= 10
    notes = json.loads(path.with_suffix(".json").read_text())
    assert {one["name"] for one in notes["clips"]} <= {name for name, _ in clips[0]}
    before = path.stat().st_mtime_ns
    assert reference_for(ada) == path and path.stat().st_mtime_ns == before
    import os

    os.utime(ada.dataset / "manifest.jsonl", (1, 1))
    assert reference_for(ada).stat().st_mtime_ns != before


def test_a_cloning_voice_without_a_person():
    from lipsync.speech.voices import open_voice

    with pytest.raises(VoiceError, match="say whose, with --person"):
        open_voice("openai:http://127.0.0.1:9/v1?clone=upload").speak("Hello")
