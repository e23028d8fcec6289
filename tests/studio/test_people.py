"""Person folders: any name, nothing outside the home folder, nothing half written."""

import json
import unicodedata

import pytest

from lipsync.consent import record_consent
from lipsync.errors import ConsentError, PersonError
from lipsync.studio.people import (
    RECORDINGS,
    add_file,
    change_person,
    create_person,
    delete_person,
    find_person,
    folder_name,
    list_people,
)

NASTY = [
    "../../etc/passwd",
    "C:\\Windows\\con",
    "CON",
    ".hidden",
    "a/b",
    "Ana María",
    "李小龍",
    "आर्या",
    "محمد",
    "x" * 100,
    "é" * 100,
    "tab\tand\nline",
    "🙂 Smiley",
    "O'Neil; rm -rf *",
]


def make(home, name="Anna"):
    return create_person(name, record_consent(name, "tester"), home)


@pytest.mark.parametrize("name", NASTY)
def test_any_name_is_a_folder_of_its_own_in_the_home(tmp_path, name):
    home = tmp_path / "people"
    person = make(home, name)
    assert person.folder.parent == home
    assert len(person.folder.name.encode()) < 100
    assert find_person(name, home) == person
    assert [found.name for found in list_people(home).people] == [unicodedata.normalize("NFC", name).strip()]
    assert [path.name for path in tmp_path.iterdir()] == ["people"]


def test_spellings_of_one_name_are_one_person(tmp_path):
    person = make(tmp_path, "Zoë")
    assert find_person(unicodedata.normalize("NFD", " ZOË "), tmp_path) == person
    with pytest.raises(PersonError, match="already"):
        make(tmp_path, "zoë")


def test_names_alike_but_for_signs_stay_apart():
    assert folder_name("a/b") != folder_name("a b") != folder_name("ab")


@pytest.mark.parametrize("name", ["", "  ", "///", "..", "🙂", "y" * 101])
def test_what_is_no_name_is_refused(tmp_path, name):
    with pytest.raises(PersonError):
        create_person(name, record_consent("somebody", "tester"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_person_is_answered_with_the_known(tmp_path):
    make(tmp_path, "Berta")
    with pytest.raises(PersonError, match="Berta"):
        find_person("Carla", tmp_path)


def test_a_person_without_consent_cannot_be_read(tmp_path):
    person = make(tmp_path)
    (person.folder / "consent.json").unlink()
    with pytest.raises(ConsentError):
        find_person("Anna", tmp_path)


def test_one_broken_folder_does_not_hide_the_others(tmp_path):
    make(tmp_path, "Anna")
    broken, lawless = make(tmp_path, "Berta"), make(tmp_path, "Carla")
    (broken.folder / "person.json").write_text("{", encoding="utf-8")
    (lawless.folder / "consent.json").unlink()
    roster = list_people(tmp_path)
    assert [person.name for person in roster.people] == ["Anna"]
    assert len(roster.broken) == 2
    assert any(str(broken.folder) in line for line in roster.broken)


def test_a_record_with_unknown_fields_is_refused(tmp_path):
    person = make(tmp_path)
    path = person.folder / "person.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"voise": "x"}), encoding="utf-8")
    with pytest.raises(PersonError, match="voice"):
        find_person("Anna", tmp_path)


def test_files_are_copied_under_safe_names_and_once(tmp_path):
    person = make(tmp_path / "home")
    source = tmp_path / "..my: clip?.MP4"
    source.write_bytes(b"one")
    first = add_file(person, source)
    assert first.parent == person.folder / "footage"
    assert first.suffix == ".mp4"
    assert not first.name.startswith(".")
    assert add_file(person, source) == first
    source.write_bytes(b"two")
    second = add_file(person, source)
    assert second != first
    assert (first.read_bytes(), second.read_bytes()) == (b"one", b"two")
    assert set(person.footage()) == {first, second}
    assert add_file(person, source, RECORDINGS).parent.name == "recordings"


def test_template_and_voice_are_remembered(tmp_path):
    person = make(tmp_path / "home")
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(name.encode())
        add_file(person, tmp_path / name)
    assert person.template_path().name == "a.mp4"
    change_person(person, template="b.mp4", voice="espeak:hi")
    again = find_person("Anna", tmp_path / "home")
    assert (again.template_path().name, again.voice) == ("b.mp4", "espeak:hi")
    with pytest.raises(PersonError, match=r"none\.mp4"):
        change_person(person, template="none.mp4")


def test_without_footage_there_is_no_template(tmp_path):
    with pytest.raises(PersonError, match="bring"):
        make(tmp_path).template_path()


def test_deleted_is_gone(tmp_path):
    person = make(tmp_path)
    delete_person(person)
    assert list(tmp_path.iterdir()) == []
