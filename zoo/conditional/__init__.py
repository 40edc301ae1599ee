"""Models that write a sequence given a context: translation and captioning."""
