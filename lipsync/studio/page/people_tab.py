"""Tab 1: choose a person or make one, with their consent; delete one."""

from typing import Any

import gradio as gr

from lipsync.consent import STATEMENT
from lipsync.studio.page.frame import Frame, told
from lipsync.studio.page.show import empty, table


def add_people_tab(frame: Frame) -> None:
    """Build the tab."""
    record = gr.HTML()
    frame.show(lambda name: _record(frame, name), [record])
    with gr.Accordion("A new person", open=not frame.studio.names()):
        with gr.Row():
            name = gr.Textbox(label="Name of the person", max_length=100)
            recorded_by = gr.Textbox(label="Your name, as who recorded it", max_length=100)
            how = gr.Textbox(label="How they agreed", placeholder="signed paper, e-mail, in person …", max_length=200)
        statement = gr.Textbox(label="What they agreed to", value=STATEMENT.format(subject="…"), lines=3)
        agreed = gr.Checkbox(label="This person has read the statement and agreed to it")
        create = gr.Button("Make this person", variant="primary")
    name.change(_statement, [name, statement], statement, show_progress="hidden")
    fields = [name, recorded_by, statement, how, agreed]
    create.click(told(lambda *values: _create(frame, *values)), fields, [frame.who, name, agreed])
    with gr.Accordion("Delete the chosen person and all that is theirs", open=False), gr.Row():
        typed = gr.Textbox(label="Type the name again", scale=3)
        delete = gr.Button("Delete", variant="stop", scale=1)
    delete.click(told(lambda who, text: _delete(frame, who, text)), [frame.who, typed], [frame.who, typed])


def _statement(name: str, statement: str) -> str:
    """The usual statement with the name in it; a statement of the creator's own stays."""
    usual = statement.endswith(STATEMENT.split("{subject}")[1])
    return STATEMENT.format(subject=name.strip() or "…") if usual else statement


def _record(frame: Frame, name: str | None) -> str:
    if not name:
        return empty("Nobody is chosen. Choose a person above, or make one here.")
    consent = frame.studio.person(name).consent
    rows = [("Agreed to", consent.statement), ("Recorded", f"{consent.date[:10]} by {consent.recorded_by}")]
    rows += [("In what form", consent.how)] if consent.how else []
    return table([*rows, ("Record", consent.digest[:16])], (consent.subject, "Consent"))


def _create(frame: Frame, name: str, recorded_by: str, statement: str, how: str, agreed: bool) -> tuple[Any, ...]:
    person = frame.studio.add_person(name, recorded_by, statement, how, agreed)
    gr.Info(f"{person.name} is there. Next: bring footage.")
    return gr.Dropdown(choices=frame.studio.names(), value=person.name), "", False


def _delete(frame: Frame, name: str, typed: str) -> tuple[Any, str]:
    frame.studio.delete(name, typed)
    names = frame.studio.names()
    return gr.Dropdown(choices=names, value=names[0] if names else None), ""
