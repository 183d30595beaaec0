"""A typed query is read with the names of the library's files and with what the model can read."""

from __future__ import annotations

from pathlib import Path

import pytest

from explorer.records import VideoFile
from explorer.service.reading import READS_MANY, Reading, language_notes, reads_many
from explorer.store.store import Store


@pytest.fixture
def reading(tmp_path: Path) -> Reading:
    store = Store(tmp_path / "index.db")
    names = ("/v/IMG_2034.MOV", "/v/sub/Beach day.mp4", "/v/cafe\u0301.mp4")
    store.add_files(store.add_root("/v").id, [VideoFile(name, 1, 1) for name in names])
    return Reading(store)


def test_file_names_of_the_library_are_known(reading: Reading) -> None:
    assert reading.parse("img_2034").files == ("img_2034",)
    assert reading.parse("caf\u00e9.mp4").files == ("caf\u00e9.mp4",)
    query = reading.parse("beach day")
    assert query.files == () and "Beach day.mp4 is called so" in query.notes[0]
    assert "no file of the library is called IMG_1.MOV" in reading.parse("IMG_1.MOV").notes[0]


def test_names_follow_the_library(reading: Reading) -> None:
    assert reading.names("new") == ()
    reading._state = (-1, 0.0)  # as if the five seconds were over
    reading.store.add_files(reading.store.roots()[0].id, [VideoFile("/v/new.mp4", 1, 1)])
    assert reading.names("NEW.mp4") == ["new.mp4"]


def test_a_language_the_model_cannot_read_is_said_with_one_that_can(reading: Reading) -> None:
    note = reading.parse("ein Hund im Schnee", tower="starter-1").notes[-1]
    assert "German" in note and READS_MANY in note and reads_many(READS_MANY)
    assert reading.parse("ein Hund im Schnee", tower=READS_MANY).notes == ()
    assert reading.parse("a dog in snow", tower="starter-1").notes == ()
    assert 'such as "dog"' in language_notes("a \U0001f415", "ViT-B-32")[0]
