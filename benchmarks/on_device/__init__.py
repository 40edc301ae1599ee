"""Parts of the device check: what is measured, and the processes that measure it."""
