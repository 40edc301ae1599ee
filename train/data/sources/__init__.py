"""One loader a source of data."""
