"""The console script `zoo`, or `python -m zoo`: the commands of `python -m`, from any folder.

A file of the user's that is called train.py or sample.py is never mistaken for a part of the
project: see `zoo.foundation.packages`.
"""

import difflib
import sys
from collections.abc import Sequence

from zoo import cli
from zoo.foundation.packages import Beside

COMMANDS = {
    "train": ("train", "Train a model, then draw from it."),
    "check": ("train.check", "Check the initial loss, a small batch and the gradients."),
    "lr-range": ("train.lr_range", "Try learning rates and suggest one."),
    "search": ("train.search", "Search the fields of a recipe."),
    "diagnose": ("train.diagnose", "Say what the curves of a run show."),
    "probe": ("train.probe", "Read labels from the codes of a run by a linear classifier."),
    "table": ("train.table", "Print the results of several runs as a table."),
    "sample": ("sample", "Draw from a trained model."),
    "score": ("sample.score_file", "Score every example of your own file."),
    "anomaly": ("train.anomaly", "Tell outliers from examples of a run's data."),
    "demo": ("sample.demo", "Show trained models at work on a page in the browser."),
    "compress": ("sample.coding.pack", "Compress a file of data by a trained model."),
    "decompress": ("sample.coding.unpack", "Give back a file that was compressed."),
    "eval": ("train.evaluate", "Score a split of a run's data."),
    "reproduce": ("train.reproduce", "Train and evaluate a row of docs/results.md."),
    "bench": ("benchmarks.sampling", "Time sampling against the likelihood."),
    "bench-torch": ("benchmarks.training", "Time the same networks in PyTorch."),
    "lengths": ("benchmarks.lengths", "Draw exact match against the length of the source."),
    "figures": ("benchmarks.receptive_fields", "Draw the receptive fields of the image models."),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command that the first word names; the exit code is that of the command.

    Raises:
      SystemExit: the command has ended, or there is no such command (code 2).
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print("\n".join(["usage: zoo COMMAND ...; zoo COMMAND --help explains a command.", ""]))
        print("\n".join(f"  {name:12} {sentence}" for name, (_, sentence) in COMMANDS.items()))
        return
    if words[0] not in COMMANDS:
        near = difflib.get_close_matches(words[0], COMMANDS, n=1, cutoff=0.4)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        known = ", ".join(COMMANDS)
        print(f"error: there is no command {words[0]!r}.{hint} There are {known}.", file=sys.stderr)
        sys.exit(2)
    module, _ = COMMANDS[words[0]]
    cli.say_commands({of: name for name, (of, _) in COMMANDS.items()})
    sys.meta_path.insert(0, Beside())
    sys.argv[1:] = words[1:]
    cli.forward(module)


if __name__ == "__main__":
    main()
