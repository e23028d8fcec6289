"""The commands that make and judge videos: say, dub, evaluate."""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lipsync.cli.run import Outcome, given
from lipsync.errors import UsageError
from lipsync.progress import Progress
from lipsync.studio import scenes, service
from lipsync.studio.order import Order
from lipsync.studio.people import find_person

if TYPE_CHECKING:
    from lipsync.dubbing.order import DubResult
    from lipsync.render.result import RenderResult

SETTINGS = ("steps", "guidance", "seed", "face")
INTO = ("source_language", "transcript", "work", "transcriber", "translator", "glossary", "background", "separator")
INTO += ("loudness_lufs", "speed", "until")
ORDERED = ("text", "script", "audio", "mouth", "voice", "speed", "adapter", "base", "device", "stream", "pieces")
ORDERED += ("report",)
ORDERED += ("song",)


def say(args: argparse.Namespace, progress: Progress) -> Outcome:
    """`lipsync say`."""
    if args.text is not None and args.script is not None:
        raise UsageError("say takes a TEXT or --script FILE, not both")
    if args.text is None and args.script is None and args.voice is None:
        raise UsageError("say needs a TEXT, --script FILE, or --voice with a recorded file")
    if args.cast or args.takes or args.retake or args.layout or (args.script and scenes.has_cast(args.script)):
        return _scene(args, progress)
    if not (args.person or args.template):
        raise UsageError("say needs a face: --person NAME, --template VIDEO|PHOTO, or --cast for a script's speakers")
    wanted = _wanted(args)
    if args.person:
        order = service.order_for(find_person(args.person), args.out, **wanted)
    else:
        order = Order(args.template, args.out, **wanted)
    return _outcome(service.render(order, service.Models(), progress))


def _scene(args: argparse.Namespace, progress: Progress) -> Outcome:
    """`lipsync say` with a cast, or with takes."""
    if args.text is None and args.script is None:
        raise UsageError("a scene needs a TEXT or --script FILE")
    if args.song:
        raise UsageError("--song is for one singer; a scene is spoken")
    if args.report is not None:
        raise UsageError("--report is for one speaker; a scene's account of itself comes with --json")
    if args.pieces is not None:
        raise UsageError("--pieces is for one speaker; a scene keeps its sentences' sounds with --takes DIR")
    if args.retake and not args.takes:
        raise UsageError("--retake needs --takes DIR, where the other sentences were kept")
    wanted = given(args, "layout", "person", "template", "adapter", "voice", "speed", "takes", "base", "device")
    order = scenes.SceneOrder(
        args.text if args.script is None else args.script,
        args.out,
        scenes.read_cast(args.cast),
        again=tuple(args.retake or ()),
        settings=given(args, *SETTINGS),
        **wanted,
    )
    result = scenes.perform(order, progress)
    lines = [
        f"{result.out}: {result.frames} frames, {len(result.turns)} sentences, {len(result.shots)} shots",
        f"largest difference outside the mask, before encoding: {result.largest_outside_difference} of 255",
        *[f"{one['name'] or 'narrator'}: {one['rendered']} frames with a new mouth" for one in result.actors],
    ]
    return Outcome(asdict(result), "\n".join([*lines, *result.warnings]))


def dub(args: argparse.Namespace, progress: Progress) -> Outcome:
    """`lipsync dub`."""
    if args.to or args.srt:
        return _dub_into(args, progress)
    if not any(getattr(args, name) is not None for name in ("audio", "text", "script", "mouth")):
        raise UsageError("dub needs what is said instead: --to LANG, --srt, --audio, --text, --script or --mouth")
    wanted = _wanted(args)
    if args.person:
        order = service.order_for(find_person(args.person), args.out, template=args.video, dub=True, **wanted)
    else:
        order = Order(args.video, args.out, dub=True, **wanted)
    return _outcome(service.render(order, service.Models(), progress))


