"""`python -m train.probe`: the command itself is in `train.cli.probe`."""

import sys

from train.cli.probe import main

if __name__ == "__main__":
    sys.exit(main())
