"""The studio behind the app: what a creator does with a person, each long step as a background job.

Everything that is made is put into the person's folder and read back from there, so that a reloaded page, or a program
started anew, shows what there is. renders/ holds NAME.mp4 with NAME.json, its own account of itself; samples/ what the
last learning gained, as two short videos.
"""

import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from lipsync.consent import record_consent
from lipsync.errors import ConsentError, MediaError, PersonError, UsageError
from lipsync.media.whole import write_text
from lipsync.progress import Progress, Silent
from lipsync.studio import learning, scenes, service
from lipsync.studio.jobs import Jobs, Snapshot
from lipsync.studio.order import Order
from lipsync.studio.people import (
    RECORDINGS,
    Person,
    add_file,
    change_person,
    create_person,
    delete_person,
    find_person,
    home_folder,
    list_people,
)

RENDERS, SAMPLES, DUBBING, READY = "renders", "samples", "dubbing", "ready.txt"
LEAST_LEARNABLE_MINUTES = 2.0


@dataclass(frozen=True)
class Spoken:
    """What is to be said or dubbed, as the page has it; empty is the usual."""

    text: str = ""
    voice: str = ""
    recording: str | None = None
    template: str = ""
    settings: tuple[tuple[str, Any], ...] = ()
    speed: float = 1.0
    layout: str = "cut"


