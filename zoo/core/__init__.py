"""The contract and what follows from it for every model."""
