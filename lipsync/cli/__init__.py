"""The command `lipsync`: see parser.py for what it takes, run.py for how it ends."""

from lipsync.cli.run import main

__all__ = ["main"]
