"""Models over any ordering of the sites, whose layers are dense."""
