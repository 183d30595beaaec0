"""Looking at a model, listing what can be chosen and reading a tower open no connection, seen from outside the process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from explorer.config import IMPORT_DIR

# What a person does before agreeing, and what every start does after: a multilingual name, a renamed one, a file.
LOOKING = """
import sys
from pathlib import Path
import explorer
from explorer.config import Settings
from explorer.records import ExplorerError
from explorer.service.adding import look
from explorer.service.choosing import list_offers
from explorer.store.store import Store

data = Path(sys.argv[1])
settings = Settings(data_dir=data, device="cpu")
for name in ("xlm-roberta-base-ViT-B-32/laion5b_s13b_b90k", "google/siglip2-base-patch16-224", "vit-b-32/OPENAI"):
    offer = look(name, settings)
    assert offer.megabytes > 500 and not offer.here, offer
for wrong in ("mt5-base-ViT-B-32/nobody", "nonsense"):
    try:
        look(wrong, settings)
    except ExplorerError as error:
        assert "there is no published CLIP" in str(error)
assert len(list_offers(settings, Store(data / "index.db"))) == 7
from transformers import AutoConfig
try:
    AutoConfig.from_pretrained("xlm-roberta-base", cache_dir=data / "none")
except OSError:
    print("refused")
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_looking_opens_no_connection_even_where_a_token_and_the_contrary_are_set(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    contrary = {"HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "0", "HF_TOKEN": "hf_secret"}
    done = subprocess.run(
        [
            "strace",
            "-f",
            "-qq",
            "-e",
            "trace=connect,sendto",
            "-o",
            str(trace),
            sys.executable,
            "-c",
            LOOKING,
            str(tmp_path),
        ],
        cwd=IMPORT_DIR,
        env={**os.environ, **contrary},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0 and done.stdout.split() == ["refused"], done.stderr
    assert [line for line in trace.read_text().splitlines() if "AF_INET" in line] == []
