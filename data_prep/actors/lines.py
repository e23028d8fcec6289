"""`python -m data_prep.actors.lines --out FILE`: lines spoken by made-up actors, for `lipsync pretrain --lines FILE`.

Languages and voices take turns, pace and actor are drawn; what is written is the sound's log-mel and the exact mouth,
which leads its sound as people's do. No picture is drawn: a line takes a fraction of a second.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from data_prep.actors.made_up import random_actor
from data_prep.actors.sentences import languages, passage
from data_prep.actors.spoken import Mouthing
from lipsync.errors import LipsyncError
from lipsync.progress import Progress, Terminal
from lipsync.speech.features import MEL_RATE_HZ, MEL_SILENCE, MELS, level, log_mel
from lipsync.speech.voices import open_voice
from lipsync.training.clipstore import MEL_PAD_S
from lipsync.training.lines import SpokenLine, write_lines

VARIANTS = ("m1", "m2", "m3", "m4", "f1", "f2", "f3", "f4", "m5", "m6", "m7", "f5")
FRAME_RATE, SECONDS = 25.0, 5.0


def speak_lines(count: int, seed: int = 0, progress: Progress | None = None) -> Iterator[SpokenLine]:
    """`count` lines of about five seconds; the same seed speaks the same."""
    rng, known = np.random.default_rng(seed), languages()
    pad = np.full((round(MEL_PAD_S * MEL_RATE_HZ), MELS), MEL_SILENCE, np.float32)
    for number in range(count):
        language, variant = known[number % len(known)], VARIANTS[number % len(VARIANTS)]
        actor = random_actor(5000 + 1000 * seed + number, language)
        voice = open_voice(f"espeak:{language}+{variant}")
        speech = voice.speak(passage(language, number, SECONDS), speed=float(rng.uniform(0.75, 1.35)))
        spoken = Mouthing(actor).speak(speech, FRAME_RATE)
        mel = np.concatenate([pad, log_mel(level(speech.sound)), pad])
        yield SpokenLine(f"line{number}", actor.name, FRAME_RATE, spoken.times_s + MEL_PAD_S, spoken.mouth, mel)
        if progress:
            progress.advance()


def main() -> int:
    """Parse the command line, speak, write."""
    parser = argparse.ArgumentParser(prog="python -m data_prep.actors.lines", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    parser.add_argument("--count", type=int, default=240, help="how many lines of about five seconds")
    parser.add_argument("--seed", type=int, default=0, help="another seed: other actors, another pace")
    given, progress = parser.parse_args(), Terminal()
    progress.start("speaking", given.count, "lines")
    try:
        written = write_lines(speak_lines(given.count, given.seed, progress), given.out)
    except LipsyncError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    progress.done()
    sys.stdout.write(f"{given.out}: {written} lines, {given.out.stat().st_size / 2**20:.1f} MiB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
