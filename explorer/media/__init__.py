"""Files become pixels: find the videos, say what may be decoded, decode in a killable child. No torch here."""
