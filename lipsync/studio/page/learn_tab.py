"""Tab 3: learn the person; what was gained, in figures and as two videos."""

from pathlib import Path
from typing import Any

import gradio as gr

from lipsync.studio.page.frame import Frame, told
from lipsync.studio.page.show import empty, gain_table, learn_estimate
from lipsync.studio.service import default_minutes, read_report
from lipsync.studio.studio import LEAST_LEARNABLE_MINUTES, SAMPLES, adapter_notes


def add_learn_tab(frame: Frame) -> None:
    """Build the tab."""
    with gr.Row():
        with gr.Column(min_width=300):
            minutes = gr.Slider(0.5, 120, value=default_minutes(), step=0.5, label="Minutes to learn")
            estimate = gr.HTML()
            again = gr.Checkbox(label="Continue the last learning, where it was stopped")
            learn = gr.Button("Learn", variant="primary")
        with gr.Column(min_width=300):
            gain = gr.HTML()
    with gr.Row():
        before = gr.Video(label="Base", interactive=False, loop=True, buttons=[])
        after = gr.Video(label="Learned", interactive=False, loop=True, buttons=[])
    learn.click(told(lambda *values: _learn(frame, *values)), [frame.who, minutes, again], frame.card)
    frame.show(lambda name: _state(frame, name), [estimate, gain, before, after])


def _learn(frame: Frame, name: str, minutes: float, again: bool) -> str:
    frame.studio.learn(name, minutes, again)
    return frame.card_of(name)


def _state(frame: Frame, name: str | None) -> tuple[str, str, Any, Any]:
    if not name:
        return "", empty("Choose a person first."), _video(None), _video(None)
    person = frame.studio.person(name)
    estimate = learn_estimate(read_report(person.dataset), LEAST_LEARNABLE_MINUTES)
    gain = gain_table(adapter_notes(person)) or empty("Not learned yet. The base model can speak for them already.")
    samples = person.folder / SAMPLES
    return estimate, gain, _video(samples / "base.mp4"), _video(samples / "adapter.mp4")


def _video(path: Path | None) -> Any:
    there = path is not None and path.is_file()
    return gr.Video(str(path) if there else None, visible=there)
