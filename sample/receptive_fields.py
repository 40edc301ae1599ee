"""`python -m sample.receptive_fields` runs `python -m benchmarks.receptive_fields`, from a copy of
the project.
"""

from zoo.cli import forward

if __name__ == "__main__":
    forward("benchmarks.receptive_fields")
