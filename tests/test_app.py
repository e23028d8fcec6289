"""The app: it builds, its handlers are thin, and it holds nothing heavy."""

import ast
from pathlib import Path

import gradio as gr
import pytest

from lipsync.errors import MediaError
from lipsync.studio.jobs import FAILED, Snapshot
from lipsync.studio.page import build_app
from lipsync.studio.page.frame import told
from lipsync.studio.page.show import job_card, without_folders
from lipsync.studio.page.theme import CSS
from lipsync.studio.studio import Studio

ROOT = Path(__file__).parents[1]
PAGE = [ROOT / "app.py", *sorted((ROOT / "lipsync" / "studio" / "page").glob("*.py"))]
HEAVY = {"torch", "numpy", "cv2", "av", "mediapipe", "peft", "librosa"}
MOST_HANDLER_LINES = 15


def test_the_page_builds_on_an_empty_home(tmp_path):
    page = build_app(Studio(tmp_path))
    assert isinstance(page, gr.Blocks)
    labels = {getattr(block, "label", None) for block in page.blocks.values()}
    assert {
        "Person",
        "What shall be said",
        "Minutes to learn",
        "Link of a video",
        "Into which language",
        "Sentences",
    } <= labels
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", PAGE, ids=lambda path: path.name)
def test_the_page_imports_nothing_heavy(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {name.split(".")[0] for name in names} & HEAVY


def handlers():
    for path in PAGE:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and path.name.endswith("_tab.py") and node.name.startswith("_"):
                yield pytest.param(node, id=f"{path.stem}.{node.name}")


@pytest.mark.parametrize("node", list(handlers()))
def test_handlers_are_thin(node):
    assert node.end_lineno - node.lineno < MOST_HANDLER_LINES


def test_an_error_of_ours_becomes_a_message_and_changes_nothing(monkeypatch):
    shown = []
    monkeypatch.setattr(gr, "Warning", lambda message, **_: shown.append(message))

    def handler(name):
        raise MediaError(f"{name}: no video")

    assert told(handler)("a.mp4") == gr.skip()
    assert shown == ["a.mp4: no video"]


def test_an_upload_is_called_as_its_owner_calls_it(monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", "/home/me/.uploads")
    assert without_folders(f"/home/me/.uploads/{64 * 'a'}/my talk.srt: line 1") == "my talk.srt: line 1"
    assert without_folders("/home/me/talk.srt: line 1") == "/home/me/talk.srt: line 1"
    failed = job_card(Snapshot("1", "Dubbing", FAILED, error=f"/home/me/.uploads/{64 * 'a'}/my talk.mp4: no video"))
    assert "my talk.mp4: no video" in failed and ".uploads" not in failed


def test_the_queue_still_has_the_field_that_is_set():
    """`serve` makes the idle page look for work less often through a field of gradio that is not public."""
    with gr.Blocks(analytics_enabled=False) as page:
        pass
    assert isinstance(page._queue.sleep_when_free, float)


def test_a_fault_of_the_program_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        told(lambda: 1 / 0)()


def test_nothing_is_fetched_from_outside():
    assert "http" not in CSS
    assert "@import" not in CSS
    for path in PAGE:
        assert "https://" not in path.read_text(encoding="utf-8").replace("https://…", "")
