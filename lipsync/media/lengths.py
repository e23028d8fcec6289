"""Whether a file is as long as its own container says, read from a few bytes of its structure.

ffmpeg reads a truncated file as a shorter one without a word. MP4 boxes, the Matroska segment and the AVI list each
state their length at their start, so a file that ends before they do was cut off. Formats made for broadcast
(MPEG-TS, MPEG-PS, FLV, raw streams) state none: any beginning of them is whole.

Source: ISO/IEC 14496-12, 4.2 (boxes); RFC 8794, 4 and 5 (EBML lengths), RFC 9559 (Segment); RIFF, Microsoft 1991.
"""

from pathlib import Path
from typing import BinaryIO

# Boxes without which pictures or sound are lost; what else may end a file (free, udta, mfra, …) is not needed.
_NEEDED_BOXES = (b"moov", b"mdat", b"moof")
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def cut_part(path: Path) -> str:
    """The part of the file that its end cuts off, such as "moov" or "Segment"; "" when it is whole or cannot say."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[4:8] in (b"ftyp", *_NEEDED_BOXES):
            return _cut_box(file, size)
        if head[:4] == _EBML:
            return _cut_segment(file, size)
        if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
            return "RIFF" if 8 + int.from_bytes(head[4:8], "little") > size else ""
    return ""


def _cut_box(file: BinaryIO, size: int) -> str:
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8:  # 0: to the end of the file
            return ""
        at += length
        if at > size and head[4:8] in _NEEDED_BOXES:
            return head[4:8].decode()
    return ""


def _cut_segment(file: BinaryIO, size: int) -> str:
    file.seek(4)
    header = _ebml_length(file)
    file.seek(header or 0, 1)
    if header is None or file.read(4) != _SEGMENT:
        return ""
    length = _ebml_length(file)
    return "Segment" if length is not None and file.tell() + length > size else ""


def _ebml_length(file: BinaryIO) -> int | None:
    """A variable-length integer: leading zero bits say how many bytes follow; all ones means unknown."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    extra = 8 - first[0].bit_length()
    value = int.from_bytes(bytes([first[0] & ((1 << (7 - extra)) - 1)]) + file.read(extra), "big")
    return None if value == (1 << 7 * (extra + 1)) - 1 else value
