"""Tab 3: learn the person. Before: the footage judged and the time measured. While it runs: a sentence of somebody
else in their mouth, and the curves. After: what was gained, in words, and as two videos of the same sentence.
"""

from pathlib import Path
from typing import Any

import gradio as gr

from lipsync.studio.learning import default_minutes, learning_so_far, read_report
from lipsync.studio.page.frame import Frame, told
from lipsync.studio.page.show import empty, gain_table, learn_estimate, learning_curves
from lipsync.studio.studio import LEAST_LEARNABLE_MINUTES, SAMPLES, adapter_notes, ready_text

WATCH_S = 4.0
HINT = (
    "<p class='faint'>“Stop the job” pauses: nothing is lost. Tick “Continue” and press Learn, and it goes on to the "
    "same result as if it had never stopped, even after the computer was switched off.</p>"
)


def add_learn_tab(frame: Frame) -> None:
    """Build the tab."""
    with gr.Row():
        with gr.Column(min_width=300):
            minutes = gr.Slider(0.5, 120, value=default_minutes(), step=0.5, label="Minutes to learn")
            estimate = gr.HTML()
            again = gr.Checkbox(label="Continue the last learning, where it was stopped")
            with gr.Row():
                check = gr.Button("Check")
                learn = gr.Button("Learn", variant="primary")
            gr.HTML(HINT)
        with gr.Column(min_width=300):
            gain = gr.HTML()
    with gr.Row():
        sheet = gr.Image(label="Another's sentence: base above, learned so far below", interactive=False, buttons=[])
        curves = gr.HTML()
    with gr.Row():
        before = gr.Video(label="Base", interactive=False, loop=True, buttons=[])
        after = gr.Video(label="Learned", interactive=False, loop=True, buttons=[])
    check.click(told(lambda name, value: _check(frame, name, value)), [frame.who, minutes], frame.card)
    learn.click(told(lambda *values: _learn(frame, *values)), [frame.who, minutes, again], frame.card)
    frame.show(lambda name: _state(frame, name), [estimate, gain, before, after])
    frame.show(lambda name: _watch(frame, name), [sheet, curves])
    gr.Timer(WATCH_S).tick(
        told(lambda name: _watch(frame, name)),
        frame.who,
        [sheet, curves],
        show_progress="hidden",
        api_visibility="private",
    )


def _check(frame: Frame, name: str, minutes: float) -> str:
    frame.studio.check(name, minutes)
    return frame.card_of(name)


def _learn(frame: Frame, name: str, minutes: float, again: bool) -> str:
    frame.studio.learn(name, minutes, again)
    return frame.card_of(name)


def _state(frame: Frame, name: str | None) -> tuple[str, str, Any, Any]:
    if not name:
        return "", empty("Choose a person first."), _video(None), _video(None)
    person = frame.studio.person(name)
    estimate = learn_estimate(read_report(person.dataset), ready_text(person), LEAST_LEARNABLE_MINUTES)
    gain = gain_table(adapter_notes(person)) or empty("Not learned yet. The base model can speak for them already.")
    samples = person.folder / SAMPLES
    return estimate, gain, _video(samples / "base.mp4"), _video(samples / "adapter.mp4")


def _watch(frame: Frame, name: str | None) -> tuple[Any, str]:
    """The newest samples and the curves of the run, while there is one."""
    if not name:
        return gr.Image(None, visible=False), ""
    sheet, curves = learning_so_far(frame.studio.person(name))
    return gr.Image(str(sheet) if sheet else None, visible=sheet is not None), learning_curves(curves)


def _video(path: Path | None) -> Any:
    there = path is not None and path.is_file()
    return gr.Video(str(path) if there else None, visible=there)
