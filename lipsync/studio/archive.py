"""A person in one .zip file, to take to another machine; and such a file taken in, trusting nothing in it.

Taken are only the names listed in KNOWN, below nothing but the person's own folder; no links, no code, no pickles. What
is read is counted while it is unpacked, so a header that lies about sizes is of no use. The new folder appears when
everything in it was checked.
"""

import re
import secrets
import shutil
import zipfile
from pathlib import Path

from safetensors import SafetensorError, safe_open

from lipsync.errors import PersonError
from lipsync.media.whole import WholeFile
from lipsync.studio.people import ADAPTER, CONSENT, PERSON, Person, folder_name, home_folder, read_person

MEDIA = "mp4|mov|mkv|webm|avi|m4v|mpg|mpeg|ts|flv|wmv|3gp|wav|mp3|m4a|aac|ogg|opus|flac|jpg|jpeg|png|webp|bmp"
PLAIN = r"(?!\.)[^/\\:\x00-\x1f]{1,120}"  # a file name: no folder, no drive, no hidden file
SMALL = re.compile(rf"{PERSON}|{CONSENT}|{ADAPTER}|recordings/{PLAIN}\.(?:{MEDIA})")
LARGE = re.compile(
    rf"footage/{PLAIN}\.(?:{MEDIA}|source\.json)|dataset/(?:manifest\.jsonl|sources/{PLAIN}\.json"
    rf"|clips/{PLAIN}\.(?:mp4|safetensors|wav)|thumbs/{PLAIN}\.jpg)"
)
MOST_FILES = 50_000
MOST_BYTES = 50 * 2**30
MOST_RECORD_BYTES = 2**20
CHUNK_BYTES = 2**20
LINK_TYPE = 0o120000


def export_person(person: Person, out: Path, *, with_footage: bool = False) -> list[str]:
    """Write the person's records, adapter and recordings, and with them footage and dataset when asked.

    Returns:
        The names in the archive.

    Raises:
        MediaError: the file cannot be there.
    """
    whole = WholeFile(out)
    files = {path.relative_to(person.folder).as_posix(): path for path in sorted(person.folder.rglob("*"))}
    kinds = (SMALL, LARGE) if with_footage else (SMALL,)
    names = [n for n, p in files.items() if p.is_file() and any(kind.fullmatch(n) for kind in kinds)]
    try:
        with zipfile.ZipFile(whole.part, "w", zipfile.ZIP_STORED) as archive:
            for name in names:
                archive.write(files[name], name)
        whole.keep()
    finally:
        whole.drop()
    return names


def import_person(file: Path, home: Path | None = None) -> Person:
    """Take in a person. The archive's own person.json and consent.json are required.

    Raises:
        PersonError: not such an archive, something in it that does not belong there, or a person of that name exists.
        ConsentError: no whole consent record in it.
    """
    home = home or home_folder()
    home.mkdir(parents=True, exist_ok=True)
    part = home / f".import-{secrets.token_hex(4)}"
    try:
        with zipfile.ZipFile(file) as archive:
            _unpack(archive, part, file)
        person = read_person(part)
        _check_adapter(person.adapter, file)
        target = home / folder_name(person.name)
        if target.exists():
            raise PersonError(f"{file}: there already is a person called {person.name}; delete that one first")
        part.rename(target)
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError) as error:
        raise PersonError(f"{file}: not an archive made by: lipsync export ({error})") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return read_person(target)


def _unpack(archive: zipfile.ZipFile, part: Path, file: Path) -> None:
    members = [member for member in archive.infolist() if not member.is_dir()]
    if len(members) > MOST_FILES:
        raise PersonError(f"{file}: {len(members)} files, more than the {MOST_FILES} that a person has")
    for member in members:
        name = member.filename
        if not (SMALL.fullmatch(name) or LARGE.fullmatch(name)):
            raise PersonError(f"{file}: holds {name[:100]!r}, which is no part of a person; nothing was taken in")
        if (member.external_attr >> 16) & 0o170000 == LINK_TYPE:
            raise PersonError(f"{file}: {name!r} is a link; nothing was taken in")
        if member.flag_bits & 1:
            raise PersonError(f"{file}: is encrypted; unpack it and zip it again without a password")
    left = MOST_BYTES
    for member in members:
        target = part / member.filename
        target.parent.mkdir(parents=True, exist_ok=True)
        most = min(left, MOST_RECORD_BYTES) if member.filename in (PERSON, CONSENT) else left
        left -= _copy(archive, member, target, most, file)


def _copy(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, most: int, file: Path) -> int:
    """Unpack one file; returns its bytes. Raises PersonError beyond `most`."""
    count = 0
    with archive.open(member) as packed, target.open("xb") as out:
        while chunk := packed.read(CHUNK_BYTES):
            count += len(chunk)
            if count > most:
                raise PersonError(f"{file}: {member.filename!r} is larger than the {most} bytes it may have")
            out.write(chunk)
    return count


def _check_adapter(path: Path, file: Path) -> None:
    if not path.exists():
        return
    try:
        with safe_open(path, framework="np") as weights:
            weights.metadata()
    except (SafetensorError, OSError) as error:
        raise PersonError(f"{file}: its {ADAPTER} is no safetensors file ({error}); nothing was taken in") from error
