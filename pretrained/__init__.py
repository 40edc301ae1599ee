"""Trained weights that come with the project, a folder each; docs/models describes them."""
