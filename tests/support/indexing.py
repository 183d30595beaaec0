"""What the index tests share: a library of drawn videos, one call that indexes it, and rows to compare."""

from __future__ import annotations

from pathlib import Path

from explorer.config import SamplingConfig
from explorer.index.indexer import index
from explorer.media.decode import DecodeWorker
from explorer.records import Progress
from explorer.store.stills import Stills
from explorer.store.store import Store
from tests.support.colour import ColourEncoder
from tests.support.videos import Recipe, coloured

SAMPLING = SamplingConfig(
    fps=1.0, frames=4, hop=2, adaptive=False
)  # each frame is encoded, so that they can be counted
SMALL = Recipe(fps=5, width=64, height=48, gop=5)


def three_colours(path: Path, *, order: tuple[str, ...] = ("red", "green", "blue"), seconds: float = 4.0) -> Path:
    """A video of plain colours in an order, `seconds` each."""
    return coloured(path, [(colour, seconds) for colour in order], SMALL)


def run_index(
    store: Store, folder: Path, encoder: ColourEncoder | None = None, *, stills: Stills | None = None, **options: object
) -> list[Progress]:
    """Index a folder with a real decoder and list every record."""
    root = store.add_root(folder)
    with DecodeWorker() as decoder:
        return list(
            index(
                store,
                [root],
                encoder=encoder or ColourEncoder(),
                decoder=decoder,
                sampling=SAMPLING,
                stills=stills,
                **options,
            )
        )


def rows(store: Store) -> dict[str, list[tuple]]:
    """Everything that must be equal between two indexes of one library: no numbers given by chance, no clocks."""
    queries = {
        "videos": """SELECT path, size, mtime_ns, fingerprint, state, reason, duration, width, height, fps, codec
                     FROM videos ORDER BY path""",
        "features": """SELECT s.fingerprint, s.tower, s.sampling, s.frames, s.times, s.info, b.id & 16777215, b.vectors
                       FROM feature_sets s JOIN feature_blocks b ON b.id >> 24 = s.id ORDER BY 1, 2, 3, 7""",
        "windows": """SELECT v.path, w.ordinal, w.start, w.end, w.first, w.count, e.name, w.vector FROM windows w
                      JOIN videos v ON v.id = w.video_id JOIN encoders e ON e.id = w.encoder_id ORDER BY 1, 2""",
    }
    with store.database.read() as connection:
        return {name: connection.execute(query).fetchall() for name, query in queries.items()}
