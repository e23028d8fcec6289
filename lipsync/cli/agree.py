"""Asking for consent at a terminal, where a person is to be learned and no record was given.

Asked are the person's name, whether they themselves agreed to the words shown, who says so, and in what form. The
agreement is the name typed once more: a careless Enter or "y" agrees to nothing. What is written here is a record like
any other (lipsync/consent.py).
"""

import sys
from collections.abc import Callable
from typing import TextIO

from lipsync.consent import STATEMENT, Consent, record_consent
from lipsync.errors import ConsentError

Ask = Callable[[str], str]
WHY = (
    "To learn a person is to be able to show them saying anything. So it is done only when they agreed to it, and "
    "their agreement is written into the adapter. Nobody can agree in their place."
)
REFUSED = "nobody was learned, and nothing was written"


def terminal_is_there(source: TextIO | None = None, shown: TextIO | None = None) -> bool:
    """Whether somebody can be asked: both what is typed and what is shown are a terminal's."""
    return all(stream is not None and stream.isatty() for stream in (source or sys.stdin, shown or sys.stderr))


def ask_consent(ask: Ask | None = None, show: Callable[[str], None] | None = None) -> Consent:
    """A record made by asking.

    Args:
        ask: shows a question and returns what was typed; EOFError when there is no answer.
        show: prints a line; both stay off standard output, which is the result's.

    Raises:
        ConsentError: no name, no agreement, nobody who says so, or the input ended.
    """
    ask, show = ask or _ask, show or _show
    try:
        show(WHY)
        subject = _answer(ask, "Whose footage is this (full name)? ", "no name was given")
        show(f"The statement: “{STATEMENT.format(subject=subject)}”")
        question = f"If {subject} agreed to exactly this, type their name once more; anything else refuses: "
        if ask(question).strip() != subject:
            raise ConsentError(f"{subject}'s agreement was not confirmed; {REFUSED}")
        recorded_by = _answer(ask, "Your own name, as the one who says so: ", "nobody says so")
        how = ask("How did they agree (paper, e-mail, in person …; may be left empty)? ").strip()
    except EOFError as error:
        raise ConsentError(f"the questions about consent were not answered; {REFUSED}") from error
    return record_consent(subject, recorded_by, how=how)


def _answer(ask: Ask, question: str, missing: str) -> str:
    text = ask(question).strip()
    if not text:
        raise ConsentError(f"{missing}; {REFUSED}")
    return text


def _ask(question: str) -> str:
    sys.stderr.write(question)
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line


def _show(text: str) -> None:
    sys.stderr.write(text + "\n")
