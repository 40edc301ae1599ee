"""The practice of training: what to check before it, which rate, which recipe (docs/practice.md)."""
