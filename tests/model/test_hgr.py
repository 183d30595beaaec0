"""HGR: the matching by hand, the untrained start as the tower itself, and what training may change."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from explorer.config import ModelConfig
from explorer.language.phrases import graph, words
from explorer.language.role_graph import RoleGraph
from explorer.model.hgr import HGR, HGR_LEVELS, GraphLayer, attended_similarity, span_max
from explorer.model.hgr_text import SLOTS, align, collate_graphs, slots
from explorer.model.losses import hinge
from explorer.records import LEVELS, LevelWeights, Phrase, TextFeatures
from tests.support.frames import collate_frames

DIM = 16
TEXTS = (
    "a man in a red hat is jumping over the fence",
    "two dogs run and jump in the snow",
    "sunset",
    "a boy gives a flower to a girl while a woman sings",
    "people",
)


def unit_rows(rng: np.random.Generator, count: int, dim: int = DIM) -> np.ndarray:
    rows = rng.standard_normal((count, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def features(text: str, seed: int = 0, *, spans: tuple[Phrase, ...] = ()) -> TextFeatures:
    rng = np.random.default_rng(seed)
    found = words(text)
    phrases = unit_rows(rng, len(spans)) if spans else np.zeros((0, DIM), np.float32)
    return TextFeatures(
        text, unit_rows(rng, 1)[0], unit_rows(rng, len(found)), tuple(w.text for w in found), phrases, spans
    )


def videos(seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    return collate_frames([unit_rows(rng, count) for count in (5, 3, 1)])


def model(**changes: object) -> HGR:
    torch.manual_seed(0)
    return HGR(ModelConfig(model="hgr", dim=DIM, **changes)).eval()  # type: ignore[arg-type]


def slow_score(node: np.ndarray, frames: np.ndarray) -> float:
    """The score of one node and one video, written as the paper's code does it."""
    cosines = frames @ node
    positive = np.maximum(cosines, 0)
    logits = 4 * positive / max(math.sqrt((positive**2).sum()), 1e-6)
    shares = np.exp(logits) / np.exp(logits).sum()
    mix = shares @ frames
    return float(mix @ node / np.linalg.norm(mix))


def test_matching_by_hand() -> None:
    # Node e0, frames e0 and e1: relu cosines (1, 0), shares softmax(4, 0), score s / sqrt(s^2 + (1 - s)^2).
    share = math.exp(4) / (math.exp(4) + 1)
    nodes, frames = torch.eye(2)[None, :1], torch.eye(2)[None]
    got = attended_similarity(nodes, frames, torch.ones(1, 2, dtype=torch.bool))
    assert got.item() == pytest.approx(share / math.hypot(share, 1 - share), abs=1e-6)


def test_matching_agrees_with_the_obvious_loop_in_any_budget() -> None:
    rng = np.random.default_rng(3)
    nodes = torch.from_numpy(unit_rows(rng, 12).reshape(4, 3, DIM))
    frames, mask = videos()
    want = [[[slow_score(n.numpy(), f[m].numpy()) for f, m in zip(frames, mask)] for n in row] for row in nodes]
    for budget in (1, 100, 1 << 20):
        got = attended_similarity(nodes, frames, mask, budget=budget)
        np.testing.assert_allclose(got.numpy(), want, atol=1e-5)


def test_matching_with_every_cosine_negative_is_a_plain_mean_and_has_a_gradient() -> None:
    frames = torch.eye(2)[None].requires_grad_()
    node = torch.tensor([[[-1.0, 0.0]]], requires_grad=True)
    score = attended_similarity(node, frames, torch.ones(1, 2, dtype=torch.bool))
    score.sum().backward()
    assert score.item() == pytest.approx(-1 / math.sqrt(2), abs=1e-6)  # mix (1/2, 1/2)
    assert torch.isfinite(node.grad).all() and torch.isfinite(frames.grad).all()


def test_span_max() -> None:
    tokens = torch.tensor([[[1.0, -5.0], [-2.0, -3.0], [9.0, 9.0]]])
    holds = torch.tensor([[[True, True, False], [False, False, False]]])
    assert span_max(tokens, holds).tolist() == [[[1.0, -3.0], [0.0, 0.0]]]


