"""Command lines made from keywords, as tests give them."""

from pathlib import Path


def argv(*words, **flags):
    """`argv("runs/a", num=3, gif=True, stop=("x", "y"))` is ["runs/a", "--num", "3", "--gif",
    "--stop", "x", "y"].
    """
    line = [str(word) for word in words]
    for name, value in flags.items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            line.append(flag)
        elif isinstance(value, tuple | list):
            line += [flag, *map(str, value)]
        elif value is not None:
            line += [flag, str(Path() if value == Path() else value)]
    return line
