"""`python -m train.diagnose`: the command itself is in `train.cli.diagnose`."""

import sys

from train.cli.diagnose import main

if __name__ == "__main__":
    sys.exit(main())
