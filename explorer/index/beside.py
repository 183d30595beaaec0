"""A library changes its encoder while the old one goes on answering: windows made aside, then exchanged in one step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import numpy as np

from explorer.config import SamplingConfig
from explorer.index.embed import FrameEncoder, embed_windows
from explorer.media.sampling import windows as cut_windows
from explorer.records import ExplorerError, Progress, Window
from explorer.store.store import Store

SHOW_EVERY = 0.25  # seconds between two records of progress

Made = tuple[int, int, list[Window], np.ndarray]  # video, feature set, its windows and their (V, D) vectors


def take_over(
    store: Store,
    *,
    encoder: FrameEncoder,
    sampling: SamplingConfig,
    exchange: AbstractContextManager[object],
    then: Callable[[], None],
) -> Iterator[Progress]:
    """Make every window anew from kept features, and put them in the place of the old ones in one transaction.

    Until then every search sees the old windows; stopping before leaves them as they are. A file without features of
    this tower, on a drive that is away for one, loses its windows and is found again once it is indexed.

    Args:
        store: the truth.
        encoder: answers from then on.
        sampling: of the features.
        exchange: held while the windows and what `then` changes are exchanged.
        then: told once the windows are the encoder's, still under `exchange`.

    Raises:
        ExplorerError: no video at all has features of this tower.

    Yields:
        Progress in videos; the last one's summary is {"videos", "away"}, away counting files that wait for theirs.
    """
    found = store.list_embedded(tower=encoder.tower_name, sampling=sampling.key)
    known = sorted((video, set_id) for video, (set_id, _) in found.items() if set_id is not None)
    if found and not known:
        raise ExplorerError(
            "none of your videos can be read now, so the present model goes on answering; "
            "connect their drive and resume"
        )
    made: list[Made] = []
    shown = 0.0
    for number, (video, set_id) in enumerate(known):
        made.append((video, set_id, *_windows(store, set_id, encoder=encoder, sampling=sampling)))
        if time.monotonic() - shown > SHOW_EVERY:
            shown = time.monotonic()
            yield Progress("embed", number, len(known))
    with exchange:
        _exchange(store, made, encoder=encoder.name)
        then()
    yield Progress("embed", len(known), len(known), summary={"videos": len(known), "away": len(found) - len(known)})


def _windows(
    store: Store, set_id: int, *, encoder: FrameEncoder, sampling: SamplingConfig
) -> tuple[list[Window], np.ndarray]:
    features, info, _ = store.set_features(set_id)
    windows = list(cut_windows(features.times, info.duration, sampling))
    return windows, embed_windows(encoder, features, windows)


def _exchange(store: Store, made: list[Made], *, encoder: str) -> None:
    with store.database.write():  # what is written inside belongs to this one transaction
        for video, set_id, windows, vectors in made:
            store.put_windows(video, windows, vectors=vectors, encoder=encoder, set_id=set_id)
        store.drop_windows_of_others(encoder)