def _dub_into(args: argparse.Namespace, progress: Progress) -> Outcome:
    """`lipsync dub VIDEO --to LANG`, `--srt FILE`."""
    others = [name for name in ("audio", "text", "script", "mouth", "song") if getattr(args, name)]
    if others:
        raise UsageError(f"--to is about the video's own sentences in another language; leave out --{others[0]}")
    wanted = {**given(args, *INTO), "language": args.to or "", "subtitles": args.srt, "voices": _cast(args.voices)}
    wanted["again"] = tuple(args.retake or ())
    models, settings = given(args, "voice", "adapter", "base", "device"), given(args, *SETTINGS)
    result = service.dub_into(
        args.video, args.out, wanted, models, settings, progress, person=args.person, report=args.report
    )
    if not result.out:
        return Outcome(result.as_dict(), "\n".join([_so_far(result), *result.warnings]))
    late = [f"{row.number}: {row.outside_s:.2f} s" for row in result.segments if not row.in_slot]
    lines = [
        f"{result.out}: {len(result.segments)} sentences in {result.language}, {result.in_slot} within 80 ms of their "
        f"slots{'; not: ' + ', '.join(late[:8]) if late else ''}",
        f"{result.frames} frames; {result.lufs:.1f} LUFS (the original: {result.source_lufs:.1f}); background "
        f"{result.background}; subtitles: {result.subtitles}",
        f"to change a sentence, edit {result.work}/translation.srt and run the same command again",
        *[f"left as it was: {text}" for text in service.stretches(result.render["passed_through"])],
    ]
    return Outcome(result.as_dict(), "\n".join([*lines, *result.warnings]))


def _so_far(result: "DubResult") -> str:
    """What there is of a dub that was stopped before its lips."""
    work = Path(result.work)
    made = "mix.wav" if result.segments else "translation.srt"
    return f"{work / made}: listen to it or edit it, and run the same command without --until to go on"


def _cast(pairs: list[str] | None) -> dict[str, str]:
    """SPEAKER=VOICE, …"""
    cast = {pair.partition("=")[0]: pair.partition("=")[2] for pair in pairs or []}
    if any(not name or not voice for name, voice in cast.items()):
        raise UsageError(f"--voices takes SPEAKER=VOICE, such as ANNA=espeak:hi+f2; found {' '.join(pairs or [])}")
    return cast


def _wanted(args: argparse.Namespace) -> dict[str, Any]:
    """What was asked for, as fields of an Order."""
    if str(args.out) == "-" and (args.json or not args.stream):
        raise UsageError("--out - writes the video to standard output: add --stream, and leave out --json")
    if args.report is not None and str(args.out) == "-":
        raise UsageError("--report looks at the finished file; give --out a file, not standard output")
    if args.pieces is not None and args.stream:
        raise UsageError("--pieces keeps finished pieces for the next render, and --stream leaves none; choose one")
    return {**given(args, *ORDERED), "settings": given(args, *SETTINGS)}


def _outcome(result: "RenderResult") -> Outcome:
    values = asdict(result)
    lines = [
        f"{result.out}: {result.frames} frames, {result.rendered} with a new mouth",
        f"largest difference outside the mask, before encoding: {result.largest_outside_difference} of 255",
        *[f"left as it was: {text}" for text in service.stretches(values["passed_through"])],
    ]
    if result.pieces.get("folder"):
        told = "{made} pieces rendered, {kept} as they were; {folder} takes up {mb} MB"
        lines.append(told.format_map(result.pieces))
    if result.out == "-":  # standard output is the video
        sys.stderr.write("".join(f"lipsync: {text}\n" for text in result.warnings))
        return Outcome(values, "")
    return Outcome(values, "\n".join([*lines, *result.warnings]))


def evaluate(args: argparse.Namespace, progress: Progress) -> Outcome:
    """`lipsync evaluate`."""
    base = None if args.device == "auto" else service.Models().open("base", None, args.device)
    face = given(args, "face")
    result = service.measure(args.video, progress, args.reference, args.audio, base=base, **face)
    return Outcome(result.to_json(), str(result))
