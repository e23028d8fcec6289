"""Consent asked for at a terminal: agreed, refused, unanswered, and not asked where nobody can answer."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lipsync.cli.agree import ask_consent, terminal_is_there
from lipsync.errors import ConsentError

ROOT = Path(__file__).parents[1]


def answering(*answers):
    """What asks, and what was asked; after the last answer the input ends."""
    left, asked = list(answers), []

    def ask(question):
        asked.append(question)
        if not left:
            raise EOFError
        return left.pop(0) + "\n"

    return ask, asked


def test_who_agreed_is_written_down_word_for_word():
    shown = []
    ask, asked = answering("  Ada Lovelace ", "Ada Lovelace", "Bo", "on paper")
    consent = ask_consent(ask, shown.append)
    assert (consent.subject, consent.recorded_by, consent.how) == ("Ada Lovelace", "Bo", "on paper")
    assert any(consent.statement in line for line in shown)  # agreed to what was shown, not to something else
    assert consent.covers == ("video",)
    assert len(asked) == 4


@pytest.mark.parametrize(
    "answers",
    [
        ("",),
        ("Ada", ""),
        ("Ada", "y"),
        ("Ada", "yes"),
        ("Ada", "ada"),
        ("Ada", "Ada", " "),
        (),
        ("Ada",),
        ("Ada", "Ada"),
        ("Ada", "Ada", "Bo"),
    ],
)
def test_anything_but_a_whole_agreement_refuses(answers):
    with pytest.raises(ConsentError, match="nothing was written"):
        ask_consent(answering(*answers)[0], lambda line: None)


def test_nobody_is_asked_where_nobody_can_answer(monkeypatch):
    assert not terminal_is_there(io.StringIO(), io.StringIO())
    monkeypatch.setattr(sys, "stdin", None)
    assert not terminal_is_there()


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo-terminals here")
def test_the_command_asks_at_a_terminal_and_takes_no_for_an_answer(tmp_path):
    command = [sys.executable, str(ROOT / "finetune.py"), "data", "--out", "a.safetensors"]
    environment = os.environ | {"LIPSYNC_HOME": str(tmp_path / "home")}
    ours, theirs = os.openpty()
    try:
        done = subprocess.Popen(command, stdin=theirs, stderr=theirs, stdout=theirs, cwd=tmp_path, env=environment)
        os.write(ours, b"Ada Lovelace\nno\n")
        code = done.wait(60)
        said = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert code == 1
    assert "Whose footage is this" in said
    assert "was not confirmed" in said
    assert list(tmp_path.rglob("*.safetensors*")) == []
