"""The outermost layer: parse, run one command, print its result, turn errors into words and exit codes.

    0 done      1 failed, stopped, or interrupted      2 wrong use

With `--json`, stdout holds one JSON object and nothing else: the result, or {"error": …, "kind": …}. What libraries
write to stdout meanwhile, from C too, goes to stderr.
"""

import argparse
import contextlib
import importlib
import json
import math
import os
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lipsync.cli.parser import build_parser
from lipsync.errors import LipsyncError, UsageError
from lipsync.progress import Progress, Silent, Terminal

DONE, FAILED, WRONG_USE = 0, 1, 2


@dataclass(frozen=True)
class Outcome:
    """What a command leaves: the object for `--json`, the text for people, and the exit code."""

    values: dict[str, Any]
    text: str
    code: int = DONE


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; `argv` without the program's name. Returns the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in argv
    try:
        args = build_parser().parse_args(argv)
        module, _, function = args.run.partition(":")
        progress: Progress = Silent() if args.quiet else Terminal()
        with _stdout_to_stderr() if as_json else contextlib.nullcontext():
            outcome: Outcome = getattr(importlib.import_module(module), function)(args, progress)
    except UsageError as error:
        return _fail(error, str(error), WRONG_USE, as_json)
    except (LipsyncError, OSError) as error:
        return _fail(error, str(error), FAILED, as_json)
    except KeyboardInterrupt as error:
        return _fail(error, "interrupted; what was finished is kept, what was half done is not", FAILED, as_json)
    except Exception as error:  # noqa: BLE001  the outermost layer: a fault of the program still ends as promised
        traceback.print_exc()
        return _fail(error, f"unexpected {type(error).__name__}: {error} (a fault of lipsync)", FAILED, as_json)
    _print(json.dumps(_plain(outcome.values), ensure_ascii=False) if as_json else outcome.text)
    return outcome.code


def run_alone(command: str) -> int:
    """`main` for a file that is one command, such as finetune.py."""
    return main([command, *sys.argv[1:]])


def _fail(error: BaseException, message: str, code: int, as_json: bool) -> int:
    if as_json:
        _print(json.dumps({"error": message, "kind": type(error).__name__}, ensure_ascii=False))
    with contextlib.suppress(BrokenPipeError):
        sys.stderr.write(f"lipsync: {message}\n")
    return code


def _plain(value: Any) -> Any:
    """As JSON has it: paths as text, and null where a number is not one."""
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _print(text: str) -> None:
    if text:
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.write(text + "\n")
            sys.stdout.flush()


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def given(args: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Those of the named arguments that were on the command line: the others keep the config's own default."""
    return {name: getattr(args, name) for name in names if getattr(args, name, None) is not None}
