"""Values as media and back: images, texts, sounds, translations, captions."""