class Studio:
    """One home folder, one queue of jobs, one set of loaded models."""

    def __init__(self, home: Path | None = None) -> None:
        self.home = home or home_folder()
        self.jobs = Jobs()
        self.models = service.Models()

    def names(self) -> list[str]:
        """Everybody, by name."""
        return [person.name for person in list_people(self.home).people]

    def person(self, name: str | None) -> Person:
        """Raises PersonError when nobody is chosen or known."""
        if not name:
            raise PersonError("choose a person first, or make a new one")
        return find_person(name, self.home)

    def add_person(self, name: str, recorded_by: str, statement: str, how: str, agreed: bool) -> Person:
        """Raises PersonError without names, ConsentError unless the agreement was ticked."""
        if not name.strip() or not recorded_by.strip():
            raise PersonError("give the person's name and your own: both stand in the consent record")
        if not agreed:
            raise ConsentError(f"tick that {name.strip()} agreed to the statement; nobody is learned without")
        return create_person(name, record_consent(name.strip(), recorded_by, statement, how=how), self.home)

    def delete(self, name: str, typed: str) -> None:
        """Remove a person whose name was typed again. Raises PersonError when it is another."""
        person = self.person(name)
        if typed.strip() != person.name:
            raise PersonError(f"type the name {person.name} to delete all that is theirs")
        delete_person(person)

    def bring(self, name: str, paths: list[str]) -> tuple[list[Path], list[str]]:
        """Copy footage in. Returns what was kept, and a line for each file that is neither video nor photo."""
        from lipsync.media import probe

        person = self.person(name)
        kept, refused = [], []
        for path in map(Path, paths or []):
            try:
                probe(path)
                kept.append(add_file(person, path))
            except MediaError as error:
                refused.append(str(error).replace(f"{path.parent}/", ""))
        return kept, refused

    def fetch(self, name: str, url: str) -> str:
        """Start fetching a video from a link into the person's footage."""
        person, link = self.person(name), learning.check_link(url)

        def work(progress: Progress) -> None:
            learning.fetch(link, person.footage_folder, progress, "consent")

        return self.start(person, "Fetching footage", work)

    def prepare(self, name: str) -> str:
        """Start cutting the person's footage into clips."""
        person = self.person(name)
        if not person.footage():
            raise PersonError(f"{person.name} has no footage yet; bring a video first")

        def work(progress: Progress) -> None:
            learning.prepare_footage(person.footage(), person.dataset, progress, person=person)

        return self.start(person, "Preparing footage", work)

    def learn(self, name: str, minutes: float, resume: bool = False) -> str:
        """Start learning; then the same sentence is rendered by the base and by the adapter."""
        person = self.person(name)
        if not learning.read_report(person.dataset):
            raise PersonError(f"the footage of {person.name} is not prepared yet; do that first")

        def work(progress: Progress) -> None:
            if not resume:
                self._check(person, float(minutes), progress)
            learning.learn(
                person.dataset, person.adapter, person.consent, progress, minutes=float(minutes), resume=resume
            )
            self._samples(person, progress)

        return self.start(person, "Learning", work)

    def check(self, name: str, minutes: float) -> str:
        """Start judging the footage and measuring how long learning takes here."""
        person = self.person(name)
        if not learning.read_report(person.dataset):
            raise PersonError(f"the footage of {person.name} is not prepared yet; do that first")
        return self.start(person, "Checking", lambda progress: self._check(person, float(minutes), progress))

    def _check(self, person: Person, minutes: float, progress: Progress) -> None:
        ready = learning.check_learning(person.dataset, progress, minutes=minutes)
        write_text(person.folder / READY, ready.text())

    def _samples(self, person: Person, progress: Progress) -> None:
        folder = person.folder / SAMPLES
        folder.mkdir(exist_ok=True)
        order = service.order_for(person, folder / "adapter.mp4", text=service.SAMPLE_TEXT, voice="")
        progress.start("comparing with the base", 2, "videos")
        for adapter, out in ((person.adapter, order.out), (None, folder / "base.mp4")):
            service.render(replace(order, adapter=adapter, out=out), self.models, Silent())
            progress.advance()
        progress.done()

    def speak(self, name: str, spoken: Spoken) -> str:
        """Start a video in which the person says a text, or a recording; or all people whom a script names."""
        person = self.person(name)
        out = self._new_render(person, "says")
        cast = None
        if spoken.text.strip() and not spoken.recording:
            cast = scenes.typed_cast(spoken.text, self.names(), person.name, spoken.voice)
        if cast is not None:
            return self._perform(person, spoken, cast, out)
        order = service.order_for(
            person,
            out,
            text=spoken.text,
            voice=self._voice(person, spoken),
            speed=spoken.speed,
            template=_chosen(person.footage(), spoken.template),
            settings=dict(spoken.settings),
        )
        _check_said(order)
        return self.start(person, "Rendering", lambda progress: self._render(order, progress))

    def _perform(self, person: Person, spoken: Spoken, cast: dict[str, dict[str, str]], out: Path) -> str:
        """Start a scene. Who is in no cast is played by `person`, as the page has them."""
        settings = dict(spoken.settings)
        order = scenes.SceneOrder(
            spoken.text,
            out,
            cast,
            spoken.layout,
            person.name,
            _chosen(person.footage(), spoken.template),
            settings.pop("face", ""),
            varied=spoken.voice.partition("+")[0] if spoken.voice.startswith("espeak:") else "",
            speed=spoken.speed,
            settings=settings,
            home=self.home,
        )

        def work(progress: Progress) -> None:
            result = scenes.perform(order, progress, self.models)
            write_account(out, {"text": spoken.text, **asdict(result)})

        return self.start(person, "Rendering", work)

    def dub(self, name: str, video: str | None, spoken: Spoken) -> str:
        """Start giving a video of the person other speech."""
        person = self.person(name)
        if not video:
            raise PersonError("choose the video to dub first")
        kept = add_file(person, Path(video), DUBBING)
        wanted: dict[str, Any] = {"settings": dict(spoken.settings), "template": kept, "speed": spoken.speed}
        wanted |= {"text": spoken.text, "voice": self._voice(person, spoken)}
        order = service.order_for(person, self._new_render(person, "dubbed"), dub=True, **wanted)
        _check_said(order)
        return self.start(person, "Dubbing", lambda progress: self._render(order, progress))

    def _voice(self, person: Person, spoken: Spoken) -> str | None:
        if spoken.recording:
            return str(add_file(person, Path(spoken.recording), RECORDINGS))
        return spoken.voice or None

    def _render(self, order: Order, progress: Progress) -> None:
        result = service.render(order, self.models, progress)
        wanted = {"text": order.text, "voice": order.voice, "template": str(order.template), "dub": order.dub}
        write_account(order.out, {**wanted, **asdict(result)})

    def measure(self, name: str, video: Path) -> str:
        """Start judging a finished video; what is found goes into its account."""
        person = self.person(name)
        account = read_account(video)
        reference = Path(account["template"]) if account.get("dub") else None

        def work(progress: Progress) -> None:
            found = service.measure(video, progress, reference)
            write_account(video, {**account, "measured": found.rows()})

        return self.start(person, "Measuring", work)

    def _new_render(self, person: Person, what: str) -> Path:
        folder = person.folder / RENDERS
        folder.mkdir(exist_ok=True)
        return folder / f"{datetime.now().strftime('%Y-%m-%d %H-%M-%S')} {what}.mp4"

    def start(self, person: Person, title: str, work: Any) -> str:
        """Queue work on a person; one at a time each. Raises UsageError while another is under way."""
        return self.jobs.submit(f"{title}: {person.name}", work, key=person.folder.name)

    def job(self, name: str | None) -> Snapshot | None:
        """The person's last job, running or over; None when there was none since the program started."""
        if not name:
            return None
        folder = self.person(name).folder
        job_id = self.jobs.latest(folder.name)
        if job_id is None:
            return None
        job = self.jobs.snapshot(job_id)
        return replace(job, error=job.error.replace(f"{folder}/", ""))  # a creator need not know where it lies

    def stop(self, name: str) -> None:
        """Stop the person's job."""
        job = self.job(name)
        if job is not None and not job.over:
            self.jobs.cancel(job.id)

    def choose_template(self, name: str, template: str) -> None:
        """Remember the footage whose head and body is shown."""
        change_person(self.person(name), template=template)


