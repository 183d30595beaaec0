"""One spelling for names and words that look the same: accents composed, case folded, separators alike."""

from __future__ import annotations

import unicodedata


def composed(text: str) -> str:
    """A text with each accent joined to its letter (NFC): macOS writes names apart, keyboards write them joined.

    >>> composed("cafe\\u0301") == "caf\\u00e9"
    True
    """
    return unicodedata.normalize("NFC", text)


def folded(text: str) -> str:
    """The form in which names are compared: composed, without case, with forward slashes.

    >>> folded("Cafe\\u0301\\\\A.MP4") == "caf\\u00e9/a.mp4"
    True
    """
    return composed(composed(text).casefold()).replace("\\", "/")
