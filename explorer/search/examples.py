"""Searches to begin with: descriptions of the bank that a library shows clearly, so that each finds something."""

from __future__ import annotations

from explorer.search.calibrate import LINES, Calibration
from explorer.search.score import total


def examples(calibration: Calibration | None, *, count: int = 4) -> tuple[str, ...]:
    """The descriptions of the bank that stand out most in the library, each in another file.

    Each is strong in one of the sampled windows, so that a search for it is answered by at least that moment.

    Args:
        calibration: of the library; None, of an empty one, gives none.
        count: wanted; fewer where fewer stand out.
    """
    if calibration is None:
        return ()
    known = []
    for form, names in calibration.names.items():
        totals = total(calibration.null[form], calibration.weights)
        above = calibration.chances[form].above(totals.max(1)) - LINES[form][1]
        files = calibration.files[totals.argmax(1)]
        known += [(float(above[row]), name, int(files[row])) for row, name in enumerate(names) if above[row] >= 0]
    chosen: dict[int, str] = {}
    for _, name, file in sorted(known, key=lambda one: (-one[0], one[1])):
        chosen.setdefault(file, name)
    return tuple(chosen.values())[:count]
