"""`python -m sample.lengths` runs `python -m benchmarks.lengths`, from a copy of the project."""

from zoo.cli import forward

if __name__ == "__main__":
    forward("benchmarks.lengths")
