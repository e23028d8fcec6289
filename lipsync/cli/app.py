"""The command that opens the app."""

import argparse

from lipsync.cli.run import Outcome, given
from lipsync.progress import Progress


def app(args: argparse.Namespace, progress: Progress) -> Outcome:
    """`lipsync app`: serves until interrupted."""
    from lipsync.studio.page import serve

    serve(host=args.host, open_browser=not args.no_browser, **given(args, "port"))
    return Outcome({}, "")
