"""Long sounds block by block, so that memory does not grow with their length.

A sound lies on a clock from 0 to end_s: what a `SoundSupply` holds, silence where it holds nothing. Blocks are whole
samples, one after another; a WAV file is written as they come and appears when it is whole.
"""

import wave
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np

from lipsync.errors import MediaError
from lipsync.media.supply import SoundSupply
from lipsync.media.whole import WholeFile
from lipsync.types import Sound

BLOCK_S = 30.0


def supply_of(sound: Sound | SoundSupply | Path) -> SoundSupply:
    """A supply of anything that sounds. Raises MediaError when there is no sample."""
    return sound if isinstance(sound, SoundSupply) else SoundSupply(sound)


def between(supply: SoundSupply, first: int, last: int) -> np.ndarray:
    """Samples first ≤ n < last of the clock: float32 (last − first, C); silence before the sound and after it."""
    return supply.part(first / supply.rate, last / supply.rate)


def edges(length: int, rate_hz: int, multiple: int = 1) -> Iterator[tuple[int, int]]:
    """(first, last) of blocks of about BLOCK_S that cover 0 … length, all but the last a multiple of `multiple`."""
    step = max(1, round(BLOCK_S * rate_hz / multiple)) * multiple
    for first in range(0, length, step):
        yield first, min(length, first + step)


class WavWriter:
    """A 16-bit WAV written block by block, clipped at full scale.

    Args:
        path: appears when the `with` block ends without an error.
        rate_hz: samples a second.
        channels: of every block.
    """

    def __init__(self, path: Path, rate_hz: int, channels: int) -> None:
        self._file = WholeFile(path)
        self._wave = wave.open(str(self._file.part), "wb")  # noqa: SIM115  closed by __exit__
        self._wave.setnchannels(channels)
        self._wave.setsampwidth(2)
        self._wave.setframerate(rate_hz)

    def write(self, samples: np.ndarray) -> None:
        """(N,) or (N, C). Raises MediaError when the disk is full."""
        try:
            self._wave.writeframes(np.rint(np.clip(samples, -1.0, 1.0) * 32767).astype("<i2").tobytes())
        except OSError as error:
            raise MediaError(f"{self._file.target}: cannot be written ({error.strerror}); is the disk full?") from error

    def __enter__(self) -> "WavWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wave.close()
        if kind is None:
            self._file.keep()
        self._file.drop()