@pytest.mark.parametrize("residual", [True, False])
def test_a_node_without_neighbours_gets_no_message(residual: bool) -> None:
    torch.manual_seed(0)
    layer = GraphLayer(DIM, residual=residual).eval()
    torch.nn.init.normal_(layer.out.weight)
    nodes = torch.randn(1, 3, DIM)
    hears = torch.zeros(1, 3, 3, dtype=torch.bool)
    hears[0, 0, 1] = True
    out = layer(nodes, hears)
    alone = layer.after(nodes)
    assert torch.equal(out[0, 1:], alone[0, 1:])
    assert not torch.allclose(out[0, 0], alone[0, 0])


def test_a_message_from_one_neighbour_by_hand() -> None:
    layer = GraphLayer(2, residual=False).eval()
    with torch.no_grad():
        layer.out.weight.copy_(torch.eye(2))
    nodes = torch.tensor([[[1.0, 0.0], [0.0, 3.0]]])
    hears = torch.tensor([[[False, True], [False, False]]])
    want = torch.nn.functional.layer_norm(torch.tensor([1.0, 3.0]), (2,))  # its own plus the only neighbour's
    torch.testing.assert_close(layer(nodes, hears)[0, 0], want)


@pytest.mark.parametrize("recurrent", [False, True])
def test_untrained_residual_event_is_the_tower_mean_pool(recurrent: bool) -> None:
    texts = [features(text, seed) for seed, text in enumerate(TEXTS)]
    frames, mask = videos()
    net = model(recurrent_text=recurrent)
    got = net.similarity(net.encode_text(collate_graphs(texts, net.config)), net.encode_video(frames, mask))["event"]
    pooled = torch.stack([torch.nn.functional.normalize(f[m].mean(0), dim=0) for f, m in zip(frames, mask)])
    want = torch.from_numpy(np.stack([t.sentence for t in texts])) @ pooled.T
    torch.testing.assert_close(got, want, atol=1e-6, rtol=0)


def test_levels_by_either_name_and_total_is_their_weighted_mean() -> None:
    net, (frames, mask) = model(), videos()
    text = net.encode_text(collate_graphs([features(t) for t in TEXTS], net.config))
    scores = net.similarity(text, net.encode_video(frames, mask), LevelWeights(2, 1, 1))
    for own, shared in zip(HGR_LEVELS, LEVELS):
        assert torch.equal(scores[own], scores[shared])
    torch.testing.assert_close(scores["total"], (2 * scores["event"] + scores["action"] + scores["entity"]) / 4)
    assert scores["action"][2].abs().max() == 0 and scores["entity"][2].abs().max() > 0  # "sunset" has no verb


def test_level_score_is_the_mean_over_the_nodes_that_are_there() -> None:
    net, (frames, mask) = model(), videos()
    text = net.encode_text(collate_graphs([features("two dogs run and jump in the snow")], net.config))
    video = net.encode_video(frames, mask)
    nodes = net.node_scores(text, video)
    torch.testing.assert_close(net.similarity(text, video)["action"][0], nodes[0, 1:3].mean(0))
    assert nodes[0, 3:5].abs().max() == 0


def test_a_persons_weight_switches_a_node_off() -> None:
    text = "a man in a red hat is jumping over the fence"
    spans = (Phrase("man", 2, 5), Phrase("red hat", 11, 18, 0.0), Phrase("jumping over the fence", 22, 44, 3.0))
    net = model()
    shares = net.encode_text(collate_graphs([features(text, spans=spans)], net.config)).word_weights[0]
    torch.testing.assert_close(shares[:3], torch.tensor([0.25, 0.0, 0.75]))  # man, red hat, fence


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"residual": False},
        {"graph_layers": 2},
        {"recurrent_text": True},
        {"residual": False, "recurrent_text": True, "graph_layers": 2},
    ],
)
def test_padding_and_company_change_nothing(changes: dict[str, object]) -> None:
    net, (frames, mask) = model(**changes), videos()
    texts = [features(text, seed) for seed, text in enumerate(TEXTS)]
    together = net.similarity(net.encode_text(collate_graphs(texts, net.config)), net.encode_video(frames, mask))[
        "total"
    ]
    for row, text in enumerate(texts):
        for column in range(len(frames)):
            alone = net.similarity(
                net.encode_text(collate_graphs([text], net.config)),
                net.encode_video(*collate_frames([frames[column][mask[column]].numpy()])),
            )["total"]
            assert alone.item() == pytest.approx(together[row, column].item(), abs=1e-5)
    assert torch.isfinite(together).all()


