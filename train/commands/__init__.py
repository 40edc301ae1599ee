"""The commands `python -m train.NAME`, a file each: `train` finds its modules here as well."""
