"""Scripts with a cast: who plays which speaker, with which voice, seen where.

Each speaker of the script has settings, from the script's header or the command line (which wins): `person` (their
footage, adapter and voice), or `template` with `adapter` and `voice`; `face`, where a template shows several; `speed`.
Speakers with one template are seen together, in one picture; those with one face of it, too, are one mouth. A speaker
without a voice gets one of VARIANTS, so that no two sound alike.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lipsync.errors import UsageError
from lipsync.progress import Progress
from lipsync.studio.people import find_person
from lipsync.studio.service import Models, order_for

if TYPE_CHECKING:
    from lipsync.render.scene import SceneResult
    from lipsync.speech.script import Script

VARIANTS = ("+f2", "+m3", "+f4", "+m7", "+f5", "+m1", "+f3", "+m8")


@dataclass(frozen=True)
class SceneOrder:
    """A scene to be rendered; `script`: a file or the text itself; `cast`: settings by speaker.

    What follows `layout` is what a speaker has whose settings name no other; `template` and `face` are `person`'s.
    `varied`: the embedded voice of which speakers without one get VARIANTS. `takes`, `again`: see `speak_turns`.
    """

    script: Path | str
    out: Path
    cast: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    layout: str = "cut"
    person: str = ""
    template: Path | None = None
    face: str = ""
    adapter: Path | None = None
    voice: str = ""
    varied: str = ""
    speed: float = 1.0
    takes: Path | None = None
    again: Collection[int] = ()
    base: str = "base"
    device: str = "auto"
    settings: Mapping[str, Any] = field(default_factory=dict)
    home: Path | None = None  # where people are; None: the usual folder


def typed_cast(
    text: str, people: Collection[str], chosen: str = "", voice: str = ""
) -> dict[str, dict[str, str]] | None:
    """Who plays whom in a typed script: a speaker who is called like one of `people` is that person.

    Args:
        text: the script; what its header says comes before all else.
        people: the known names.
        chosen: the one of them who is chosen on the page.
        voice: what is chosen there; the narrator and whoever `chosen` plays speak with it. "" is their own.

    Returns:
        Settings by speaker, besides those of the header; None where nobody is cast, so that it is no scene.

    Raises:
        SpeechError: see `parse_script`. UsageError: the header names what a page must not open: a file, or a voice
            that is none of the page's.
    """
    from lipsync.speech.script import parse_script

    script = parse_script(text, speakers=people)
    named = {name.casefold(): name for name in people}
    if not script.cast and not any(who.casefold() in named for who in script.speakers):
        return None
    for who, settings in script.cast:
        _check_typed(who, settings)
    header = {who.casefold(): settings for who, settings in script.cast}
    cast: dict[str, dict[str, str]] = {}
    for who in script.speakers:
        stated, known = header.get(who.casefold(), {}), named.get(who.casefold(), "")
        player = stated.get("person", known) or ("" if who else chosen)
        own = {"person": known} if known and "person" not in stated else {}
        if voice and "voice" not in stated and player and player.casefold() == chosen.casefold():
            own["voice"] = voice
        if own:
            cast[who] = own
    return cast


def _check_typed(who: str, settings: Mapping[str, str]) -> None:
    """Raise UsageError where a header that was typed on the page would open a file or call a server."""
    from lipsync.studio.languages import voices

    files = sorted({"template", "adapter"} & settings.keys())
    if files:
        raise UsageError(f"{who}: {files[0]}=… is for the command line; here write {who}: person=NAME")
    voice = settings.get("voice", "")
    if voice and voice.partition("+")[0] not in {name for _, name in voices()}:  # "+f3" is a variant of a voice
        raise UsageError(
            f"{who}: voice={voice} is none of the page's voices; write one of its list “Voice”, such as voice=espeak:en"
        )


def has_cast(script: Path) -> bool:
    """Whether a script file's header says who is who. Raises SpeechError: see `read_script`."""
    from lipsync.speech.script import read_script

    return bool(read_script(script).cast)


def read_cast(given: list[str]) -> dict[str, dict[str, str]]:
    """The settings in "ANNA=Anna" (a person) or "ANNA=template=a.mp4 voice=espeak:en+f3", by speaker.

    Raises:
        UsageError: one is malformed, or a name is there twice.
    """
    from lipsync.errors import SpeechError
    from lipsync.speech.script import parse_cast

    cast: dict[str, dict[str, str]] = {}
    for text in given:
        name, equals, settings = text.partition("=")
        if not equals or not name.strip() or name.strip() in cast:
            raise UsageError(f"--cast {text!r}: expected NAME=PERSON, or NAME=template=FILE voice=…, each name once")
        try:
            cast[name.strip()] = parse_cast(settings, f"--cast {name.strip()}")
        except SpeechError as error:
            raise UsageError(str(error)) from error
    return cast


