"""The command that reads a file's content credentials: verify."""

import argparse

from lipsync.cli.run import DONE, FAILED, Outcome
from lipsync.progress import Progress
from lipsync.render.credentials import read_credentials


def verify(args: argparse.Namespace, progress: Progress) -> Outcome:
    """`lipsync verify`: 0 only where every file carries credentials and none was changed since."""
    found = [read_credentials(path) for path in args.files]
    values = found[0].to_json() if len(found) == 1 else {"files": [one.to_json() for one in found]}
    code = DONE if all(one.found and one.intact for one in found) else FAILED
    return Outcome(values, "\n".join(map(str, found)), code)
