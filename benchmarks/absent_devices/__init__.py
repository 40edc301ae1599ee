"""Devices that need not be there: what is compiled for them."""
