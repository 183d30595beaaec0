"""What the starter takes from ImageNet's class names: where the knowledge part starts, and pictures of classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.training.starter.photos import by_length, text_outputs

TEMPLATES = ("{}", "a {}", "a photo of a {}", "there is a {} .")
RIDGE = 1e-2  # of the least squares from one text tower to another


def class_names() -> list[str]:
    """ImageNet's class names as open_clip spells them, in the order of the classifier."""
    from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

    return list(IMAGENET_CLASSNAMES)


@dataclass(frozen=True)
class ClassTexts:
    """The names of the classes as texts: tokens (templates, 1000, L), and the outputs (templates, 1000, 384) that the
    wheel's text tower and the tower at the start of training give for them."""

    tokens: Tensor
    wheel: Tensor
    start: Tensor

    def drawn(self, chosen: Tensor, generator: torch.Generator) -> Tensor:
        """(n, L) tokens of the names of classes, in one random template."""
        tokens = self.tokens[int(torch.randint(0, len(TEMPLATES), (1,), generator=generator))][chosen]
        return tokens[:, : int((tokens != 0).sum(1).max())]


def class_texts(wheel: Any, start: Any, tokenizer: Any) -> ClassTexts:
    """The names in every template through both text towers."""
    tokens = tokenizer([template.format(name) for template in TEMPLATES for name in class_names()])

    @torch.inference_mode()
    def outputs(model: Any) -> Tensor:
        lengths = (tokens != 0).sum(1).numpy()
        found = by_length(lambda rows: text_outputs(model, tokens[rows, : max(lengths[rows])]), lengths)
        return found.view(len(TEMPLATES), -1, found.shape[1])

    return ClassTexts(tokens.view(len(TEMPLATES), -1, tokens.shape[1]), outputs(wheel), outputs(start))


@dataclass(frozen=True)
class NameSpace:
    """Where the knowledge part starts: names (1000, K) of the classes; a map weight (K, 384), bias (K,) from outputs
    of the text tower; basis (384, K) and mean (384,) of the wheel's vectors that it imitates."""

    names: Tensor
    weight: Tensor
    bias: Tensor
    basis: Tensor
    mean: Tensor

    def wanted(self, wheel: Tensor) -> Tensor:
        """Outputs of the wheel's text tower (n, 384) -> (n, K) unit."""
        return F.normalize((F.normalize(wheel, dim=-1) - self.mean) @ self.basis, dim=-1)


def name_space(classes: ClassTexts, wheel: Tensor, start: Tensor, shares: Tensor, dim: int) -> NameSpace:
    """The K directions in which the class names differ most, centred on the mean text and on the mean photo.

    Args:
        wheel: (C, 384) outputs of the wheel's text tower for the captions of training.
        start: (C, 384) those of the text tower that training begins with.
        classes: what is known of the classes.
        shares: (P, 1000) class shares of the photos of training.
        dim: K.
    """
    both = torch.cat([F.normalize(wheel, dim=-1), F.normalize(classes.wheel.flatten(0, 1), dim=-1)])
    mean = both.mean(0)
    names = F.normalize(F.normalize(classes.wheel, dim=-1).mean(0), dim=-1)
    basis = torch.linalg.svd(names - names.mean(0), full_matrices=False).Vh[:dim].T
    inputs = F.pad(torch.cat([start, classes.start.flatten(0, 1)]), (0, 1), value=1.0)
    gram = inputs.T @ inputs + RIDGE * torch.eye(inputs.shape[1])
    found = torch.linalg.solve(gram, inputs.T @ ((both - mean) @ basis))  # (385, K)
    centre = (shares @ names).mean(0)
    return NameSpace((names - centre) @ basis, found[:-1].T.contiguous(), found[-1], basis, mean)


def class_pictures(mean: Tensor, classifier: Tensor, chosen: Tensor, scale: float) -> Tensor:
    """(n, 1280) classifier rows standing for pictures of their classes: the mean photo moved along the row."""
    rows = classifier[chosen] / classifier.norm(dim=1).mean()
    return mean + scale * rows


def wheel_outputs(model: Any, photos: Any, path: Any) -> Tensor:
    """(C, 384) outputs of the wheel's text tower for all captions of some photos, kept in a file."""
    if not path.exists():
        with torch.inference_mode():
            found = by_length(lambda rows: text_outputs(model, photos.tokens(rows)), photos.lengths)
        np.save(path, found.numpy())
    return torch.from_numpy(np.load(path, allow_pickle=False))