def _check_said(order: Order) -> None:
    """Raises UsageError, before anything is queued, where there is neither text nor recording."""
    if not order.text.strip() and not Path(order.voice).is_file():
        raise UsageError("type what shall be said, or bring a recording of it")


def _chosen(footage: list[Path], name: str) -> Path | None:
    return next((path for path in footage if path.name == name), None)


def adapter_notes(person: Person) -> dict[str, Any]:
    """What the adapter's header says: person, card, footage; {} when there is no adapter."""
    return learning.adapter_header(person.adapter) if person.adapter.is_file() else {}


def thumbnails(person: Person, most: int = 24) -> list[tuple[str, str]]:
    """(picture file, caption) of kept clips, evenly over the dataset."""
    sources = learning.read_report(person.dataset).get("sources", [])
    clips = [(source["source"], clip) for source in sources for clip in source["clips"]]
    folder, step = person.dataset / "thumbs", max(1, -(-len(clips) // most))
    rows = [(folder / f"{clip['id']}.jpg", f"{name}, {clip['start_s']:.1f} s") for name, clip in clips[::step]]
    return [(str(path), caption) for path, caption in rows if path.is_file()]


def renders(person: Person) -> list[Path]:
    """Finished videos, the newest first."""
    return sorted((person.folder / RENDERS).glob("*.mp4"), reverse=True)


def ready_text(person: Person) -> str:
    """What the last check said of footage and time; "" before one, or when footage was prepared after it."""
    path, report = person.folder / READY, person.dataset / "report.json"
    if not path.is_file() or (report.is_file() and report.stat().st_mtime > path.stat().st_mtime):
        return ""
    return path.read_text(encoding="utf-8")


def write_account(video: Path, account: dict[str, Any]) -> None:
    """Write what a render says of itself."""
    write_text(video.with_suffix(".json"), json.dumps(account, ensure_ascii=False, indent=1, default=str))


def read_account(video: Path) -> dict[str, Any]:
    """What a render says of itself; {} when it does not."""
    path = video.with_suffix(".json")
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
