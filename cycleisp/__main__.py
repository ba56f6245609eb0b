"""Runs the command `cycleisp`, as `python -m cycleisp` or `torchrun -m cycleisp`."""

import sys

from cycleisp.console import main

if __name__ == "__main__":
    sys.exit(main())
