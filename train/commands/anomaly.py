"""`python -m train.anomaly`: the command itself is in `train.cli.anomaly`."""

import sys

from train.cli.anomaly import main

if __name__ == "__main__":
    sys.exit(main())
