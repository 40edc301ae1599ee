"""`python -m train.lr_range`: the command itself is in `train.cli.lr_range`."""

import sys

from train.cli.lr_range import main

if __name__ == "__main__":
    sys.exit(main())
