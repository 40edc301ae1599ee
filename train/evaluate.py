"""`python -m train.evaluate`: the command itself is in `train.cli.evaluate`."""

import sys

from train.cli.evaluate import main

if __name__ == "__main__":
    sys.exit(main())
