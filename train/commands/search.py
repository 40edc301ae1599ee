"""`python -m train.search`: the command itself is in `train.cli.search`."""

import sys

from train.cli.search import main

if __name__ == "__main__":
    sys.exit(main())
