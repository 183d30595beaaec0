"""Pixels and texts become unit vectors: the starter, any CLIP of open_clip, and how each is loaded."""
