"""What a likelihood is good for: scores of examples, marginals of unknown sites (docs/uses.md)."""
