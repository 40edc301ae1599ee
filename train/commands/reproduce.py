"""`python -m train.reproduce`: the command itself is in `train.cli.reproduce`."""

import sys

from train.cli.reproduce import main

if __name__ == "__main__":
    sys.exit(main())
