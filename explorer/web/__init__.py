"""Serves the page and the videos to this machine only: a guard in front, then media, stills, assets and Gradio."""
