"""`python -m train.bench` runs `python -m benchmarks.training`, from a copy of the project."""

from zoo.cli import forward

if __name__ == "__main__":
    forward("benchmarks.training")
