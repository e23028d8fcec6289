"""The command line as other programs use it: exit codes, one JSON object, nothing half written."""

import json
import subprocess
import sys

import pytest

from lipsync.cli import main
from lipsync.cli.parser import build_parser, command_names
from lipsync.consent import record_consent
from lipsync.studio.people import find_person

COMMANDS = command_names(build_parser())


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("LIPSYNC_HOME", str(tmp_path / "people"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "people"


def run(capfd, *argv):
    """(exit code, the one JSON object on stdout, stderr)."""
    code = main([*argv, "--json"])
    out, err = capfd.readouterr()
    assert out.count("\n") == 1
    return code, json.loads(out), err


def test_help_of_every_command_is_there_without_torch():
    program = (
        "import sys\nfrom lipsync.cli import main\n"
        f"for command in {[*COMMANDS]!r}:\n"
        "    try: main([command, '--help'])\n"
        "    except SystemExit as end: assert end.code == 0, command\n"
        "heavy = {'torch', 'numpy', 'cv2', 'av', 'gradio', 'mediapipe'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(f"usage: lipsync {command}" in done.stdout for command in COMMANDS)


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["sing"],
        ["say"],
        ["say", "Hi", "--out", "o.mp4"],
        ["say", "Hi", "--template", "t.mp4"],
        ["say", "Hi", "--template", "t.mp4", "--person", "A", "--out", "o.mp4"],
        ["say", "--template", "t.mp4", "--out", "o.mp4"],
        ["say", "Hi", "--script", "s.txt", "--template", "t.mp4", "--out", "o.mp4"],
        ["say", "Hi", "--template", "t.mp4", "--out", "o.mp4", "--steps", "0"],
        ["say", "Hi", "--template", "t.mp4", "--out", "o.mp4", "--steps", "few"],
        ["dub", "v.mp4", "--out", "o.mp4"],
        ["dub", "v.mp4", "--audio", "a.wav", "--mouth", "m.mp4", "--out", "o.mp4"],
        ["prepare", "film.mp4"],
        ["prepare", "--out", "data"],
        ["finetune", "data"],
        ["finetune", "data", "--out", "a.pt"],
        ["finetune", "data", "--out", "a.safetensors", "--minutes", "-1"],
        ["people", "add", "Anna"],
        ["evaluate"],
    ],
)
def test_wrong_use_is_2_with_one_error_object(capfd, home, argv):
    code, values, err = run(capfd, *argv)
    assert code == 2
    assert values["kind"] == "UsageError"
    assert values["error"] in err


@pytest.mark.parametrize(
    ("argv", "kind"),
    [
        (["prepare", "none.mp4", "--out", "data"], "MediaError"),
        (["say", "?!", "--template", "t.mp4", "--out", "o.mp4"], "SpeechError"),
        (["say", "", "--template", "t.mp4", "--out", "o.mp4"], "SpeechError"),
        (["say", "Hi", "--voice", "espeak:xx", "--template", "t.mp4", "--out", "o.mp4"], "VoiceError"),
        (["say", "Hi", "--base", "none", "--template", "t.mp4", "--out", "o.mp4"], "CheckpointError"),
        (["say", "Hi", "--person", "Nobody", "--out", "o.mp4"], "PersonError"),
        (["dub", "v.mp4", "--audio", "none.wav", "--out", "o.mp4"], "MediaError"),
        (["finetune", "data", "--out", "a.safetensors"], "ConsentError"),
        (["finetune", "data", "--out", "a.safetensors", "--consent", "none.json"], "ConsentError"),
        (["evaluate", "none.mp4"], "MediaError"),
        (["card", "none", "--data", "data"], "CheckpointError"),
        (["pretrain", "--data", "none", "--out", "run", "--config", "none.json"], "ConfigError"),
        (["import", "none.zip"], "PersonError"),
        (["export", "Nobody", "--out", "p.zip"], "PersonError"),
    ],
)
def test_failure_is_1_with_one_error_object_and_no_output(capfd, home, argv, kind):
    code, values, err = run(capfd, *argv)
    assert (code, values["kind"]) == (1, kind)
    assert values["error"] in err
    left = {path.name for path in home.parent.rglob("*") if path.is_file()}
    assert left == set()


def test_finetune_without_consent_says_how_to_give_it(capfd, home):
    _, values, _ = run(capfd, "finetune", "data", "--out", "a.safetensors")
    assert "lipsync people add" in values["error"]
    assert "--consent" in values["error"]


def test_consent_by_file_or_person_is_accepted(capfd, home, tmp_path):
    (tmp_path / "consent.json").write_text(json.dumps(record_consent("Anna", "me").to_json()))
    main(["people", "add", "Berta", "--recorded-by", "me"])
    capfd.readouterr()
    for who in (["--consent", "consent.json"], ["--person", "Berta"]):
        code, values, _ = run(capfd, "finetune", "data", "--out", "a.safetensors", *who)
        assert (code, values["kind"]) == (1, "DatasetError")  # past the consent, the dataset is what is missing


def test_people_are_made_listed_shown_and_deleted(capfd, home, tmp_path):
    (tmp_path / "film.mp4").write_bytes(b"film")
    add = ["people", "add", "Ana María", "--recorded-by", "me", "--how", "on paper", "--footage", "film.mp4"]
    code, made, _ = run(capfd, *add)
    assert code == 0
    assert made["consent"]["how"] == "on paper"
    assert run(capfd, "people")[1]["people"] == [made]
    assert run(capfd, "people", "show", "ana maría")[1] == made
    assert run(capfd, *add)[0] == 1
    assert [path.name for path in find_person("Ana María").footage()] == ["film.mp4"]
    assert run(capfd, "export", "Ana María", "--out", "p.zip", "--footage")[0] == 0
    assert run(capfd, "people", "delete", "Ana María")[0] == 0
    assert run(capfd, "import", "p.zip")[1]["footage"] == made["footage"]


def test_what_is_no_number_is_null(capfd, home, monkeypatch):
    import lipsync.cli.people as commands
    from lipsync.cli.run import Outcome

    values = {"path": home, "list": (float("nan"), 1.5), "worst": float("-inf"), "none": None, "yes": True}
    monkeypatch.setattr(commands, "_list", lambda: Outcome(values, ""))
    assert main(["people", "--json"]) == 0
    out = capfd.readouterr().out
    assert json.loads(out, parse_constant=pytest.fail) == {
        "path": str(home),
        "list": [None, 1.5],
        "worst": None,
        "none": None,
        "yes": True,
    }


def test_what_libraries_print_stays_out_of_the_json(capfd, home, monkeypatch):
    import os

    import lipsync.cli.people as commands

    listing = commands._list

    def noisy():
        print("from Python")
        os.write(1, b"from C\n")
        return listing()

    monkeypatch.setattr(commands, "_list", noisy)
    code, values, err = run(capfd, "people")
    assert (code, values["people"]) == (0, [])
    assert "from Python" in err
    assert "from C" in err


@pytest.mark.parametrize(
    ("raised", "code"), [(KeyboardInterrupt(), 1), (ZeroDivisionError("x"), 1), (OSError("full"), 1)]
)
def test_interrupts_and_surprises_end_as_promised(capfd, home, monkeypatch, raised, code):
    import lipsync.cli.people as commands

    def fail():
        raise raised

    monkeypatch.setattr(commands, "_list", fail)
    found, values, _ = run(capfd, "people")
    assert found == code
    assert values["kind"] == type(raised).__name__


def test_quiet_shows_no_progress(capfd, home):
    assert main(["doctor", "--quiet"]) in (0, 1)
    out, err = capfd.readouterr()
    assert "checking" not in err
    assert "versions" in out


def test_finetune_py_is_the_same_command(tmp_path):
    from pathlib import Path

    script = Path(__file__).parents[1] / "finetune.py"
    done = subprocess.run([sys.executable, str(script), "data", "--json"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert "--out" in json.loads(done.stdout)["error"]
