"""Models that draw a whole example from noise, a file each."""
