"""Files of data as values to compress, and back: a module for each kind of files."""
