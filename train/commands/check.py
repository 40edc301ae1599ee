"""`python -m train.check`: the command itself is in `train.cli.check`."""

import sys

from train.cli.check import main

if __name__ == "__main__":
    sys.exit(main())
