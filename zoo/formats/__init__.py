"""What lies in files: vocabularies, tab-separated rows, pictures, waveforms. No model."""
