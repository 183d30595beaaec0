"""Text features that are worth keeping: of the bank of unrelated captions, and of a data set's captions."""
from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.config import PROJECT_DIR

if TYPE_CHECKING:
    from explorer.model.encoder import Encoder
    from explorer.training.texts import TextTable

log = logging.getLogger(__name__)

BANK = PROJECT_DIR / "assets" / "caption_bank.txt"


def kept_texts(encoder: Encoder, texts: Sequence[str]) -> TextTable:
    """Features of many texts with each distinct word and phrase encoded and stored once."""
    from explorer.model import phrases
    from explorer.training.texts import text_table
    return text_table(texts, parse=lambda part: [(one.words, one.phrases) for one in phrases.parse(part)],
                      encode=encoder.tower.encode_texts, prompt=encoder.config.prompt.format)


def bank_features(encoder: Encoder, folder: Path) -> Any:
    """Features of the caption bank, from the file that an earlier run of this tower kept.

    Args:
        encoder: the checkpoint.
        folder: of the data folder; may be emptied at any time.

    Raises:
        ExplorerError: the bank cannot be read.
    """
    from explorer.search.calibrate import read_bank
    from explorer.training.texts import load_table, save_table
    captions = read_bank(BANK)
    if encoder.config.text_levels == "learned":
        return encoder.texts(captions)
    made_of = "\n".join([encoder.tower_name, encoder.config.prompt, str(encoder.config.words), *captions])
    path = folder / f"{hashlib.sha256(made_of.encode()).hexdigest()[:16]}.npz"
    try:
        table = load_table(path) if path.is_file() else None
        if table is not None and table.texts == captions:
            return table
    except Exception as error:                            # a cache: whatever is wrong with it, it is made again
        log.info("bank %s: %s", path, error)
    table = kept_texts(encoder, captions)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_table(path, table)
    except OSError as error:                              # a read-only data folder: slower, not wrong
        log.info("cannot keep the bank: %s", error)
    return table
