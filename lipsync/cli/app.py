"""The command that opens the app."""

import argparse
import sys

from lipsync.cli.run import Outcome, given
from lipsync.progress import Progress


def app(args: argparse.Namespace, progress: Progress) -> Outcome:
    """`lipsync app`: serves until interrupted."""
    from lipsync.studio.page import serve

    serve(args.host, open_browser=not args.no_browser, ready=_say_where, **given(args, "port"))
    return Outcome({}, "")


def _say_where(address: str) -> None:
    sys.stderr.write(f"The app is at {address} (Ctrl-C ends it)\n")
    sys.stderr.flush()
