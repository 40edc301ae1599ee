"""Files of a user's own data: what is in them, and how it is read."""
