"""`lipsync adapter`: the card in words, blending and merging, and what is refused."""

import json
import shutil

import pytest

from lipsync.cli import main
from lipsync.model.lora import load_adapter
from tests.golden_adapter import FOLDER

FILE = str(FOLDER / "person.safetensors")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    shutil.copytree(FOLDER, tmp_path / "checkpoints")
    monkeypatch.setenv("LIPSYNC_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.setenv("LIPSYNC_HOME", str(tmp_path / "people"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capfd, *argv):
    code = main(["adapter", *argv, "--json"])
    return code, json.loads(capfd.readouterr().out)


def test_show_says_whose_it_is_and_that_they_agreed(capfd):
    code, values = run(capfd, "show", FILE)
    assert code == 0 and values["person"] == "Golden Person" and values["consent"]["subject"] == "Golden Person"
    assert main(["adapter", "show", FILE]) == 0
    assert "consent: Golden Person, 2026-01-31, recorded by the tests" in capfd.readouterr().out


def test_blend_writes_an_adapter_and_refuses_what_is_no_weight(capfd, home):
    code, values = run(capfd, "blend", f"{FILE}=0.5", f"{FILE}=0.25", "--out", "both.safetensors")
    assert code == 0 and [row["weight"] for row in values["blend_of"]] == [0.5, 0.25]
    assert load_adapter(home / "both.safetensors").person == "0.5 × Golden Person + 0.25 × Golden Person"
    code, values = run(capfd, "blend", FILE, "--out", "c.safetensors")
    assert code != 0 and "error" in values and not (home / "c.safetensors").exists()


def test_merge_makes_a_base_once(capfd, home):
    code, values = run(capfd, "merge", FILE, "--name", "golden")
    assert code == 0 and (home / "checkpoints" / "golden" / "pixel.safetensors").is_file()
    code, values = run(capfd, "merge", FILE, "--name", "golden")
    assert code == 1 and "there already" in values["error"]


def test_an_adapter_of_a_base_that_is_not_here_is_refused(capfd, home):
    shutil.rmtree(home / "checkpoints" / "base")
    code, values = run(capfd, "merge", FILE, "--name", "golden")
    assert code == 1 and values["kind"] == "CheckpointError" and "which is not here" in values["error"]
