"""An epoch on kept features against an epoch that decodes and encodes anew, in one run.

Run: python -m benchmarks.kept_features --clips DIR [--checkpoint starter]. Goal: at least 50 times faster. Exit 1 below.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.features import clip_pairs, open_encoder
from explorer.config import TrainConfig
from explorer.training.finetune import grow
from explorer.training.train import fit

GOAL = 50.0


def epoch_seconds(model, data, *, epochs: int) -> float:
    """Seconds of one training epoch, the mean of several after one to warm up."""
    config = TrainConfig(epochs=1, batch_size=64)
    list(fit(grow(model), data, config))
    trained, started = grow(model), time.monotonic()
    list(fit(trained, data, replace(config, epochs=epochs)))
    return (time.monotonic() - started) / epochs


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--checkpoint", default="starter")
    parser.add_argument("--epochs", type=int, default=5)
    chosen = parser.parse_args()
    encoder = open_encoder(chosen.checkpoint)
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        data = clip_pairs(encoder, chosen.clips, cache=Path(folder), most=1)  # decodes and encodes every clip
        anew = time.monotonic() - started
    kept = epoch_seconds(encoder.model, data, epochs=chosen.epochs)
    ratio = (anew + kept) / kept
    print(
        f"{len(data.files)} clips: {anew + kept:.1f} s an epoch decoding and encoding anew, {kept:.3f} s on kept features: "
        f"{ratio:.0f} times faster (goal {GOAL:g})"
    )
    return int(ratio < GOAL)


if __name__ == "__main__":
    sys.exit(main())
