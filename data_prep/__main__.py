"""`python -m data_prep`: footage into datasets.

python -m data_prep FOOTAGE... --out DATASET …      the same as `lipsync prepare`
python -m data_prep validate DATASET                what is wrong with a dataset; exit 1 when anything is
python -m data_prep download URL --out FOLDER       fetch footage
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from data_prep.download import download
from data_prep.validate import validate
from lipsync.cli import main as lipsync
from lipsync.errors import LipsyncError, UsageError
from lipsync.progress import Progress, Silent, Terminal


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 failed, 2 wrong use."""
    argv = list(sys.argv[1:] if argv is None else argv)
    commands = {"validate": _validate, "download": _download}
    if not argv or argv[0] not in commands:
        return lipsync(["prepare", *argv])
    try:
        return commands[argv[0]](argv[1:])
    except LipsyncError as error:
        sys.stderr.write(f"data_prep {argv[0]}: {error}\n")
        return 2 if isinstance(error, UsageError) else 1


def _parser(command: str, text: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(f"python -m data_prep {command}", description=text)
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    return parser


def _progress(args: argparse.Namespace) -> Progress:
    return Silent() if args.quiet else Terminal()


def _validate(argv: Sequence[str]) -> int:
    parser = _parser("validate", "Check a dataset: file, line, expected, found.")
    parser.add_argument("dataset", type=Path, metavar="DATASET")
    args = parser.parse_args(argv)
    problems = validate(args.dataset, _progress(args))
    sys.stdout.write("".join(f"{problem}\n" for problem in problems) or f"{args.dataset}: no problem\n")
    return 1 if problems else 0


def _download(argv: Sequence[str]) -> int:
    parser = _parser("download", "Fetch footage from a link, with where it came from beside it.")
    parser.add_argument("url", metavar="URL")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--rights", default="", help="by what right the footage is used")
    parser.add_argument("--playlist", action="store_true", help="every video of a link that holds several")
    parser.add_argument("--from", dest="start_s", type=float, default=0.0, metavar="S", help="from this second")
    parser.add_argument("--to", dest="end_s", type=float, metavar="S", help="up to this second")
    args = parser.parse_args(argv)
    part = {"start_s": args.start_s, "end_s": args.end_s}
    found = download(args.url, args.out, playlist=args.playlist, rights=args.rights, progress=_progress(args), **part)
    sys.stdout.write("".join(f"{file.path}\n" for file in found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
