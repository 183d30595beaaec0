"""HCMI Explorer: search a person's own videos by sentence, see why each moment was found, and teach the model.

Three flows, each handing one record to the next: INDEX (folder -> frames -> features -> store), SEARCH
(text -> candidates -> level scores -> explained hits) and TRAIN (captions -> kept features -> checkpoint).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from explorer.config import Settings
    from explorer.service import Explorer

__version__ = "0.2.0.dev0"
__all__ = ["Explorer", "Settings", "__version__"]


def __getattr__(name: str) -> object:
    """Import the two doors when they are first asked for, so that `import explorer` costs nothing."""
    if name == "Explorer":
        from explorer.service import Explorer

        return Explorer
    if name == "Settings":
        from explorer.config import Settings

        return Settings
    raise AttributeError(f"module 'explorer' has no attribute {name!r}")
