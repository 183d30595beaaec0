"""Made pairs with a known structure, and a small training run that a test can kill."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from explorer.config import ModelConfig, TrainConfig
from explorer.model.hcmi import HCMI
from explorer.records import TextFeatures
from explorer.training.dataset import PairData
from explorer.training.train import fit

DIM = 16
TRAIN = TrainConfig(epochs=3, batch_size=6, lr=1e-3, seed=5)


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


def text(name: str, sentence: np.ndarray, rng: np.random.Generator, noise: float = 0.3) -> TextFeatures:
    """A text whose three words and two phrases lie around its sentence."""
    words = unit(sentence + noise * rng.normal(size=(3, len(sentence))))
    phrases = unit(sentence + noise * rng.normal(size=(2, len(sentence))))
    return TextFeatures(name, unit(sentence), words, ("one", "two", "three"), phrases)


def whole(count: int) -> np.ndarray:
    return np.tile([0.0, np.inf], (count, 1))


def pairs(
    videos: int = 12,
    captions: int = 2,
    *,
    dim: int = DIM,
    seed: int = 0,
    noise: float = 0.5,
    turn: float = 0.0,
    frames: int = 12,
) -> PairData:
    """Videos around random centres; each caption lies near its video, all turned the same way by `turn`."""
    rng = np.random.default_rng(seed)
    centres = unit(rng.normal(size=(videos, dim)))
    turned = np.linalg.qr(np.random.default_rng(99).normal(size=(dim, dim)))[0]
    features = tuple(unit(c + 0.1 * rng.normal(size=(frames, dim))).astype(np.float16) for c in centres)
    texts = [
        text(
            f"caption {k} of video {v}",
            centres[v] + turn * centres[v] @ turned + noise * unit(rng.normal(size=dim)),
            rng,
        )
        for v in range(videos)
        for k in range(captions)
    ]
    return PairData(
        tuple(f"v{v}.mp4" for v in range(videos)),
        whole(videos),
        features,
        texts,
        np.repeat(np.arange(videos), captions),
    )


def model(seed: int = 0, **choices: object) -> HCMI:
    torch.manual_seed(seed)
    return HCMI(
        ModelConfig(
            **{
                "dim": DIM,
                "heads": 2,
                "adapter": 8,
                "learned_merge": True,
                "frame_layers": 1,
                "token_weights": True,
                **choices,
            }
        )
    )


def main(folder: Path) -> None:
    """Train to the end from wherever `folder` stands, a line a step; the final weights go to folder/final.bin."""
    torch.set_num_threads(1)
    net = model()
    for step in fit(net, pairs(), TRAIN, validation=pairs(6, 1, seed=3), folder=folder / "states", save_every=2):
        print(step.step, flush=True)
    (folder / "final.bin").write_bytes(b"".join(t.detach().numpy().tobytes() for t in net.state_dict().values()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
