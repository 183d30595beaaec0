"""The one door for page and command line: what a person can ask of the app, and what stays loaded in between."""

from explorer.service.explorer import Explorer

__all__ = ["Explorer"]
