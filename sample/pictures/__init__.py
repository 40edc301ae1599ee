"""Pictures of what was drawn: grids, maps, waveforms."""
