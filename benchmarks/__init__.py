"""Measurements: sampling, training, FLOPs, lengths, receptive fields. Nothing imports this folder."""
