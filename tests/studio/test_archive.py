"""Export and import: what goes out comes back; nothing that does not belong gets in."""

import json
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save_file

from lipsync.consent import record_consent
from lipsync.errors import ConsentError, PersonError
from lipsync.studio import archive
from lipsync.studio.archive import export_person, import_person
from lipsync.studio.people import add_file, create_person, find_person, list_people

GOOD = {
    "person.json": json.dumps({"name": "Mallory", "created": "2026-01-01"}),
    "consent.json": json.dumps(record_consent("Mallory", "me").to_json()),
}


def make(tmp_path, name="Ana María"):
    person = create_person(name, record_consent(name, "tester", how="on paper"), tmp_path / "home")
    (tmp_path / "film.mp4").write_bytes(b"film")
    add_file(person, tmp_path / "film.mp4")
    add_file(person, tmp_path / "film.mp4", "recordings")
    save_file({"style": np.ones(3, np.float32)}, person.adapter)
    clips = person.dataset / "clips"
    clips.mkdir(parents=True)
    (clips / "film_000.mp4").write_bytes(b"window")
    (person.dataset / "manifest.jsonl").write_text("{}\n")
    (person.folder / "renders").mkdir()
    (person.folder / "renders" / "secret.mp4").write_bytes(b"render")
    return person


def zipped(path, members):
    with zipfile.ZipFile(path, "w") as file:
        for name, text in members.items():
            file.writestr(name, text)
    return path


def everything(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_round_trip_with_footage_keeps_every_byte_but_renders(tmp_path):
    person = make(tmp_path)
    names = export_person(person, tmp_path / "p.zip", with_footage=True)
    again = import_person(tmp_path / "p.zip", tmp_path / "other")
    wanted = {name: data for name, data in everything(person.folder).items() if not name.startswith("renders/")}
    assert everything(again.folder) == wanted
    assert set(names) == set(wanted)
    assert again.consent == person.consent


def test_without_footage_only_adapter_records_and_recordings_leave(tmp_path):
    names = export_person(make(tmp_path), tmp_path / "p.zip")
    assert sorted(names) == ["adapter.safetensors", "consent.json", "person.json", "recordings/film.mp4"]


@pytest.mark.parametrize(
    "name",
    [
        "../evil.mp4",
        "footage/../../evil.mp4",
        "/etc/evil.mp4",
        "footage/a/b.mp4",
        "footage/..\\evil.mp4",
        "C:evil.mp4",
        "footage/.hidden.mp4",
        "dataset/clips/x.pkl",
        "adapter.pt",
        "run.py",
        "footage/x.sh",
        "adapter.safetensors/../x",
    ],
)
def test_what_does_not_belong_is_refused_and_nothing_is_left(tmp_path, name):
    file = zipped(tmp_path / "p.zip", {**GOOD, name: "x"})
    with pytest.raises(PersonError, match="no part of a person"):
        import_person(file, tmp_path / "home")
    assert list((tmp_path / "home").iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "p.zip"]


def test_a_link_is_refused(tmp_path):
    file = zipped(tmp_path / "p.zip", GOOD)
    with zipfile.ZipFile(file, "a") as members:
        link = zipfile.ZipInfo("footage/x.mp4")
        link.external_attr = 0o120777 << 16
        members.writestr(link, "/etc/passwd")
    with pytest.raises(PersonError, match="link"):
        import_person(file, tmp_path / "home")


def test_a_record_that_unpacks_too_large_is_refused(tmp_path):
    file = tmp_path / "p.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as members:
        members.writestr("person.json", " " * (archive.MOST_RECORD_BYTES + 1))
    with pytest.raises(PersonError, match="larger"):
        import_person(file, tmp_path / "home")
    assert list((tmp_path / "home").iterdir()) == []


def test_more_than_a_person_may_weigh_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MOST_BYTES", 2000)
    file = zipped(tmp_path / "p.zip", {**GOOD, "footage/a.mp4": "x" * 1000, "footage/b.mp4": "x" * 1000})
    with pytest.raises(PersonError, match="larger"):
        import_person(file, tmp_path / "home")


def test_without_consent_nobody_is_taken_in(tmp_path):
    file = zipped(tmp_path / "p.zip", {"person.json": GOOD["person.json"]})
    with pytest.raises(ConsentError):
        import_person(file, tmp_path / "home")
    assert list_people(tmp_path / "home").people == []


def test_an_adapter_that_is_none_is_refused(tmp_path):
    file = zipped(tmp_path / "p.zip", {**GOOD, "adapter.safetensors": "\x80\x04pickle"})
    with pytest.raises(PersonError, match="safetensors"):
        import_person(file, tmp_path / "home")


def test_a_person_who_is_there_is_not_overwritten(tmp_path):
    person = make(tmp_path)
    export_person(person, tmp_path / "p.zip")
    before = everything(person.folder)
    with pytest.raises(PersonError, match="already"):
        import_person(tmp_path / "p.zip", tmp_path / "home")
    assert everything(find_person(person.name, tmp_path / "home").folder) == before


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04broken"])
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "p.zip").write_bytes(content)
    with pytest.raises(PersonError, match=r"p\.zip"):
        import_person(tmp_path / "p.zip", tmp_path / "home")
