"""Tab 2: bring footage, prepare it, and see what was kept and why the rest was not."""

from typing import Any

import gradio as gr

from lipsync.studio.learning import read_report
from lipsync.studio.page.frame import ERROR_S, Frame, told
from lipsync.studio.page.show import empty, footage_report, table
from lipsync.studio.studio import thumbnails


def add_footage_tab(frame: Frame) -> None:
    """Build the tab."""
    with gr.Row():
        with gr.Column(min_width=300):
            files = gr.File(label="Videos of the person speaking; a photo can be a template", file_count="multiple")
            with gr.Accordion("Or from a link", open=False):
                link = gr.Textbox(label="Link of a video", placeholder="https://…", max_length=2000)
                gr.HTML("<p class='faint'>Fetching is the one thing here that needs the network.</p>")
                fetch = gr.Button("Fetch")
            listed = gr.HTML()
            prepare = gr.Button("Prepare", variant="primary")
        with gr.Column(min_width=300):
            report = gr.HTML()
    pictures = gr.Gallery(
        label="Kept: the mouth's window of each clip", columns=6, height=240, object_fit="contain", buttons=[]
    )
    files.upload(told(lambda name, paths: _bring(frame, name, paths)), [frame.who, files], [files, listed])
    fetch.click(told(lambda name, url: _fetch(frame, name, url)), [frame.who, link], frame.card)
    prepare.click(told(lambda name: _prepare(frame, name)), frame.who, frame.card)
    frame.show(lambda name: _state(frame, name), [listed, report, pictures])


def _bring(frame: Frame, name: str, paths: list[str]) -> tuple[None, str]:
    kept, refused = frame.studio.bring(name, paths)
    if refused:
        gr.Warning("\n".join(refused), duration=ERROR_S)
    if kept:
        gr.Info(f"{len(kept)} file(s) are there. Next: Prepare.")
    return None, _listed(frame, name)


def _fetch(frame: Frame, name: str, url: str) -> str:
    frame.studio.fetch(name, url)
    return frame.card_of(name)


def _prepare(frame: Frame, name: str) -> str:
    frame.studio.prepare(name)
    return frame.card_of(name)


def _listed(frame: Frame, name: str) -> str:
    rows = [(path.name, f"{path.stat().st_size / 1e6:.1f} MB") for path in frame.studio.person(name).footage()]
    return table(rows, ("Footage", "Size")) if rows else empty("No footage yet.")


def _state(frame: Frame, name: str | None) -> tuple[str, str, Any]:
    if not name:
        return empty("Choose a person first."), "", gr.Gallery(visible=False)
    person = frame.studio.person(name)
    pictures = thumbnails(person)
    report = footage_report(read_report(person.dataset))
    return _listed(frame, name), report, gr.Gallery(pictures, visible=bool(pictures))
