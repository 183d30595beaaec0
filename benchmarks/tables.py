"""Writes a measured table into the documents, between its two marks, so that no figure there is older than its command."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"


def write_table(document: Path, name: str, text: str) -> None:
    """Replace what stands between `<!-- table NAME -->` and `<!-- end NAME -->` of a document.

    Args:
        document: a Markdown file, such as DOCS / "results.md".
        name: of the table.
        text: the new lines.

    Raises:
        ValueError: the document has no such marks, or has them twice.
    """
    before = document.read_text("utf-8")
    marks = re.compile(rf"(<!-- table {re.escape(name)} -->\n).*?(<!-- end {re.escape(name)} -->)", re.DOTALL)
    after, count = marks.subn(lambda found: f"{found[1]}{text.strip()}\n{found[2]}", before)
    if count != 1:
        raise ValueError(f"{document} has {count} places for the table {name!r}; mark one with <!-- table {name} -->")
    document.write_text(after, "utf-8")
