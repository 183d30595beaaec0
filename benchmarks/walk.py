"""The walk of a query: which functions of the project its text passes through, from the service's door to the result.

    python -m benchmarks.walk [--text "a dog runs on the beach"] [--names]

A small library is made (as benchmarks/search_speed.py makes its large one), the query is asked once to warm everything,
and a second text of the same shape is followed: each call of a function under explorer/ is noted that receives the text,
or a record or list that holds it. Comprehensions and what dataclasses generate are no functions. Printed last: how many
functions in each layer, in how many files, and under how many names the text travels.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks.search_speed import PROJECT, fill
from explorer.config import Settings
from explorer.service import Explorer
from explorer.store.store import Store

WARM = "a cat sleeps under the table"
ROOT = str(PROJECT / "explorer")
DEPTH = 3  # records in records that are looked into


def holds(value: Any, text: str, depth: int = DEPTH) -> bool:
    """Whether a value is the text, or a record, list or tuple that holds it."""
    if isinstance(value, str):
        return value == text
    if depth == 0:
        return False
    if isinstance(value, (list, tuple)):
        return any(holds(part, text, depth - 1) for part in value[:4])
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return any(holds(getattr(value, field.name, None), text, depth - 1) for field in dataclasses.fields(value))
    return False


def follow(ask: Callable[[str], Any], text: str) -> dict[tuple[str, str], set[str]]:
    """(file, function) -> names under which the text or a record of it came in, in the order first entered."""
    entered: dict[tuple[str, str], set[str]] = {}

    def note(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(ROOT) or code.co_name.startswith("<"):
            return
        count = code.co_argcount + code.co_kwonlyargcount
        names = [name for name in code.co_varnames[:count] if holds(frame.f_locals.get(name), text)]
        if names:
            place = Path(code.co_filename).relative_to(ROOT).as_posix(), code.co_qualname
            entered.setdefault(place, set()).update(names)

    sys.setprofile(note)
    try:
        ask(text)
    finally:
        sys.setprofile(None)
    return entered


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", default="a dog runs on the beach")
    parser.add_argument("--names", action="store_true", help="also the names under which the text comes in")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Explorer(Settings(data_dir=Path(folder))) as explorer:
        encoder = explorer.models.encoder()
        with Store(Path(folder) / "index.db") as store:
            fill(store, encoder, encoder.texts([WARM])[0].sentence[None], count=60)
        explorer.searches.search(WARM)
        entered = follow(explorer.searches.search, given.text)
    for (file, function), names in entered.items():
        print(f"{file}: {function}" + (f" ({', '.join(sorted(names))})" if given.names else ""))
    layers = Counter(file.split("/")[0] for file, _ in entered)
    print(", ".join(f"{layer} {count}" for layer, count in layers.items()))
    files = {file for file, _ in entered}
    known = {name for names in entered.values() for name in names}
    print(f"{len(entered)} functions in {len(files)} files, under {len(known)} names")
    return 0


if __name__ == "__main__":
    sys.exit(main())
