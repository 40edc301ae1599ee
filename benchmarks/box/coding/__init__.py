"""Lossless compression by models: rates of many runs in one table, and the usual way to code."""
