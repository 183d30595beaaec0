"""Text without torch: words, phrases, roles and the role graph of a sentence, by spaCy."""
