"""The commands that make and judge videos: say, dub, evaluate."""

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lipsync.cli.run import Outcome, given
from lipsync.errors import UsageError
from lipsync.progress import Progress
from lipsync.studio import scenes, service
from lipsync.studio.people import find_person

if TYPE_CHECKING:
    from lipsync.render.result import RenderResult

SETTINGS = ("steps", "guidance", "seed", "face")
ORDERED = ("text", "script", "audio", "mouth", "voice", "speed", "adapter", "base", "device")


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
        order = service.Order(args.template, args.out, **wanted)
    return _outcome(service.render(order, service.Models(), progress))


def _scene(args: argparse.Namespace, progress: Progress) -> Outcome:
    """`lipsync say` with a cast, or with takes."""
    if args.text is None and args.script is None:
        raise UsageError("a scene needs a TEXT or --script FILE")
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
    wanted = _wanted(args)
    if args.person:
        order = service.order_for(find_person(args.person), args.out, template=args.video, dub=True, **wanted)
    else:
        order = service.Order(args.video, args.out, dub=True, **wanted)
    return _outcome(service.render(order, service.Models(), progress))


def _wanted(args: argparse.Namespace) -> dict[str, Any]:
    """What was asked for, as fields of an Order."""
    return {**given(args, *ORDERED), "settings": given(args, *SETTINGS)}


def _outcome(result: "RenderResult") -> Outcome:
    values = asdict(result)
    lines = [
        f"{result.out}: {result.frames} frames, {result.rendered} with a new mouth",
        f"largest difference outside the mask, before encoding: {result.largest_outside_difference} of 255",
        *[f"left as it was: {text}" for text in service.stretches(values["passed_through"])],
    ]
    return Outcome(values, "\n".join([*lines, *result.warnings]))


def evaluate(args: argparse.Namespace, progress: Progress) -> Outcome:
    """`lipsync evaluate`."""
    base = None if args.device == "auto" else service.Models().open("base", None, args.device)
    face = given(args, "face")
    result = service.measure(args.video, progress, args.reference, args.audio, base=base, **face)
    return Outcome(result.to_json(), str(result))
