"""Clustering against an obvious loop, aggregation by hand, and modules that change nothing until they are trained."""

from __future__ import annotations

import math
import time

import pytest
import torch

from explorer.config import ModelConfig
from explorer.model.hierarchy import (
    Adapter,
    Attention,
    AttentionAggregator,
    DensityAggregator,
    FrameAttention,
    ZeroLinear,
    dpc_knn,
    make_aggregator,
    masked_mean,
    unit,
)


def config(**fields: object) -> ModelConfig:
    return ModelConfig(**{"dim": 8, "heads": 2, **fields})  # type: ignore[arg-type]


def slow_clusters(tokens: torch.Tensor, n_out: int) -> list[int]:
    """The definition, token by token, in plain Python: the centre each token goes to, as a slot in order of time."""
    points = tokens.double().tolist()
    count, width = len(points), len(points[0])
    squared = [[round(sum((a - b) ** 2 for a, b in zip(p, q)), 5) / width for q in points] for p in points]
    density = []
    for row in squared:
        nearest = sorted(row)[:3]
        density.append(math.exp(-sum(nearest) / len(nearest)))
    score = []
    for i in range(count):
        denser = [
            squared[i][j] for j in range(count) if density[j] > density[i] or (density[j] == density[i] and j < i)
        ]
        delta = min(denser) if denser else max(max(row) for row in squared)
        score.append(density[i] * math.sqrt(delta))
    centres = sorted(sorted(range(count), key=lambda i: (-score[i], i))[:n_out])
    return [min(range(len(centres)), key=lambda c: (squared[i][centres[c]], c)) for i in range(count)]


def test_clusters_by_hand() -> None:
    """Two groups on a line, tokens 0-2 near 0 and 3-5 near 10: each group is one clip."""
    tokens = torch.tensor([[[0.0], [0.1], [0.2], [10.0], [10.1], [10.2]]])
    members = dpc_knn(tokens, torch.ones(1, 6, dtype=torch.bool), 2)
    assert members[0].int().tolist() == [[1, 0]] * 3 + [[0, 1]] * 3


def test_clusters_equal_the_loop_with_padding_and_repeats() -> None:
    generator = torch.Generator().manual_seed(0)
    counts = torch.randint(1, 13, (200,), generator=generator)
    tokens = unit(torch.randn(200, 12, 16, generator=generator))
    tokens[::3, 4:8] = tokens[::3, 3:4]  # still stretches
    tokens[::5] = tokens[::5, :1]  # still videos
    mask = torch.arange(12) < counts[:, None]
    tokens = torch.where(mask[:, :, None], tokens, torch.randn(200, 12, 16, generator=generator))  # noise as padding
    members = dpc_knn(tokens, mask, 4)
    for row, count in enumerate(counts.tolist()):
        assert not members[row, count:].any()
        assert members[row, :count].int().argmax(1).tolist() == slow_clusters(tokens[row, :count], 4)
        assert (members[row, :count].sum(1) == 1).all()


def test_clusters_do_not_depend_on_the_batch_or_its_padding() -> None:
    tokens = unit(torch.randn(9, 7, 32, generator=torch.Generator().manual_seed(1)))
    mask = torch.ones(9, 7, dtype=torch.bool)
    together = dpc_knn(tokens, mask, 3)
    wider = torch.cat([tokens, torch.zeros(9, 5, 32)], 1)
    padded = dpc_knn(wider, torch.arange(12).expand(9, 12) < 7, 3)
    alone = torch.cat([dpc_knn(row[None], mask[:1], 3) for row in tokens])
    assert torch.equal(together, alone) and torch.equal(together, padded[:, :7])


def test_fewer_tokens_than_outputs_leave_outputs_masked() -> None:
    tokens = torch.eye(8)[None, :2]
    for kind in ("dpc_knn", "attention"):
        aggregate = make_aggregator(config(aggregator=kind), 4)(tokens, torch.ones(1, 2, dtype=torch.bool))
        assert aggregate.mask.tolist() == [[True, True, False, False]]
        assert aggregate.tokens.shape == (1, 4, 8) and not aggregate.tokens[:, 2:].any()
        assert aggregate.assignment.shape == (1, 2, 4) and not aggregate.assignment[:, :, 2:].any()


def test_a_still_scene_is_one_clip() -> None:
    aggregate = DensityAggregator(config(), 4)(torch.eye(8)[:1].expand(1, 12, 8), torch.ones(1, 12, dtype=torch.bool))
    assert aggregate.mask.tolist() == [[True, False, False, False]]
    assert torch.allclose(aggregate.tokens[0, 0], torch.eye(8)[0])


def test_plain_merge_is_the_mean_of_the_members() -> None:
    tokens = torch.zeros(1, 5, 8)
    tokens[0, :3, 0] = torch.tensor([1.0, 1.1, 0.9])
    tokens[0, 3:, 1] = torch.tensor([1.0, 0.9])
    aggregate = DensityAggregator(config(), 2)(tokens, torch.ones(1, 5, dtype=torch.bool))
    assert torch.allclose(aggregate.assignment[0], torch.tensor([[1 / 3, 0]] * 3 + [[0, 1 / 2]] * 2))
    assert torch.allclose(aggregate.tokens[0, :, :2], torch.tensor([[1.0, 0.0], [0.0, 0.95]]))


