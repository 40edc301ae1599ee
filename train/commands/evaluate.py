"""`python -m train.evaluate`: the command itself is in `train.cli.evaluate`.

`train.evaluate` in Python is the function, also after an import of this module: the import system
takes as the module what `sys.modules` holds when the file has run, and binds that to the name.
"""

import sys

if __name__ == "__main__":
    from train.cli.evaluate import main

    sys.exit(main())

from train.engine.fitting import evaluate

sys.modules[__name__] = evaluate  # type: ignore[assignment]
