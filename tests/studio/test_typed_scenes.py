"""Scripts typed on the page: whom they cast, the scene of two people, and what is refused before anything is queued."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "render"))
from drawn_people import DrawnDetector, speaking, tiny_base, write_video

from lipsync.consent import record_consent
from lipsync.errors import ConsentError, PersonError, UsageError
from lipsync.speech.script import parse_script
from lipsync.studio import scenes
from lipsync.studio.desk import DubDesk
from lipsync.studio.learning import check_link
from lipsync.studio.page import show
from lipsync.studio.people import add_file, change_person, create_person
from lipsync.studio.scenes import settle, typed_cast
from lipsync.studio.studio import Spoken, Studio, read_account, renders

PEOPLE = ("Anna", "Ben Ali")


@pytest.fixture
def studio(tmp_path, monkeypatch):
    monkeypatch.setattr("lipsync.render.plan.open_detector", lambda *_, **__: DrawnDetector())
    studio, video = Studio(tmp_path / "home"), write_video(tmp_path / "talk.mp4", speaking(30))
    for name in PEOPLE:
        add_file(create_person(name, record_consent(name, "me"), studio.home), video)
    base = tiny_base()
    monkeypatch.setattr(studio.models, "open", lambda *_: base)
    yield studio
    studio.jobs.close()


def test_people_are_cast_by_their_names():
    assert typed_cast("Hello. NOTE: milk.", PEOPLE) is None
    assert typed_cast("anna: Hi.\nBEN ALI: Hello.\nCARA: Oh.", PEOPLE) == {
        "Anna": {"person": "Anna"},
        "Ben Ali": {"person": "Ben Ali"},
    }
    header = "---\nCARA: person=Anna\n---\n"
    assert typed_cast(f"{header}CARA: Hi.\nAnna: Oh.", PEOPLE) == {"Anna": {"person": "Anna"}}
    assert typed_cast(f"{header}CARA: Hi.", PEOPLE) == {}, "the header has it"
    with pytest.raises(UsageError, match="CARA: template=… is for the command line"):
        typed_cast("---\nCARA: template=/etc/passwd\n---\nCARA: Hi.", PEOPLE)


@pytest.mark.parametrize(
    "voice", ["/etc/passwd", "talk.mp4", "openai:http://127.0.0.1:9/v1#x", "kokoro:af_heart", "+f3"]
)
def test_a_typed_voice_is_one_of_the_page(studio, voice):
    text = "---\nCARA: person=Anna voice={}\n---\nCARA: Hi."
    with pytest.raises(UsageError, match=r"CARA: voice=.* write one of its list “Voice”, such as voice=espeak:en"):
        studio.speak("Anna", Spoken(text.format(voice)))
    assert studio.job("Anna") is None
    assert typed_cast(text.format("espeak:de+m3"), PEOPLE) == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Well.\nANNA: Hi.\nBEN ALI: Oh.",
         {"": ("other.mp4", "espeak:de"), "Anna": ("other.mp4", "espeak:de"), "Ben Ali": ("talk.mp4", "espeak:hi+f3")}),
        ("ANNA: Hi.\nCARA: Oh.", {"Anna": ("other.mp4", "espeak:de"), "CARA": ("other.mp4", "espeak:de+m3")}),
        ("---\nCARA: person=anna\nBen Ali: speed=1.1\n---\nCARA: Oh.\nBen Ali: So.",
         {"CARA": ("other.mp4", "espeak:de"), "Ben Ali": ("talk.mp4", "espeak:hi+f3")}),
        ("---\nANNA: voice=espeak:es\n---\nANNA: Oh.", {"ANNA": ("other.mp4", "espeak:es")}),
    ],
)  # fmt: skip
def test_the_page_chooses_for_the_chosen_person_and_the_narrator(studio, tmp_path, monkeypatch, text, expected):
    for name in PEOPLE:
        add_file(studio.person(name), write_video(tmp_path / "other.mp4", speaking(12)))
        change_person(studio.person(name), template="talk.mp4", voice="espeak:hi+f3")
    change_person(studio.person("Anna"), template="talk.mp4", voice="")
    orders = []
    monkeypatch.setattr(scenes, "perform", lambda order, *_: orders.append(order))
    studio.speak("Anna", Spoken(text, voice="espeak:de", template="other.mp4", settings=(("face", "left"),)))
    studio.jobs.wait(studio.job("Anna").id)
    parts = settle(parse_script(orders[0].script, speakers=orders[0].cast), orders[0])
    assert {who: (part.template.name, part.voice) for who, part in parts.items()} == expected
    assert {part.face for part in parts.values() if part.template.name == "other.mp4"} == {"left"}
    assert "face" not in orders[0].settings, "it is of one template only"


def test_the_narrator_and_the_chosen_person_are_one_mouth(studio):
    """Two mouths on one face would hide each other: the silent one lies over the one that speaks."""
    studio.speak("Anna", Spoken("Well.\nANNA: Hi."))
    job = studio.jobs.wait(studio.job("Anna").id)
    assert job.state == "done", job.error
    account = read_account(renders(studio.person("Anna"))[0])
    assert [actor["name"] for actor in account["actors"]] == ["Anna"]
    assert [turn["speaker"] for turn in account["turns"]] == ["Anna", "Anna"]


def test_two_people_speak_in_one_video(studio):
    studio.speak("Anna", Spoken("ANNA: Hi.\nBEN ALI: Oh no.", layout="grid"))
    job = studio.jobs.wait(studio.job("Anna").id)
    assert job.state == "done", job.error
    (video,) = renders(studio.person("Anna"))
    account = read_account(video)
    assert [turn["speaker"] for turn in account["turns"]] == ["Anna", "Ben Ali"] and account["layout"] == "grid"
    html = show.render_account(account)
    assert "all side by side" in html and all(f"<td>{name}</td>" in html for name in PEOPLE)


def test_what_cannot_be_said_is_refused_before_it_is_queued(studio):
    for spoken in (Spoken(" "), Spoken("", voice="espeak:en")):
        with pytest.raises(UsageError, match="type what shall be said"):
            studio.speak("Anna", spoken)
    assert studio.job("Anna") is None


@pytest.mark.parametrize("link", ["", " ", "talk.mp4", "file:///etc/passwd", "ftp://a/b.mp4"])
def test_what_is_no_link_is_not_fetched(studio, link):
    with pytest.raises(UsageError, match="https://"):
        check_link(link)
    with pytest.raises((UsageError, PersonError)):
        DubDesk(studio).create("Anna", None, link, "es")
    with pytest.raises(UsageError, match="choose the language"):
        DubDesk(studio).create("Anna", None, "HTTP://127.0.0.1:9/a.mp4", "")
    assert studio.job("Anna") is None


def test_who_agreed_needs_two_names(studio):
    for names in ((" ", "me"), ("Cara", "")):
        with pytest.raises(PersonError, match="your own"):
            studio.add_person(*names, "I agree.", "", True)
    with pytest.raises(ConsentError, match="tick that Cara"):
        studio.add_person("Cara", "me", "I agree.", "", False)
