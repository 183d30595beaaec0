"""`check` finds what can go wrong, mends what can be made again, and leaves the index equal to the database."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.faults.bitrot import run as rot
from explorer.store.check import check
from explorer.store.stills import Stills
from explorer.store.store import Store
from explorer.store.vectors import VectorCache
from tests.store.test_store import put

BREAKS = {
    "a block gone": "DELETE FROM feature_blocks WHERE id = (SELECT min(id) FROM feature_blocks)",
    "a block cut": "UPDATE feature_blocks SET vectors = substr(vectors, 1, 10) WHERE id = (SELECT min(id) FROM feature_blocks)",
    "a set gone": "DELETE FROM feature_sets WHERE id = 1",
    "a window gone": "DELETE FROM windows WHERE video_id = 1 AND ordinal = 1",
    "all windows gone": "DELETE FROM windows WHERE video_id = 1",
    "a window outside its frames": "UPDATE windows SET first = 1000 WHERE id = 1",
    "a window backwards": "UPDATE windows SET start = 50, end = 2 WHERE id = 1",
    "a vector of another width": "UPDATE windows SET vector = zeroblob(2) WHERE id = 1",
    "a video gone": "DELETE FROM videos WHERE id = 1",
    "other content": "UPDATE videos SET fingerprint = 'other' WHERE id = 1",
    "content of no file": "INSERT INTO feature_sets SELECT 99, 'nobody', tower, sampling, 0, dim, x'', 0, info, '', '' FROM feature_sets LIMIT 1",
    "blocks of no set": "INSERT INTO feature_blocks VALUES (123 << 24, 0, x'00')",
}


@pytest.mark.parametrize("name", BREAKS)
def test_each_inconsistency_is_found_and_mended(tmp_path: Path, name: str) -> None:
    with Store(tmp_path / "index.db") as store:
        put(store, "/v/a.mp4", fingerprint="fa")
        put(store, "/v/b.mp4", fingerprint="fb")
        assert check(store) == []
        store.database._writer.execute("PRAGMA foreign_keys = OFF")
        with store.database.write() as connection:
            connection.execute(BREAKS[name])
        assert [f for f in check(store) if not f.repaired], name
        for _ in range(3):  # mending one thing may lay another bare
            check(store, repair=True)
        assert check(store) == []
        assert store.by_path("/v/b.mp4").state == "indexed"  # the sound one is left alone


def test_a_stale_cache_is_no_fault_and_a_wrong_one_is_made_again(tmp_path: Path) -> None:
    with Store(tmp_path / "index.db") as store:
        put(store, "/v/a.mp4", fingerprint="fa")
        cache = VectorCache(store, tmp_path / "vectors.faiss", encoder="e")
        cache.save()
        put(store, "/v/b.mp4", fingerprint="fb")
        assert check(store, vectors=cache) == []
        cache.save()
        (tmp_path / "vectors.faiss").write_bytes(b"rubbish")
        assert [f.kind for f in check(store, vectors=cache, repair=True)] == ["vectors"]
        assert check(store, vectors=cache) == []


def test_flipped_bits_are_noticed_and_mended(tmp_path: Path) -> None:
    assert rot(7, seed=2, folder=tmp_path) == (7, 7)


def test_damaged_stills_are_absent_and_a_damaged_file_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "stills.db"
    stills = Stills(path)
    stills.put("f", 0, [b"\xff\xd8one", b"\xff\xd8two"])
    assert stills.get("f", 1) == b"\xff\xd8two" and stills.get("f", 2) is None
    with stills._connection as connection:
        connection.execute("UPDATE stills SET jpeg = x'00' WHERE frame = 1")
    assert stills.get("f", 1) is None and stills.get("f", 0) and stills.damaged() == [("f", 1)]
    assert stills.keep_only(["g"]) == 2
    stills.close()
    path.write_bytes(b"\x07" * 9000)
    again = Stills(path)
    assert again.get("f", 0) is None and path.with_name("stills.db.damaged").exists()
    again.put("f", 0, [b"x"])
    assert again.get("f", 0) == b"x"
    again.close()
