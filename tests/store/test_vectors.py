"""The coarse cache: equal to the plain way, in step with the database, rebuilt when in doubt."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from explorer.records import ExplorerError
from explorer.store import vector_file, vectors
from explorer.store.store import Store
from explorer.store.vectors import VectorCache
from tests.store.test_store import put, unit

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def store(tmp_path: Path):
    with Store(tmp_path / "index.db") as opened:
        for i in range(20):
            put(opened, f"/v/{i}.mp4", fingerprint=f"f{i}", frames=40, seed=i % 15)  # five videos are equal: ties
        yield opened


def cache_of(store: Store, encoder: str = "e") -> VectorCache:
    return VectorCache(store, store.path.parent / "vectors.faiss", encoder=encoder)


def slow(store: Store, query: np.ndarray, k: int, allowed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The obvious way: every vector, sorted by (score, number)."""
    ids = store.window_ids("e")
    rows = np.concatenate([v for _, v in store.window_vectors(ids)]).astype(np.float32)
    keep = np.ones(len(ids), bool) if allowed is None else np.isin(ids, allowed)
    ids, scores = ids[keep], (rows @ query)[keep]
    order = np.lexsort((ids, -scores.round(5)))[:k]
    return ids[order], scores[order]


def test_it_finds_what_the_plain_way_finds(store: Store) -> None:
    cache, chance = cache_of(store), np.random.default_rng(5)
    for query in unit(20, seed=99).astype(np.float32):
        for allowed in (
            None,
            chance.choice(store.window_ids("e"), 17, replace=False),
            np.array([3]),
            np.array([], int),
        ):
            ids, scores = cache.search(query, 500, allowed=allowed)
            right_ids, right = slow(store, query, 500, allowed)
            assert sorted(ids) == sorted(right_ids) and np.allclose(scores, right, atol=1e-5)
            assert np.all(np.diff(scores) <= 0)


def test_equal_scores_come_by_number_and_k_is_kept(store: Store) -> None:
    query = unit(7, seed=1)[0].astype(np.float32)  # exactly a stored vector, of two videos
    ids, scores = cache_of(store).search(query, 2)
    assert len(ids) == 2 and scores[0] == scores[1] and ids[0] < ids[1]


def test_it_follows_the_database(store: Store) -> None:
    cache = cache_of(store)
    cache.save()
    cache = cache_of(store)
    for change in (
        lambda: put(store, "/v/new.mp4", fingerprint="n", seed=77),
        lambda: put(store, "/v/3.mp4", fingerprint="f3b", seed=78),
        lambda: store.remove_root(1),
        lambda: put(store, "/w/x.mp4", fingerprint="x", root="/w", seed=3),
    ):
        change()
        cache.refresh()
        ids = store.window_ids("e")
        assert np.array_equal(np.sort(cache._ids), ids) and (not len(ids) or cache._agrees(ids))
    cache.save()
    assert cache.difference() == ""


def test_the_file_is_used_when_whole_and_any_flipped_bit_is_noticed(store: Store) -> None:
    cache_of(store).save()
    fresh = cache_of(store)
    fresh._load(store.marks())
    assert len(fresh) == len(store.window_ids("e"))  # really read, not rebuilt
    chance, query = np.random.default_rng(0), unit(1, seed=4)[0].astype(np.float32)
    right = cache_of(store).search(query, 10)
    for name in ("vectors.faiss", "vectors.ids", "vectors.json"):
        path = store.path.parent / name
        whole = path.read_bytes()
        for bit in chance.integers(0, 8 * len(whole), 12):
            damaged = bytearray(whole)
            damaged[bit // 8] ^= 1 << bit % 8
            path.write_bytes(damaged)
            fresh = cache_of(store)
            assert fresh.difference() == "the file is damaged", (name, bit)
            assert np.array_equal(fresh.search(query, 10)[0], right[0])
        path.write_bytes(whole[: len(whole) // 2])
        assert cache_of(store).difference() == "the file is damaged"
        path.write_bytes(whole)


@pytest.mark.parametrize("block", [1 << 20, 1000, 1])  # one block, many with a short last one, one a byte
def test_what_is_read_equals_what_is_made_from_the_database(
    store: Store, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(vector_file, "BLOCK", block)
    made = cache_of(store)
    made.save()
    read = cache_of(store)
    read._load(store.marks())
    assert np.array_equal(read._ids, made._ids) and np.array_equal(
        vectors._codes(read._index), vectors._codes(made._index)
    )
    assert np.array_equal(read.ids(), store.window_ids("e")) and read._agrees(read.ids())
    for query in unit(5, seed=7).astype(np.float32):
        (ids, scores), (right, values) = read.search(query, 500), made.search(query, 500)
        assert np.array_equal(ids, right) and np.array_equal(scores, values)


def test_a_file_of_another_length_is_not_read(store: Store) -> None:
    cache_of(store).save()
    path = store.path.parent / "vectors.faiss"
    whole = path.read_bytes()
    for data in (whole + b"x", whole[:-1], b""):
        path.write_bytes(data)
        assert cache_of(store).difference() == "the file is damaged"


def test_a_library_whose_windows_all_left_is_kept_and_read(store: Store) -> None:
    cache = cache_of(store)
    cache.refresh()
    store.remove_root(1)
    cache.save()
    assert len(cache_of(store).search(unit(1)[0], 3)[0]) == 0 and cache_of(store).difference() == ""


def test_a_cache_of_another_library_is_not_used(store: Store, tmp_path: Path) -> None:
    cache_of(store).save()
    other = tmp_path / "other"
    with Store(other / "index.db") as second:
        put(second, "/v/a.mp4", fingerprint="f", seed=50)
        for name in ("vectors.faiss", "vectors.ids", "vectors.json"):
            (other / name).write_bytes((tmp_path / name).read_bytes())
        assert len(cache_of(second).search(unit(1)[0], 99)[0]) == second.counts().windows


def test_a_mix_of_models_is_refused_with_the_remedy(store: Store) -> None:
    put(store, "/v/other.mp4", fingerprint="o", encoder="e2")
    with pytest.raises(ExplorerError, match="mixes models: 5 by e2, while this search uses e; index the library again"):
        cache_of(store).search(unit(1)[0], 3)


def test_an_empty_library_finds_nothing(tmp_path: Path) -> None:
    with Store(tmp_path / "index.db") as empty:
        assert len(cache_of(empty).search(unit(1)[0], 3)[0]) == 0
        cache_of(empty).save()


def test_a_query_of_another_width_is_refused(store: Store) -> None:
    with pytest.raises(ExplorerError, match="width 8.*index again"):
        cache_of(store).search(np.ones(8, np.float32), 3)


@pytest.mark.parametrize("order", ["torch, faiss", "faiss, torch"])
def test_faiss_and_torch_work_in_one_process(order: str) -> None:
    """Both bring an OpenMP; each must still compute with threads after the other."""
    code = f"""import {order}
import numpy as np
x = np.random.default_rng(0).standard_normal((5000, 64)).astype(np.float32)
index = faiss.IndexScalarQuantizer(64, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
index.add(x)
for _ in range(3):
    assert (index.search(x[:50], 1)[1].shape, torch.from_numpy(x @ x.T).relu().sum() > 0) == ((50, 1), True)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "OMP_NUM_THREADS": "2"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
