"""Converts values to images, texts, sounds, translations and captions, and back."""
