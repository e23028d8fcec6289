"""What the command `lipsync` takes. Imports nothing heavy, so that help is there at once.

An argument that is a setting has no default here: one that is not given keeps the default of its config dataclass.
A command names its function as "module:function"; run.py imports it when the command runs.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import lipsync
from lipsync.consent import USES
from lipsync.errors import UsageError

UNTIL = ("words", "voices", "lips")
BACKGROUNDS = ("auto", "separate", "replace", "duck", "none")  # as dubbing/order.py has them; importing it is heavy

SCRIPT = (
    "a text file; may name speakers (ANNA: …) and hold [pause 0.5], [strong: WORDS], [say IPA: WORD], [lang hi: WORDS]"
)
CAST = (
    'who plays a speaker of the script: ANNA=Anna, or ANNA="template=a.mp4 adapter=a.safetensors voice=espeak:en+f3 '
    "face=left speed=1.1\"; speakers with one template are seen together; a script's header can say the same"
)


class _Parser(argparse.ArgumentParser):
    """Wrong use is raised, not printed, so that it ends as every other error does."""

    def error(self, message: str) -> NoReturn:
        """Raises UsageError that says where to look."""
        raise UsageError(f"{message}; see: {self.prog} --help")


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = _Parser(prog="lipsync", description=lipsync.__doc__)
    parser.add_argument("--version", action="version", version=f"lipsync {lipsync.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    _add_learning(commands)
    _add_adapter(commands)
    _add_speaking(commands)
    _add_people(commands)
    _add_rest(commands)
    return parser


def _command(commands: Any, name: str, run: str, help: str, model: bool = False) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=help, description=help)
    parser.set_defaults(run=f"lipsync.cli.{run}")
    common = parser.add_argument_group("common")
    common.add_argument("--json", action="store_true", help="print the result as one JSON object; the rest to stderr")
    common.add_argument("--quiet", action="store_true", help="show no progress")
    if model:
        common.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to compute")
        common.add_argument("--seed", type=_number(int, 0), help="the same seed gives the same result")
    return parser


def _add_learning(commands: Any) -> None:
    prepare = _command(commands, "prepare", "learn:prepare", "Cut footage into clips; say why the rest was dropped.")
    prepare.add_argument("footage", nargs="*", type=Path, metavar="FOOTAGE", help="video files, or folders with some")
    prepare.add_argument("--out", type=Path, metavar="DATASET", help="the dataset folder; --person NAME has its own")
    prepare.add_argument("--person", metavar="NAME", help="take this person's footage too, and fill their dataset")
    prepare.add_argument("--url", action="append", default=[], metavar="URL", help="fetch a video (needs the network)")
    prepare.add_argument("--rights", default="", metavar="TEXT", help="by what right what is fetched is used")
    prepare.add_argument("--labels", type=Path, metavar="CSV", help="who is in it: file,person,language,rights,source")
    prepare.add_argument("--report", type=Path, metavar="HTML", help="a copy of DATASET/report.html")
    prepare.add_argument("--detector", help="which face detector")
    prepare.add_argument("--pick", metavar="WHO", help="of several people keep one: most (seen most), 0, 1 … by that")
    prepare.add_argument("--workers", type=_number(int, 0), metavar="N", help="processes; 0: as many as cores")
    prepare.add_argument("--engine", choices=("local", "ray"), help="ray: a Ray cluster (RAY_ADDRESS), or a local one")
    prepare.add_argument("--playlist", action="store_true", help="fetch every video of a --url that holds several")
    prepare.add_argument("--from", dest="start_s", type=_seconds, metavar="TIME", help="fetch from 90, 1:30 or 1:2:3")
    prepare.add_argument("--to", dest="end_s", type=_seconds, metavar="TIME", help="fetch up to this time")
    best = "keep the best M minutes alone: clips that are good, and differ in mouths, sounds, poses and light"
    prepare.add_argument("--best-minutes", type=_number(float, 0.01), metavar="M", help=best)

    text = "Check a dataset before anything is learned from it: file, line, expected, found."
    validate = _command(commands, "validate", "learn:validate", text)
    validate.add_argument("dataset", nargs="?", type=Path, metavar="DATASET")
    validate.add_argument("--schema", action="store_true", help="say what a line of the manifest holds")

    pretrain = _command(commands, "pretrain", "pretrain:pretrain", "Train a base model.", model=True)
    pretrain.add_argument("--data", nargs="+", type=Path, required=True, metavar="DATASET")
    pretrain.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run")
    pretrain.add_argument("--config", type=Path, metavar="FILE", help="JSON with settings that differ from the usual")
    pretrain.add_argument("--preset", choices=("cpu", "gpu"), default="cpu", help="the usual settings (default: cpu)")
    pretrain.add_argument("--minutes", type=_number(float, 0.01), metavar="M", help="how long the run is to last")
    pretrain.add_argument("--stop-after", type=_number(float, 0.01), metavar="M", help="stop here, to go on later")
    pretrain.add_argument("--start", type=Path, metavar="FILE", help="weights that the pixel model begins with")
    pretrain.add_argument("--lines", type=Path, metavar="FILE", help="lines of virtual actors for the shape model")
    pretrain.add_argument("--resume", action="store_true", help="continue the run in RUN")
    pretrain.add_argument("--publish", metavar="NAME", help="write the best weights to checkpoints/NAME when done")

    pack = _command(commands, "pack", "pretrain:pack", "Put datasets in one small file, to pretrain elsewhere.")
    pack.add_argument("datasets", nargs="+", type=Path, metavar="DATASET")
    pack.add_argument("--out", type=Path, required=True, metavar="FILE.pack")
    pack.add_argument("--crf", type=_number(int, 0), help="of the windows' video; larger is smaller")

    finetune = _command(commands, "finetune", "learn:finetune", "Learn a person from a dataset.", model=True)
    _add_finetune(finetune)

    card = _command(commands, "card", "learn:card", "Measure a base model or an adapter on a dataset.", model=True)
    card.add_argument("model", metavar="BASE_OR_ADAPTER", help="name of a base, or an adapter file")
    card.add_argument("--data", type=Path, required=True, metavar="DATASET")


def _add_finetune(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", nargs="?", type=Path, metavar="DATASET", help="default: that of --person")
    parser.add_argument("--out", type=Path, metavar="ADAPTER", help="a .safetensors file; default: that of --person")
    parser.add_argument("--base", help="which base model")
    parser.add_argument("--minutes", type=_number(float, 0.01), metavar="M", help="how long to learn")
    parser.add_argument("--resume", action="store_true", help="continue what was interrupted")
    parser.add_argument("--check", action="store_true", help="judge the footage, measure time and memory, no more")
    who = parser.add_argument_group("consent: one of these says that the person agreed").add_mutually_exclusive_group()
    who.add_argument("--person", metavar="NAME", help="somebody made with: lipsync people add NAME")
    who.add_argument("--consent", type=Path, metavar="FILE", help="a consent record (JSON)")


def _add_adapter(commands: Any) -> None:
    adapter = _command(commands, "adapter", "adapters:adapter", "Show, compare, blend or merge what was learned.")
    actions = adapter.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=_Parser)
    show = actions.add_parser("show", help="its card in words", description="An adapter's card in words.")
    text = "a video: left the base, right the adapter, the same sentence"
    compare = actions.add_parser("compare", help=text, description=text.capitalize() + ".")
    text = "as a base of its own, for export"
    merge = actions.add_parser("merge", help=text, description="An adapter merged into its base: " + text + ".")
    blend = actions.add_parser("blend", help="several into one", description="Several adapters in one, by weight.")
    for action in (show, compare, merge):
        action.add_argument("adapter", metavar="ADAPTER", help="a .safetensors file, or a person's name")
    compare.add_argument("--template", type=Path, required=True, metavar="VIDEO|PHOTO", help="gives head and body")
    what = compare.add_mutually_exclusive_group()
    what.add_argument("--text", metavar="TEXT", help="what is said; there is a usual sentence")
    what.add_argument("--audio", type=Path, metavar="SPEECH", help="a sound file with the speech")
    compare.add_argument("--voice", metavar="V", help='such as "espeak:en"')
    compare.add_argument("--out", type=Path, required=True, metavar="OUT.mp4")
    compare.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to compute")
    compare.add_argument("--seed", type=_number(int, 0), help="the same seed gives the same result")
    merge.add_argument("--name", required=True, metavar="BASE", help="what the new base is called")
    blend.add_argument("adapters", nargs="+", metavar="ADAPTER=WEIGHT", help="such as ada.safetensors=0.7")
    blend.add_argument("--out", type=Path, required=True, metavar="ADAPTER")
    for action in actions.choices.values():
        action.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        action.add_argument("--quiet", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def _add_speaking(commands: Any) -> None:
    say = _command(commands, "say", "speak:say", "Make a video of a person saying a text.", model=True)
    say.add_argument("text", nargs="?", metavar="TEXT", help="what is said")
    say.add_argument("--script", type=Path, metavar="FILE", help=SCRIPT)
    who = say.add_mutually_exclusive_group()
    who.add_argument("--person", metavar="NAME", help="their footage, adapter and voice")
    who.add_argument("--template", type=Path, metavar="VIDEO|PHOTO", help="gives head, eyes and body")
    _add_cast(say)
    _add_voice(say)
    _add_render(say)

    dub = _command(commands, "dub", "speak:dub", "Give a video other speech, lips and all.", model=True)
    dub.add_argument("video", type=Path, metavar="VIDEO")
    what = dub.add_mutually_exclusive_group()
    what.add_argument("--audio", type=Path, metavar="SPEECH", help="a sound or video file with the new speech")
    what.add_argument("--text", metavar="TEXT", help="what is said instead")
    what.add_argument("--script", type=Path, metavar="FILE", help="a text file with what is said instead")
    what.add_argument("--mouth", type=Path, metavar="VIDEO", help="a video whose mouth and sound are taken over")
    what.add_argument("--srt", type=Path, metavar="FILE", help="subtitles (.srt, .vtt) in the new language, with times")
    dub.add_argument("--person", metavar="NAME", help="whose adapter to use")
    _add_language(dub)
    _add_voice(dub)
    _add_render(dub)

    evaluate = _command(commands, "evaluate", "speak:evaluate", "Measure how well a video's lips do.", model=True)
    evaluate.add_argument("video", type=Path, metavar="VIDEO")
    evaluate.add_argument("--reference", type=Path, metavar="VIDEO", help="what it should look like, or was made from")
    _add_face(evaluate)
    evaluate.add_argument("--audio", type=Path, metavar="WAV", help="the sound to judge by, if not the video's own")


def _add_language(parser: argparse.ArgumentParser) -> None:
    """Dubbing into another language: without --srt the video is transcribed and translated."""
    to = parser.add_argument_group("into another language, sentence by sentence, at the original's times")
    to.add_argument("--to", metavar="LANG", help='such as "hi"; without --srt the video is transcribed and translated')
    to.add_argument("--from", dest="source_language", metavar="LANG", help="language of the video; default: heard")
    to.add_argument("--transcript", type=Path, metavar="FILE", help="what the video says: .srt, .vtt, transcript.json")
    to.add_argument("--voices", nargs="+", metavar="SPEAKER=V", help="a voice for each speaker")
    to.add_argument("--work", type=Path, metavar="DIR", help="where each stage leaves its files; default: OUT.dub")
    to.add_argument("--transcriber", metavar="MODEL", help="a Whisper: a name, or a folder")
    to.add_argument("--translator", metavar="MODEL", help="a name, a folder, or a chat server: http://HOST/v1#MODEL")
    to.add_argument("--glossary", type=Path, metavar="FILE", help='lines "term = translation"')
    to.add_argument("--background", choices=BACKGROUNDS, help="what is done with the sound under the speech")
    to.add_argument("--separator", metavar="MODEL", help="a Demucs: a name, or a folder")
    to.add_argument("--retake", type=_number(int, 1), nargs="+", metavar="N", help="say these sentences anew")
    to.add_argument("--until", choices=UNTIL, help="stop when words are translated, or voices mixed; lips: the usual")
    to.add_argument("--loudness", dest="loudness_lufs", type=float, metavar="LUFS", help="default: the video's own")


def _add_voice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--voice", metavar="V", help='such as "espeak:en", or a recorded file, played as it is')
    parser.add_argument("--speed", type=_number(float, 0.1), help="of the speech; 1 is normal")
    parser.add_argument("--song", action="store_true", help="the recording is a song: the lips follow the singer")


def _add_render(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--adapter", type=Path, metavar="A", help="the person's adapter file")
    parser.add_argument("--base", help="which base model")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT.mp4")
    parser.add_argument("--stream", action="store_true", help='write as it comes, in fragments; --out "-": to stdout')
    parser.add_argument(
        "--report", type=Path, metavar="HTML", help="write a page about the render: sync, frames, times"
    )
    parser.add_argument(
        "--pieces", type=Path, metavar="DIR", help="keep what is rendered: an edit renders only its own"
    )
    _add_face(parser)
    parser.add_argument("--steps", type=_number(int, 1), metavar="N", help="sampler steps: more is finer and slower")
    parser.add_argument("--guidance", type=_number(float, 0), metavar="G", help="1: none; more: obey the speech more")


def _add_face(parser: argparse.ArgumentParser) -> None:
    choices = "whose: largest, left, right, 0, 1 … from the left, sync, X,Y or a box"
    parser.add_argument("--face", metavar="F", help=choices)


def _add_cast(parser: argparse.ArgumentParser) -> None:
    several = parser.add_argument_group("several speakers, and sentences said again")
    several.add_argument("--cast", action="append", default=[], metavar="NAME=PERSON", help=CAST)
    several.add_argument("--layout", choices=("cut", "grid"), help="show who speaks (the usual), or all side by side")
    several.add_argument("--takes", type=Path, metavar="DIR", help="keep sentences' sounds; an edit says only its own")
    several.add_argument("--retake", type=_number(int, 1), nargs="+", metavar="N", help="say these sentences anew")


def _add_people(commands: Any) -> None:
    people = _command(commands, "people", "people:people", "List people; add, show or delete one.")
    actions = people.add_subparsers(dest="action", metavar="ACTION", parser_class=_Parser)
    add = actions.add_parser("add", help="make a person, with their consent", description="Make a person.")
    add.add_argument("name", metavar="NAME")
    add.add_argument("--consent", type=Path, metavar="FILE", help="a consent record; else the next arguments make one")
    add.add_argument("--recorded-by", metavar="WHO", help="who recorded that the person agreed")
    add.add_argument("--statement", metavar="TEXT", help="the words they agreed to; there is a usual statement")
    add.add_argument("--how", metavar="TEXT", help="in what form: signed paper, e-mail, in person …")
    add.add_argument("--covers", nargs="+", choices=USES, help="what they agreed to")
    add.add_argument("--footage", nargs="+", type=Path, metavar="FILE", help="videos or a photo of them, copied in")
    for action, text in (("show", "one person's record"), ("delete", "remove a person and all that is theirs")):
        actions.add_parser(action, help=text, description=text).add_argument("name", metavar="NAME")
    for action in actions.choices.values():
        action.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        action.add_argument("--quiet", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)

    export = _command(commands, "export", "people:export", "Put a person into a file, to take elsewhere.")
    export.add_argument("name", metavar="NAME")
    export.add_argument("--out", type=Path, required=True, metavar="PERSON.zip")
    export.add_argument("--footage", action="store_true", help="with their footage and dataset, not only the adapter")
    importing = _command(commands, "import", "people:take_in", "Take in a person from such a file.")
    importing.add_argument("file", type=Path, metavar="PERSON.zip")


def _add_rest(commands: Any) -> None:
    models = _command(commands, "models", "models:models", "List the models that can be fetched; get one.")
    actions = models.add_subparsers(dest="action", metavar="ACTION", parser_class=_Parser)
    get = actions.add_parser("get", help="fetch one (needs the network)", description="Fetch a model from the hub.")
    get.add_argument("name", metavar="NAME")
    get.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    get.add_argument("--quiet", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    app = _command(commands, "app", "app:app", "Open the app in the browser.")
    app.add_argument("--port", type=_number(int, 0), help="default: the first free one")
    app.add_argument("--host", default="127.0.0.1", help="who may reach it: only this computer unless said otherwise")
    app.add_argument("--no-browser", action="store_true", help="do not open a browser")
    verify = _command(commands, "verify", "verify:verify", "Read a file's content credentials; say if it was changed.")
    verify.add_argument("files", nargs="+", type=Path, metavar="FILE", help="videos or pictures")
    _command(commands, "doctor", "doctor:doctor", "Check that everything works here, or say what to do.", model=True)


def _number(kind: type, least: float) -> Any:
    """An argparse type: a number of at least `least`."""

    def parse(text: str) -> Any:
        value = kind(text)
        if not value >= least:
            raise argparse.ArgumentTypeError(f"expected {least:g} or more, found {text}")
        return value

    parse.__name__ = "whole number" if kind is int else "number"
    return parse


def _seconds(text: str) -> float:
    """An argparse type: seconds, or minutes:seconds, or hours:minutes:seconds."""
    parts = [float(part) for part in text.split(":")]
    if len(parts) > 3 or any(part < 0 for part in parts):
        raise argparse.ArgumentTypeError(f"expected a time such as 90, 1:30 or 1:02:03, found {text}")
    return sum(part * 60**place for place, part in enumerate(reversed(parts)))


def command_names(parser: argparse.ArgumentParser) -> Sequence[str]:
    """The commands there are."""
    actions = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return list(actions[0].choices)
