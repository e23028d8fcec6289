"""Open the app in the browser: the same as `lipsync app`."""

import sys

from lipsync.cli.run import run_alone

if __name__ == "__main__":
    sys.exit(run_alone("app"))
