"""Training: it learns, stops on NaN with the batch named, goes on bit by bit after a kill, and is one over two ranks."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing as multiprocessing

from explorer.config import ModelConfig, TrainConfig
from explorer.model.hgr import HGR
from explorer.records import ExplorerError
from explorer.training.dataset import draw
from explorer.training.objective import losses
from explorer.training.parallel import average_gradients, share
from explorer.training.state import load_state
from explorer.training.train import fit, learning_rate, validate
from tests.support.synthetic import DIM, TRAIN, main, model, pairs

ROOT = Path(__file__).resolve().parents[2]


def weights(net: torch.nn.Module) -> bytes:
    return b"".join(value.detach().numpy().tobytes() for value in net.state_dict().values())


def test_training_finds_what_the_tower_does_not_know() -> None:
    # Captions lie where their videos would after one turn of the space, which a residual can learn.
    data = pairs(60, 3, turn=1.0, noise=0.3)
    train, held = data.take(np.arange(0, 180, 3)), data.take(np.arange(1, 180, 3))
    net = model(adapter=64)
    before = validate(net, held)
    steps = list(fit(net, train, TrainConfig(epochs=15, batch_size=30, lr=2e-3), validation=held))
    after = validate(net, held)
    assert after["rsum"] > before["rsum"] + 20 and after["rsum"] == pytest.approx(steps[-1].metrics["best_rsum"])
    assert after["text_to_video"]["mean_pool"] == before["text_to_video"]["mean_pool"]
    assert [s.step for s in steps] == list(range(1, len(steps) + 1)) and steps[-1].steps == len(steps) == 30
    assert (
        steps[-1].eta == 0
        and steps[0].lr > 0
        and {"loss", "marginal", "contrastive_frame_word"} <= set(steps[0].losses)
    )


def test_the_result_is_never_below_the_start_on_validation() -> None:
    data, held = pairs(8, 1, noise=3.0, seed=1), pairs(12, 1, noise=0.2, seed=2)
    net = model()
    before = validate(net, held)["rsum"]
    list(fit(net, data, TrainConfig(epochs=3, batch_size=8, lr=0.1), validation=held))
    assert validate(net, held)["rsum"] >= before


def test_learning_rate_rises_then_falls_to_nothing() -> None:
    rates = [learning_rate(s, 100, peak=1.0, warmup=0.1) for s in range(101)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == rates[9] == 1.0 and rates[100] == pytest.approx(0.0)
    assert all(a >= b for a, b in zip(rates[10:], rates[11:], strict=False))


def test_nan_stops_with_the_batch_named_and_good_weights_kept() -> None:
    data = pairs(6, 1)
    broken = tuple(f * np.float16("nan") if v == 3 else f for v, f in enumerate(data.frames))
    net = model()
    before = weights(net)
    with pytest.raises(ExplorerError, match="epoch 1, batch 1.*loss is not a finite.*caption 0 of video 3"):
        list(fit(net, replace(data, frames=broken), TrainConfig(epochs=1, batch_size=6)))
    assert weights(net) == before


def test_too_little_to_train_on_is_said() -> None:
    with pytest.raises(ExplorerError, match="1 caption is too few"):
        list(fit(model(), pairs(1, 1), TRAIN))


def test_a_frozen_model_is_refused() -> None:
    with pytest.raises(ValueError, match="no weight to train"):
        list(fit(model().requires_grad_(False), pairs(), TRAIN))


def test_going_on_is_the_same_as_never_stopping(tmp_path: Path) -> None:
    whole, broken, again = model(), model(), model(seed=9)
    list(fit(whole, pairs(), TRAIN, folder=tmp_path / "a", save_every=2))
    for step in fit(broken, pairs(), TRAIN, folder=tmp_path / "b", save_every=2):
        if step.step == 7:
            break
    steps = list(fit(again, pairs(), TRAIN, folder=tmp_path / "b", save_every=2))
    assert steps[0].step == 7 and weights(again) == weights(whole)  # from the state of step 6


def test_another_run_does_not_take_the_folder_over(tmp_path: Path) -> None:
    next(fit(model(), pairs(), TRAIN, folder=tmp_path, save_every=1))
    with pytest.raises(ExplorerError, match="other settings or data"):
        next(fit(model(), pairs(), replace(TRAIN, lr=1e-2), folder=tmp_path))
    with pytest.raises(ExplorerError, match="other settings or data"):
        next(fit(model(), pairs(seed=1), TRAIN, folder=tmp_path))


def test_a_flipped_bit_falls_back_to_the_state_before(tmp_path: Path) -> None:
    for step in fit(model(), pairs(), TRAIN, folder=tmp_path, save_every=1):
        if step.step == 3:
            break
    newest = max(tmp_path.glob("*.safetensors"))
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    run = load_run(tmp_path)
    assert run == 2
    for manifest in tmp_path.glob("*.json"):
        manifest.write_text("{")
    with pytest.raises(ExplorerError, match="no saved state .* is whole"):
        load_run(tmp_path)


def load_run(folder: Path) -> int:
    from explorer.training.train import identity

    return load_state(folder, run=identity(model(), pairs(), TRAIN))[1].step


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_kill_nine_at_random_steps_changes_nothing(tmp_path: Path) -> None:
    main(tmp_path / "unbroken" if (tmp_path / "unbroken").mkdir() is None else tmp_path)
    (tmp_path / "killed").mkdir()
    rng = random.Random(3)
    for _ in range(3):
        run_and_kill(tmp_path / "killed", lines=rng.randrange(1, 4), delay=rng.random() * 0.02)
    run_and_kill(tmp_path / "killed", lines=None, delay=0.0)
    assert (tmp_path / "killed/final.bin").read_bytes() == (tmp_path / "unbroken/final.bin").read_bytes()


def run_and_kill(folder: Path, *, lines: int | None, delay: float) -> None:
    """Start the real process; kill it `delay` seconds after it printed so many steps, or let it end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.synthetic", str(folder)],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    if lines is not None:
        for _ in range(lines):
            process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == (0 if lines is None else -signal.SIGKILL)


