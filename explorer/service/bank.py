"""The bank of unrelated captions: its text features, kept from one start to the next."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.config import ASSETS
from explorer.records import TextFeatures

if TYPE_CHECKING:
    from explorer.model.encoder import Encoder

log = logging.getLogger(__name__)

BANK = ASSETS / "caption_bank.txt"
CAPTIONS_AT_ONCE = 64  # some hundred prompts: a second or two on two cores


def bank_features(encoder: Encoder, folder: Path) -> Sequence[TextFeatures]:
    """Features of the caption bank, from the file that an earlier run of this tower kept; see encode_bank."""
    steps = encode_bank(encoder, folder)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def encode_bank(encoder: Encoder, folder: Path) -> Generator[tuple[int, int], None, Sequence[TextFeatures]]:
    """Encode the caption bank, or read what an earlier run of this tower kept of it.

    Args:
        encoder: the checkpoint.
        folder: of the data folder; may be emptied at any time.

    Yields:
        (captions encoded, of how many), so that a job can show it and be stopped.

    Raises:
        ExplorerError: the bank cannot be read.
    """
    from explorer.search.calibrate import read_bank
    from explorer.training.texts import load_table, save_table, text_table

    captions = read_bank(BANK)
    config = encoder.config
    made_of = "\n".join([encoder.tower_name, config.text_levels, config.prompt, str(config.words), *captions])
    path = folder / f"{hashlib.sha256(made_of.encode()).hexdigest()[:16]}.npz"
    try:
        table = load_table(path) if path.is_file() else None
        if table is not None and table.texts == captions:
            return table
    except Exception as error:  # a cache: whatever is wrong with it, it is made again
        log.info("bank %s: %s", path, error)
    texts: list[TextFeatures] = []
    for first in range(0, len(captions), CAPTIONS_AT_ONCE):
        texts += encoder.texts(captions[first : first + CAPTIONS_AT_ONCE])
        yield len(texts), len(captions)
    table = text_table(texts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_table(path, table)
    except OSError as error:  # a read-only data folder: slower, not wrong
        log.info("cannot keep the bank: %s", error)
    return table
