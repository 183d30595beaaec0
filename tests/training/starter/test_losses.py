"""The starter's losses: labels are no negatives of each other, names stay near, threads give what one thread gives."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F

from explorer.training.starter import losses
from explorer.training.starter.classes import ClassTexts, class_pictures, name_space
from explorer.training.starter.halves import in_pieces
from explorer.training.starter.losses import Drawn


def material(labels: list[int], labelled: list[bool], wheel: torch.Tensor) -> SimpleNamespace:
    train = SimpleNamespace(labels=np.array(labels), labelled=np.array(labelled))
    return SimpleNamespace(train=train, wheel=wheel)


def test_photos_of_one_label_are_right_for_each_other_and_like_texts_are_no_negatives() -> None:
    dog, dogs, bus = torch.tensor([1.0, 0.0]), torch.tensor([0.9, 0.1]), torch.tensor([0.0, 1.0])
    given = material([0, 0, 1, 2], [True, True, False, False], torch.stack([dog, dog, dogs, bus]))
    rows = np.arange(4)
    positives, ignored = losses.relations(given, Drawn(rows, rows), 0.6)
    assert positives.int().tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert ignored.int().tolist() == [[0, 0, 1, 0], [0, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]]


def test_two_captions_by_people_stay_negatives_however_alike() -> None:
    given = material([0, 1], [False, False], torch.ones(2, 3))
    positives, ignored = losses.relations(given, Drawn(np.arange(2), np.arange(2)), 0.6)
    assert torch.equal(positives, torch.eye(2, dtype=torch.bool)) and not ignored.any()


def test_an_ignored_pair_costs_nothing() -> None:
    similarity = torch.tensor([[0.5, 0.9], [0.9, 0.5]])
    right, near = torch.eye(2, dtype=torch.bool), ~torch.eye(2, dtype=torch.bool)
    scale = torch.tensor(50.0)
    assert losses.contrast(similarity, scale, right, near) < 1e-6
    assert losses.contrast(similarity, scale, right, torch.zeros(2, 2, dtype=torch.bool)) > 10


def test_a_show_is_right_where_any_of_its_photos_is() -> None:
    table = torch.tensor([[True, False, False, False], [False, False, False, True]])
    assert losses._any_photo(table, 2).int().tolist() == [[1, 1, 0, 0], [0, 0, 1, 1]]


def test_the_names_start_where_the_wheels_texts_are() -> None:
    generator = torch.Generator().manual_seed(0)
    names = torch.randn(1, 120, 48, generator=generator)
    texts = torch.randn(900, 48, generator=generator)
    classes = ClassTexts(torch.ones(1, 120, 3, dtype=torch.int64), names, names)
    shares = F.one_hot(torch.arange(60), 120).float()
    space = name_space(classes, texts, texts, shares, 24)
    assert space.names.shape == (120, 24) and space.weight.shape == (24, 48) and space.bias.shape == (24,)
    torch.testing.assert_close((shares @ space.names).mean(0), torch.zeros(24), atol=1e-5, rtol=0)  # centred on photos
    found = F.normalize(
        F.linear(F.normalize(names[0], dim=-1) * names.norm(dim=-1).mean(), space.weight, space.bias), dim=-1
    )
    assert (found * space.wanted(names[0])).sum(-1).mean() > 0.95  # the map says what the wheel's tower says


def test_a_picture_of_a_class_lies_along_its_row() -> None:
    rows = torch.eye(4, 6)
    pictures = class_pictures(torch.zeros(6), rows, torch.tensor([2, 0]), 10.0)
    assert torch.equal(pictures, 10 * rows[[2, 0]])


def test_threads_give_the_outputs_and_gradients_of_one_thread() -> None:
    torch.manual_seed(0)
    layer = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
    learned, x = list(layer.parameters()), torch.randn(12, 8)
    wanted = layer(x)
    wanted.square().sum().backward()
    gradients = [parameter.grad.clone() for parameter in learned]
    layer.zero_grad()
    found = torch.cat(in_pieces(layer, x.split(5), learned))
    found.square().sum().backward()
    torch.testing.assert_close(found, wanted, atol=0.05, rtol=0.05)  # in half precision
    for parameter, gradient in zip(learned, gradients):
        assert F.cosine_similarity(parameter.grad.flatten(), gradient.flatten(), dim=0) > 0.995