# ---- several ranks


def global_batch():
    return draw(pairs(7, 1), np.arange(7), frames=6, views=2, rng=np.random.default_rng(0))


def loss_and_gradient(net: torch.nn.Module) -> tuple[float, torch.Tensor]:
    named = losses(net, global_batch(), TrainConfig())
    named["loss"].backward()
    average_gradients(net)
    return float(named["loss"]), torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])


def stirred() -> torch.nn.Module:
    """A model whose every weight matters."""
    net = model()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    return net


def rank_main(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    assert len(share(7)) == (4, 3)[rank]
    loss, gradient = loss_and_gradient(stirred())
    np.savez(f"{folder}/{rank}.npz", loss=loss, gradient=gradient.numpy())
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed")
def test_two_ranks_give_the_loss_and_gradient_of_one(tmp_path: Path) -> None:
    alone, gradient = loss_and_gradient(stirred())
    multiprocessing.spawn(rank_main, args=(str(tmp_path),), nprocs=2, join=True)
    for rank in range(2):
        with np.load(tmp_path / f"{rank}.npz") as found:
            assert float(found["loss"]) == pytest.approx(alone, rel=1e-5), rank
            assert np.allclose(found["gradient"], gradient.numpy(), rtol=1e-3, atol=1e-6), rank


def steps_and_weights() -> tuple[list[float], np.ndarray]:
    """The losses and the end of an epoch over 8 texts in batches of 3, 3 and 2: fewer than three ranks."""
    net = stirred()
    found = [step.losses["loss"] for step in fit(net, pairs(8, 1), TrainConfig(epochs=1, batch_size=3, lr=1e-3))]
    return found, torch.cat([value.flatten().double() for value in net.state_dict().values()]).numpy()


def pair_gradient() -> torch.Tensor:
    """The gradient of a batch of two."""
    net = stirred()
    two = draw(pairs(7, 1), np.arange(2), frames=6, views=2, rng=np.random.default_rng(0))
    losses(net, two, TrainConfig())["loss"].backward()
    average_gradients(net)
    return torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])


def rank_of_three(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=3, timeout=timedelta(seconds=60)
    )
    assert len(share(2)) == 1
    found, weights = steps_and_weights()
    np.savez(f"{folder}/{rank}.npz", losses=found, weights=weights, gradient=pair_gradient().numpy())
    only_first = torch.nn.Linear(2, 1)  # a part that one rank's items need, and the others' do not
    torch.nn.init.ones_(only_first.weight)
    if rank == 0:
        only_first(torch.ones(1, 2)).sum().backward()
    average_gradients(only_first)
    assert torch.allclose(only_first.weight.grad, torch.full((1, 2), 1 / 3))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed")
def test_three_ranks_with_a_last_batch_of_two_neither_hang_nor_differ(tmp_path: Path) -> None:
    wanted, alone = steps_and_weights()
    gradient = pair_gradient().numpy()
    multiprocessing.spawn(rank_of_three, args=(str(tmp_path),), nprocs=3, join=True)
    for rank in range(3):
        with np.load(tmp_path / f"{rank}.npz") as found:
            assert found["losses"] == pytest.approx(wanted, rel=1e-4), rank
            assert np.allclose(found["gradient"], gradient, rtol=1e-3, atol=1e-6), rank
            # Adam divides small gradients by themselves, so the last bits of a few weights are those of the sum's order
            assert np.linalg.norm(found["weights"] - alone) < 1e-3 * np.linalg.norm(alone), rank


def test_hgr_trains_by_the_same_call() -> None:
    torch.manual_seed(0)
    data = pairs(10, 2, turn=0.6, noise=0.3)
    net = HGR(ModelConfig(model="hgr", dim=DIM))
    steps = list(fit(net, data, TrainConfig(epochs=6, batch_size=10, lr=1e-3), validation=data))
    assert set(steps[0].losses) == {"hinge", "loss"} and steps[-1].losses["loss"] < steps[0].losses["loss"]
