"""Pictures of samples: grids, animations, maps, waveforms."""
