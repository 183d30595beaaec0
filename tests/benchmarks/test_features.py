"""The benchmarks' cache of features: a smaller set comes out of a larger one that is kept, and hierarchies share it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import features
from explorer.config import ModelConfig
from explorer.records import CaptionPair
from tests.support.synthetic import pairs


def test_the_first_videos_keep_their_own_texts() -> None:
    data = pairs(6, 3)
    part = features.first_videos(data, 2)
    assert part.files == data.files[:2] and len(part) == 6
    assert [t.text for t in part.texts] == [data.texts[i].text for i in np.flatnonzero(data.owners < 2)]
    assert features.first_videos(data, 6) is data


def test_the_cache_is_named_after_tower_and_reading_and_not_after_the_hierarchy() -> None:
    one = SimpleNamespace(tower=SimpleNamespace(name="starter:abc"), config=ModelConfig(), name="x-1")
    other = SimpleNamespace(tower=one.tower, config=replace(one.config, adapter=8), name="y-2")
    prompted = SimpleNamespace(tower=one.tower, config=ModelConfig(prompt="a video of {}"), name="x-1")
    in_context = SimpleNamespace(tower=one.tower, config=ModelConfig(text_levels="contextual"), name="x-1")
    assert features.stem_of(one) == features.stem_of(other) == features.stem_of(in_context)
    assert features.reading_of(one) == features.reading_of(other)
    assert len({features.reading_of(encoder) for encoder in (one, prompted, in_context)}) == 3


def test_a_smaller_set_comes_out_of_the_larger_kept_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = [CaptionPair(f"{i}.jpg", f"caption {j} of {i}") for i in range(4) for j in range(2)]
    monkeypatch.setattr(features, "read_flickr8k", lambda folder, split: SimpleNamespace(pairs=given))
    data, encoded = pairs(4, 2), []
    vectors = np.concatenate([f[:1] for f in data.frames])
    monkeypatch.setattr(
        features, "read_photos", lambda encoder, paths: encoded.append(len(paths)) or vectors[: len(paths)]
    )

    def texts(encoder, captions, path):
        if not path.exists():
            path.write_bytes(b"")
        return [replace(data.texts[0], text=caption) for caption in captions]

    monkeypatch.setattr(features, "texts", texts)
    encoder = SimpleNamespace(tower=SimpleNamespace(name="t"), config=ModelConfig())
    whole = features.photo_pairs(encoder, tmp_path, "val", cache=tmp_path)
    part = features.photo_pairs(encoder, tmp_path, "val", cache=tmp_path, limit=2)
    assert encoded == [4] and part.files == whole.files[:2]
    assert [t.text for t in part.texts] == ["caption 0 of 0", "caption 1 of 0", "caption 0 of 1", "caption 1 of 1"]
    assert (part.frames[1] == whole.frames[1]).all()
