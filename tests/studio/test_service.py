"""Orders made for a person, models kept between clicks, and what the page shows."""

import os

import pytest

import lipsync.model.base
import lipsync.model.lora
from lipsync.consent import record_consent
from lipsync.errors import ConsentError, PersonError, SpeechError
from lipsync.progress import Silent
from lipsync.studio.order import Order
from lipsync.studio.page import show
from lipsync.studio.people import add_file, change_person, create_person
from lipsync.studio.service import Models, order_for, speak, stretches
from lipsync.studio.studio import Spoken, Studio


@pytest.fixture
def anna(tmp_path):
    person = create_person("Anna", record_consent("Anna", "me"), tmp_path / "home")
    for name in ("b.mp4", "a.mp4"):
        (tmp_path / name).write_bytes(name.encode())
        add_file(person, tmp_path / name)
    return person


def test_an_order_takes_what_is_the_persons_unless_told_otherwise(anna, tmp_path):
    out = tmp_path / "out.mp4"
    order = order_for(anna, out, text="Hi")
    assert (order.template.name, order.adapter, order.voice) == ("a.mp4", None, "")
    anna.adapter.write_bytes(b"x")
    order = order_for(change_person(anna, voice="espeak:hi", template="b.mp4"), out, text="Hi")
    assert (order.template.name, order.adapter, order.voice) == ("b.mp4", anna.adapter, "espeak:hi")
    order = order_for(anna, out, text="Hi", template=tmp_path / "c.jpg", voice="espeak:es", adapter=None)
    assert (order.template.name, order.voice, order.adapter) == ("c.jpg", "espeak:es", anna.adapter)


def test_a_taken_in_record_cannot_name_a_file_outside_the_folder(anna, tmp_path):
    secret = tmp_path / "secret.wav"
    secret.write_bytes(b"x")
    order = order_for(change_person(anna, voice=str(secret)), tmp_path / "out.mp4", text="Hi")
    assert order.voice == ""


def test_consent_for_the_voice_alone_renders_nothing(tmp_path):
    person = create_person("Anna", record_consent("Anna", "me", covers=("voice",)), tmp_path)
    with pytest.raises(ConsentError, match="not video"):
        order_for(person, tmp_path / "out.mp4")


def test_models_are_loaded_once_and_again_when_the_adapter_changed(monkeypatch, tmp_path):
    loads = []
    monkeypatch.setattr(lipsync.model.base, "load_base", lambda name, device: loads.append(name) or [name])
    monkeypatch.setattr(lipsync.model.lora, "load_adapter", lambda path: path.read_bytes())
    monkeypatch.setattr(lipsync.model.lora, "apply_adapter", lambda base, adapter: [*base, adapter])
    adapter, models = tmp_path / "a.safetensors", Models()
    adapter.write_bytes(b"first")
    assert models.open("base", adapter, "cpu") == ["base", b"first"]
    assert models.open("base", adapter, "cpu") is models.open("base", adapter, "cpu")
    assert loads == ["base"]
    adapter.write_bytes(b"second")
    os.utime(adapter, ns=(1, 1))
    assert models.open("base", adapter, "cpu") == ["base", b"second"]
    assert models.open("base", None, "cpu") == ["base"]


def test_an_order_without_a_word_is_refused(tmp_path):
    with pytest.raises(SpeechError, match="nothing to say"):
        speak(Order(tmp_path / "a.mp4", tmp_path / "out.mp4", text=" … "), Silent())


def test_the_studio_says_what_is_missing(anna):
    studio = Studio(anna.folder.parent)
    with pytest.raises(PersonError, match="choose a person"):
        studio.prepare("")
    with pytest.raises(PersonError, match="not prepared"):
        studio.learn("Anna", 1.0)
    with pytest.raises(PersonError, match="video to dub"):
        studio.dub("Anna", None, Spoken("Hi"))
    with pytest.raises(ConsentError, match="tick"):
        studio.add_person("Berta", "me", "I agree.", "", False)
    with pytest.raises(PersonError, match="type the name"):
        studio.delete("Anna", "anna")
    assert studio.names() == ["Anna"]
    assert studio.job("Anna") is None


def test_a_failed_job_is_shown_with_its_reason(anna):
    studio = Studio(anna.folder.parent)
    order = Order(anna.folder / "a.mp4", anna.folder / "out.mp4", text="?!")
    studio.start(anna, "Speaking", lambda progress: speak(order, progress))
    snapshot = studio.jobs.wait(studio.job("Anna").id)
    assert snapshot.state == "failed"
    assert "nothing to say" in show.job_card(snapshot)
    studio.jobs.close()


def test_what_the_page_shows_is_escaped():
    report = {
        "clips": 1,
        "minutes_kept": 0.5,
        "minutes_in": 1.0,
        "minutes_dropped": {"<b>dark</b>": 0.5},
        "warnings": [{"about": "<script>alert(1)</script>.mp4", "found": "x", "advice": ""}],
    }
    html = show.footage_report(report)
    assert "<script>" not in html
    assert "<b>dark" not in html
    assert "30 s of 60 s (50 %)" in html


def test_the_loss_curve_falls_when_the_loss_falls():
    readings = [(float(i), f"loss {2.0 - 0.1 * i:.4f}") for i in range(12)]
    points = show.loss_curve(readings).split('points="')[1].split('"')[0].split()
    heights = [float(point.split(",")[1]) for point in points]
    assert heights == sorted(heights)  # y grows downwards
    assert show.loss_curve(readings[:4]) == ""


def test_neighbouring_frames_left_as_they_were_are_told_as_one():
    passed = [{"frame": i, "time_s": i / 25, "reason": "no face"} for i in (3, 4, 5, 9)]
    assert stretches(passed) == ["0.12–0.20 s: no face", "0.36–0.36 s: no face"]
    assert stretches([{"frame": 2 * i, "time_s": i, "reason": "x"} for i in range(20)], 12)[-1] == "and 8 more"
