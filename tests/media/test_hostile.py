"""Short forms of the goals about hostile and mutated files; the long forms are under benchmarks/faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.faults import hostile, mutations
from explorer.media.decode import DecodeWorker


@pytest.mark.fault
def test_hostile_folder(tmp_path: Path) -> None:
    files = hostile.make_hostile_folder(tmp_path)
    assert sum(not must for _, must in files) >= 120
    wrong = []
    with DecodeWorker() as worker:
        for path, must_index in files:
            came, told = hostile.try_file(worker, path)
            if (must_index and not came) or (not came and (not told.startswith("cannot ") or "\n" in told)):
                wrong.append((path, told))
    assert not wrong


@pytest.mark.fault
def test_mutations() -> None:
    tally = mutations.run(60, seed=3)
    assert (tally.tried, tally.overrun, tally.wrong) == (60, 0, 0) and tally.decoded > 5 and tally.refused > 5


@pytest.mark.fault
def test_mutations_are_reproducible() -> None:
    import random

    assert mutations.mutate(bytes(5000), random.Random(4)) == mutations.mutate(bytes(5000), random.Random(4))
