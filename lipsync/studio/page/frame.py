"""What the tabs share: the studio, the chosen person, the job's card; and how an error of ours reaches the page."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from lipsync.errors import LipsyncError
from lipsync.studio.page.show import job_card, without_folders
from lipsync.studio.studio import Studio

ERROR_S = 12.0


@dataclass(frozen=True)
class Frame:
    """The page while it is built.

    `ended` changes when a job ends. `shown` are functions, the components they fill, and what they are told besides
    the person's name.
    """

    studio: Studio
    who: gr.Dropdown
    card: gr.HTML
    ended: gr.State
    shown: list[tuple[Callable[..., Any], list[Any], list[Any]]] = field(default_factory=list)

    def show(self, function: Callable[..., Any], outputs: list[Any], inputs: list[Any] | None = None) -> None:
        """Fill `outputs` when the page opens, the person changes, or a job ends."""
        self.shown.append((told(function), outputs, inputs or []))

    def card_of(self, name: str | None) -> str:
        """The card of the person's job."""
        return job_card(self.studio.job(name))


def told(handler: Callable[..., Any]) -> Callable[..., Any]:
    """The handler, with errors of ours shown as a message; everything on the page stays as it is."""

    @functools.wraps(handler)
    def wrapper(*values: Any) -> Any:
        try:
            return handler(*values)
        except (LipsyncError, OSError) as error:
            gr.Warning(without_folders(str(error)), duration=ERROR_S)
            return gr.skip()

    return wrapper
