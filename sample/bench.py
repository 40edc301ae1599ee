"""`python -m sample.bench` runs `python -m benchmarks.sampling`, from a copy of the project."""

from zoo.cli import forward

if __name__ == "__main__":
    forward("benchmarks.sampling")