def test_learned_merge_starts_as_the_plain_mean_and_learns() -> None:
    tokens = unit(torch.randn(6, 12, 8, generator=torch.Generator().manual_seed(2)))
    mask = torch.arange(12) < torch.tensor([12, 12, 5, 1, 8, 3])[:, None]
    plain = DensityAggregator(config(), 4)(tokens, mask)
    learned = DensityAggregator(config(learned_merge=True), 4)
    start = learned(tokens, mask)
    assert torch.allclose(start.tokens, plain.tokens, atol=1e-6)
    assert torch.allclose(start.assignment, plain.assignment, atol=1e-6)
    assert torch.equal(start.mask, plain.mask)
    start.tokens.square().sum().backward()
    assert learned.score.weight.grad is not None and learned.score.weight.grad.abs().sum() > 0
    assert learned.cross.out.weight.grad is not None and learned.cross.out.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("fields", [{"learned_merge": True}, {"aggregator": "attention"}])
def test_assignment_columns_are_shares_and_padding_has_none(fields: dict[str, object]) -> None:
    torch.manual_seed(3)
    aggregator = make_aggregator(config(**fields), 3)
    for parameter in aggregator.parameters():
        torch.nn.init.normal_(parameter, std=0.3)  # as if trained
    tokens = torch.randn(5, 6, 8)
    mask = torch.arange(6) < torch.tensor([6, 4, 3, 2, 1])[:, None]
    out = aggregator(tokens, mask)
    assert torch.allclose(out.assignment.sum(1), out.mask.float(), atol=1e-6)
    assert not out.assignment[~mask].any() and not out.tokens[~out.mask].any()
    noisy = torch.where(mask[:, :, None], tokens, 99.0)
    assert torch.allclose(aggregator(noisy, mask).tokens, out.tokens, atol=1e-5)  # padding is never seen


def test_attention_by_hand() -> None:
    """With a constant key every real token gets the same attention: the output is the mean of the real values."""
    attention = Attention(8, 2)
    torch.nn.init.zeros_(attention.key_value.weight[:8])
    torch.nn.init.zeros_(attention.key_value.bias[:8])
    with torch.no_grad():
        attention.key_value.weight[8:] = torch.eye(8)
        attention.key_value.bias[8:] = 0
        attention.out.weight.copy_(torch.eye(8))
        attention.out.bias.zero_()
    x = torch.randn(1, 4, 8)
    mask = torch.tensor([[True, True, True, False]])
    assert torch.allclose(attention(x, x, mask), x[:, :3].mean(1, keepdim=True).expand(1, 4, 8), atol=1e-6)
    with pytest.raises(ValueError, match="heads must divide"):
        Attention(8, 3)


def test_attention_aggregator_starts_as_a_weighted_mean() -> None:
    aggregator = AttentionAggregator(config(), 2)
    tokens, mask = torch.randn(3, 6, 8), torch.ones(3, 6, dtype=torch.bool)
    out = aggregator(tokens, mask)
    assert torch.allclose(out.tokens, out.assignment.transpose(1, 2) @ tokens, atol=1e-6)


def test_frame_attention_and_adapter_change_nothing_at_the_start_but_learn() -> None:
    frames, mask = unit(torch.randn(3, 7, 8)), torch.ones(3, 7, dtype=torch.bool)
    attention, adapter = FrameAttention(config(frame_layers=2, positions=5)), Adapter(8, 4)
    assert torch.equal(attention(frames, mask), frames) and torch.equal(adapter(frames), frames)
    for module, out in ((attention, attention.out), (adapter, adapter.layers[-1])):
        values = module(frames, mask) if module is attention else module(frames)
        (values * torch.randn_like(values)).sum().backward()
        assert isinstance(out, ZeroLinear) and out.weight.grad is not None and out.weight.grad.abs().sum() > 0


def test_trained_frame_attention_knows_order_and_ignores_padding() -> None:
    torch.manual_seed(4)
    attention = FrameAttention(config(frame_layers=1))
    torch.nn.init.normal_(attention.out.weight)
    torch.nn.init.normal_(attention.positions)
    frames, mask = unit(torch.randn(1, 6, 8)), torch.ones(1, 6, dtype=torch.bool)
    out = attention(frames, mask)
    backwards = attention(frames.flip(1), mask).flip(1)
    assert (out - backwards).abs().max() > 1e-3
    longer = torch.cat([frames, torch.randn(1, 3, 8)], 1)
    assert torch.allclose(attention(longer, torch.arange(9)[None] < 6)[:, :6], out, atol=1e-5)


def test_masked_mean_counts_real_positions_only() -> None:
    tokens = torch.tensor([[[1.0], [3.0], [99.0]]])
    assert masked_mean(tokens, torch.tensor([[True, True, False]])).item() == 2.0
    with pytest.raises(ValueError, match="real position"):
        masked_mean(tokens, torch.zeros(1, 3, dtype=torch.bool))


def test_clustering_is_many_times_as_quick_as_the_loop() -> None:
    """A ratio in one run of processor time, so that a busy machine does not matter."""
    tokens = unit(torch.randn(64, 12, 512, generator=torch.Generator().manual_seed(5)))
    mask = torch.ones(64, 12, dtype=torch.bool)
    start = time.process_time()
    DensityAggregator(ModelConfig(), 4)(tokens, mask)
    together = time.process_time() - start
    start = time.process_time()
    for row in tokens:
        slow_clusters(row, 4)
    assert time.process_time() - start > 4 * together