@pytest.mark.parametrize(
    "changes", [{}, {"residual": False}, {"recurrent_text": True}, {"residual": False, "recurrent_text": True}]
)
def test_training_on_the_hinge_moves_every_weight_and_learns_the_pairs(changes: dict[str, object]) -> None:
    net = model(**changes).train()
    rng = np.random.default_rng(5)
    texts = [features(text, seed) for seed, text in enumerate(TEXTS)]
    batch = collate_graphs(texts, net.config)
    frames, mask = collate_frames([unit_rows(rng, 4) for _ in texts])
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
    touched: set[str] = set()
    losses = []
    for _ in range(40):
        total = net.similarity(net.encode_text(batch), net.encode_video(frames, mask))["total"]
        loss = hinge(total, torch.eye(len(texts), dtype=torch.bool), 0.2)
        optimiser.zero_grad()
        loss.backward()
        touched |= {name for name, p in net.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
        losses.append(loss.item())
        optimiser.step()
    assert losses[-1] < 0.3 * losses[0]
    # The untouched: two biases that a softmax cannot see, and queries, keys where every node has one neighbour.
    assert {name for name, _ in net.named_parameters()} - touched <= {
        "text.event_weights.3.bias",
        "frame_weights.3.bias",
    }


def test_a_held_event_stays_the_tower_while_the_nodes_learn() -> None:
    net = model().train()
    net.hold_event()
    texts = [features(text, seed) for seed, text in enumerate(TEXTS)]
    batch, (frames, mask) = collate_graphs(texts, net.config), videos()
    before = net.similarity(net.encode_text(batch), net.encode_video(frames, mask))
    optimiser = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=1e-2)
    (1 - before["total"]).square().mean().backward()
    optimiser.step()
    after = net.eval().similarity(net.encode_text(batch), net.encode_video(frames, mask))
    assert torch.equal(before["event"], after["event"])
    assert (before["entity"] - after["entity"]).abs().max() > 1e-3 and (
        before["action"] - after["action"]
    ).abs().max() > 1e-3


def test_swapped_roles_have_another_graph_vector_once_roles_differ() -> None:
    net = model()
    with torch.no_grad():
        net.text.roles.copy_(torch.randn_like(net.text.roles))
    one = features("a boy kicks a girl")
    order = [2, 1, 0]
    other = TextFeatures(
        "a girl kicks a boy", one.sentence, one.words[order], tuple(one.word_texts[i] for i in order), one.phrases
    )
    text = net.encode_text(collate_graphs([one, other], net.config))
    assert not torch.allclose(text.words[0, 0], text.words[1, 1])  # the boy, doing and undergoing


def test_explain_gives_cosines_of_real_nodes_and_frames() -> None:
    net, (frames, mask) = model(), videos()
    one = features("a man in a red hat is jumping over the fence")
    text = net.encode_text(collate_graphs([one], net.config))
    table = net.explain(text, frames[1:2], mask[1:2])
    assert table.shape == (SLOTS, frames.shape[1])
    assert slots(graph(one.text)) == [0, 1, 5, 6, 7]
    assert torch.isfinite(table[slots(graph(one.text)), :3]).all()
    assert table[2].isnan().all() and table[:, 3:].isnan().all()
    torch.testing.assert_close(table[0, :3], frames[1, :3] @ torch.from_numpy(one.sentence))


def test_align_finds_pieces_and_marks_what_is_not_there() -> None:
    assert align("a dog's dog", ["dog", "dog", "cat"]) == [(2, 5), (8, 11), (0, 0)]
    assert align("İstanbul at night", ["night"]) == [(12, 17)]
    assert align("that hat", ["hat"]) == [(5, 8)] and align("上海的猫", ["猫"]) == [(3, 4)]


def test_a_text_without_words_keeps_its_event() -> None:
    none = TextFeatures(
        "!!!",
        unit_rows(np.random.default_rng(0), 1)[0],
        np.zeros((0, DIM), np.float32),
        (),
        np.zeros((0, DIM), np.float32),
    )
    net, (frames, mask) = model(), videos()
    scores = net.similarity(net.encode_text(collate_graphs([none], net.config)), net.encode_video(frames, mask))
    assert (
        scores["event"].abs().max() > 0 and scores["action"].abs().max() == 0 and torch.isfinite(scores["total"]).all()
    )


def test_refusals() -> None:
    net, (frames, mask) = model(), videos()
    with pytest.raises(ValueError, match="width 7"):
        net.encode_video(frames[:, :, :7], mask)
    with pytest.raises(ValueError, match="real position"):
        net.encode_video(frames, torch.zeros_like(mask))
    with pytest.raises(ValueError, match="1 graphs for 2 texts"):
        collate_graphs([features("a dog"), features("a cat")], net.config, graphs=[RoleGraph("a dog", (), ())])
