"""A page in the browser that shows trained models at work; served on this machine alone."""