@dataclass(frozen=True)
class _Part:
    """One speaker, settled."""

    template: Path
    adapter: Path | None
    voice: str
    face: str
    speed: float
    reference: Path | None = None


def perform(order: SceneOrder, progress: Progress, models: Models | None = None) -> "SceneResult":
    """Make the video of a script with a cast, with loaded `models`, if any. Raises LipsyncError of many kinds."""
    from lipsync.config import RenderConfig
    from lipsync.render.scene import Actor, Stage
    from lipsync.render.scene import perform as render
    from lipsync.speech.script import parse_script, read_script
    from lipsync.speech.speaking import speak_turns
    from lipsync.speech.takes import Takes
    from lipsync.studio.cloning import open_with_reference

    read = read_script if isinstance(order.script, Path) else parse_script
    script = read(order.script, speakers=order.cast.keys())  # type: ignore[arg-type]
    parts = settle(script, order)
    spoken = speak_turns(
        script,
        {name: open_with_reference(part.voice, part.reference) for name, part in parts.items()},
        speed={name: part.speed for name, part in parts.items()},
        progress=progress,
        takes=Takes(order.takes) if order.takes else None,
        again=order.again,
    )
    models = models or Models(most=len(parts))
    stages: dict[Path, list[Actor]] = {}
    faces: dict[tuple[Path, str], str] = {}
    for name, part in parts.items():
        place = part.template.absolute(), part.face
        if faces.setdefault(place, name) == name:
            actor = Actor(name, models.open(order.base, part.adapter, order.device), part.face)
            stages.setdefault(part.template.absolute(), []).append(actor)
    seen = {name.casefold(): faces[part.template.absolute(), part.face] for name, part in parts.items()}
    spoken = replace(spoken, turns=[replace(turn, speaker=seen[turn.speaker.casefold()]) for turn in spoken.turns])
    listed = [Stage(template, tuple(actors)) for template, actors in stages.items()]
    config = replace(RenderConfig(), **order.settings)
    return render(spoken, listed, order.out, config, progress, layout=order.layout)


def settle(script: "Script", order: SceneOrder) -> dict[str, _Part]:
    """What every speaker of a script is seen and heard with, in the cast's order, then in order of appearance.

    Raises:
        UsageError: a speaker has no template, or somebody is cast who does not speak.
        PersonError, ConsentError: see `order_for`.
    """
    speakers = {name.casefold(): name for name in script.speakers}
    cast: dict[str, dict[str, str]] = {}
    for name, settings in [*script.cast, *order.cast.items()]:
        if name.casefold() not in speakers:
            known = ", ".join(name or "the narrator" for name in script.speakers)
            raise UsageError(f"{name} is cast but does not speak; the script's speakers: {known}")
        own = speakers[name.casefold()]
        cast[own] = {**cast.get(own, {}), **settings}
    return {
        name: _settle(name, cast.get(name, {}), order, VARIANTS[number % len(VARIANTS)])
        for number, name in enumerate(dict.fromkeys([*cast, *script.speakers]))
    }


def _settle(name: str, settings: Mapping[str, str], order: SceneOrder, variant: str) -> _Part:
    from lipsync.speech.voices import DEFAULT_VOICE

    template = Path(settings["template"]) if "template" in settings else None
    adapter = Path(settings["adapter"]) if "adapter" in settings else order.adapter
    voice = settings.get("voice") or order.voice
    reference = None
    person = settings.get("person", "" if template else order.person)
    face = settings.get("face", "")
    if person.casefold() == order.person.casefold():
        template, face = template or order.template, face or order.face
    if person:
        wanted = {"template": template, "adapter": adapter, "voice": voice or None}
        known = order_for(find_person(person, order.home), order.out, **wanted)
        template, adapter, voice, reference = known.template, known.adapter, known.voice, known.reference
    who = name or "the narrator"
    if template is None:
        raise UsageError(f'{who} speaks but has no face; give --cast "{name}=PERSON" or "{name}=template=FILE"')
    try:
        speed = float(settings.get("speed", order.speed))
    except ValueError as error:
        raise UsageError(f"{who}: speed={settings['speed']!r} is no number") from error
    return _Part(template, adapter, voice or (order.varied or DEFAULT_VOICE) + variant, face, speed, reference)
