"""Learn a person: the same as `lipsync finetune`."""

import sys

from lipsync.cli.run import run_alone

if __name__ == "__main__":
    sys.exit(run_alone("finetune"))
