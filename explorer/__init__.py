"""HCMI Explorer: search a person's own videos by sentence, see why each moment was found, and teach the model.

Three flows, each handing one record to the next: INDEX (folder -> frames -> features -> store), SEARCH
(text -> candidates -> level scores -> explained hits) and TRAIN (captions -> kept features -> checkpoint).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from explorer.config import Settings
    from explorer.service import Explorer

__version__ = "0.2.0.dev0"
__all__ = ["Explorer", "Settings", "__version__"]

# What the libraries under this package could send or ask is switched off in every process that imports it, and in its
# children: they read these names when they are loaded. The one door to the network is model/towers/hub.py, which sends
# nothing before a person has agreed.
os.environ.update(
    HF_HUB_OFFLINE="1",
    TRANSFORMERS_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    HF_HUB_DISABLE_IMPLICIT_TOKEN="1",
    HF_HUB_DISABLE_XET="1",
    DO_NOT_TRACK="1",
)


def __getattr__(name: str) -> object:
    """Import the two doors when they are first asked for, so that `import explorer` costs nothing."""
    if name == "Explorer":
        from explorer.service import Explorer

        return Explorer
    if name == "Settings":
        from explorer.config import Settings

        return Settings
    raise AttributeError(f"module 'explorer' has no attribute {name!r}")
