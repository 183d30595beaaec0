"""A command's table goes between its marks in a document, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.tables import DOCS, write_table


def test_a_table_is_replaced_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- table speed -->\nold | 1\\2\n<!-- end speed -->\nb\n", "utf-8")
    write_table(page, "speed", "new | \\1\n")
    assert page.read_text("utf-8") == "a\n<!-- table speed -->\nnew | \\1\n<!-- end speed -->\nb\n"


def test_a_document_without_the_place_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n", "utf-8")
    with pytest.raises(ValueError, match="0 places for the table 'speed'"):
        write_table(page, "speed", "new")
    assert page.read_text("utf-8") == "a\n"


def test_every_mark_in_the_documents_is_closed() -> None:
    for page in DOCS.glob("*.md"):
        text = page.read_text("utf-8")
        assert text.count("<!-- table ") == text.count("<!-- end "), page.name
