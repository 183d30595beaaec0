"""Towers learn with the hierarchy: exact gradients in bounded memory, a tower of a new name, and only where it is better."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from explorer.config import ModelConfig, Settings, TrainConfig
from explorer.language import phrases as parser
from explorer.model.batch import TextBatch
from explorer.model.hcmi import HCMI
from explorer.model.towers.load import load_tower
from explorer.model.towers.tower import Tower, split_trained
from explorer.records import CaptionPair, ExplorerError, FrameSize, Phrase, TrainStep
from explorer.service import Explorer, material
from explorer.service.fine_tune import save_model
from explorer.service.requests import FineTuneRequest, TowerRequest, TrainRequest
from explorer.training.captions import read_captions
from explorer.training.objective import from_levels
from explorer.training.towers.gradients import gradients
from explorer.training.towers.joint import Joint, own_tower, thaw
from explorer.training.towers.pixels import PixelData, pixel_data
from explorer.training.towers.unfrozen import Unfrozen, fit_unfrozen
from tests.support.tiny_clip import DIM, SIZE, make
from tests.support.videos import Recipe, coloured

CAPTIONS = [
    "a red car",
    "a green field",
    "two blue boats. One red flag",
    "a white wall",
    "a black cat",
    "one yellow bus",
    "a purple hat",
    "an old stone",
]
SMALL = Recipe(fps=5, width=64, height=64, gop=5)


@pytest.fixture(scope="module")
def name(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make(tmp_path_factory.mktemp("towers"))


def drawn(videos: int = 8, frames: int = 3) -> PixelData:
    """Videos of noise around a colour of their own; the last one is a single frame."""
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (videos, 1, 1, 1, 3))
    pixels = np.clip(colours + rng.integers(-40, 41, (videos, frames, SIZE, SIZE, 3)), 0, 255).astype(np.uint8)
    pairs = [CaptionPair(f"{i}.mp4", CAPTIONS[i]) for i in range(videos)]
    counts = {(f"{i}.mp4", None, None): frames if i < videos - 1 else 1 for i in range(videos)}
    return pixel_data(pairs, counts, pixels)


def finish(steps: Generator[TrainStep, None, Unfrozen]) -> tuple[list[TrainStep], Unfrozen]:
    seen = []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as end:
            return seen, end.value


def sentences_of(text: str) -> tuple[tuple[int, int], ...]:
    return parser.parse([text])[0].sentences or ((0, len(text)),)


def in_its_sentence(tower: Tower, text: str, span: Phrase) -> torch.Tensor:
    """The mean (D,) of the token outputs under a span, its sentence read by itself."""
    [(start, end)] = [cut for cut in sentences_of(text) if cut[0] <= span.start < cut[1]]
    tokens, keep, places = tower.token_vectors([text[start:end]])
    under = [i for i, (a, b) in enumerate(places[0]) if a + start < span.end and b + start > span.start]
    return torch.nn.functional.normalize(tokens[0][keep[0]][under].mean(0), dim=0)


@pytest.mark.parametrize("text_levels", ["prompted", "contextual", "learned"])
def test_gradients_are_those_of_the_whole_batch_at_once(
    name: str, text_levels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("explorer.training.towers.gradients.IMAGES_AT_ONCE", {"cpu": 4})  # several chunks
    monkeypatch.setattr("explorer.training.towers.gradients.TEXTS_AT_ONCE", {"cpu": 3})
    data, config = drawn(4), TrainConfig(denoise=False, unfreeze="all")
    torch.manual_seed(0)
    tower = own_tower(name, device="cpu", weights={})
    model = HCMI(ModelConfig(dim=DIM, heads=2, prompt="a video of {}", frame_layers=1, text_levels=text_levels)).eval()
    joint = Joint(tower, model, "all")
    numbers = np.array([3, 0, 2, 1])
    named = gradients(joint, tower, data, data.pairs, numbers, config, rng=np.random.default_rng(0))
    found = {key: value.grad.clone() for key, value in joint.named_parameters() if value.grad is not None}
    joint.zero_grad(set_to_none=True)

    frames, mask = torch.zeros(4, 3, DIM), torch.zeros(4, 3, dtype=torch.bool)  # plain and slow, one graph
    words, phrases = torch.zeros(4, 8, DIM), torch.zeros(4, 8, DIM)
    word_mask, phrase_mask = torch.zeros(4, 8, dtype=torch.bool), torch.zeros(4, 8, dtype=torch.bool)
    sentences = []
    for row, number in enumerate(numbers):
        text = data.pairs.texts[int(number)]
        vectors = tower.image_vectors(data.frames(number))
        frames[row, : len(vectors)], mask[row, : len(vectors)] = vectors, True
        sentences.append(tower.text_vectors([text.text])[0])
        prompts = [
            [f"a video of {word}" for word in text.word_texts],
            [f"a video of {p.text}" for p in text.phrase_spans],
        ]
        if text_levels == "learned":
            tokens = torch.cat([tower.token_vectors([text.text[a:b]])[0][0] for a, b in sentences_of(text.text)])
            words[row, : len(tokens)], word_mask[row, : len(tokens)] = tokens, True
        elif text_levels == "contextual":
            own = [(words, word_mask, parser.words(text.text)), (phrases, phrase_mask, text.phrase_spans)]
            for out, real, asked in own:
                for k, span in enumerate(asked):
                    out[row, k], real[row, k] = in_its_sentence(tower, text.text, span), True
        else:
            for out, real, asked in ((words, word_mask, prompts[0]), (phrases, phrase_mask, prompts[1])):
                for k, prompt in enumerate(asked):
                    out[row, k], real[row, k] = tower.text_vectors([prompt])[0], True
    batch = TextBatch(torch.stack(sentences), words, word_mask, phrases, phrase_mask, phrase_mask.float())
    plain = from_levels(
        model, model.encode_text(batch), [model.encode_video(frames, mask)], torch.eye(4, dtype=torch.bool), config
    )
    plain["loss"].backward()
    torch.testing.assert_close(named["loss"], plain["loss"], atol=1e-5, rtol=1e-5)
    wanted = {key: value.grad for key, value in joint.named_parameters() if value.grad is not None}
    assert (
        found.keys() == wanted.keys()
        and any("visual" in key for key in found)
        and any("transformer" in key for key in found)
    )
    for key, value in wanted.items():
        torch.testing.assert_close(found[key], value, atol=2e-5, rtol=2e-3, msg=lambda text, key=key: f"{key}: {text}")


@pytest.mark.parametrize("part", ["last", "all"])
def test_training_makes_a_better_tower_that_loads_under_a_new_name(name: str, part: str, tmp_path: Path) -> None:
    data = drawn()
    with Explorer(Settings(data_dir=tmp_path / "data", device="cpu")) as explorer:
        *_, done = explorer.models.install_tower(TowerRequest(name))
        base = done.summary["checkpoint"]
        before = explorer.models.encoder(base)
        tower = own_tower(name, device="cpu", weights={})
        model = HCMI(before.config)
        config = TrainConfig(epochs=12, batch_size=8, lr=1.0, unfreeze=part, warmup=0.1)
        seen, outcome = finish(fit_unfrozen(tower, model, data, data.pairs, data.pairs, config))
        assert [step.step for step in seen] == list(range(1, 13)) and all(step.metrics["rsum"] > 0 for step in seen)
        assert seen[-1].losses["loss"] < seen[0].losses["loss"]
        assert outcome.kept and outcome.after["rsum"] > outcome.before["rsum"]
        save_model(
            explorer.models.encoders,
            outcome.model,
            FineTuneRequest(base=base, name="deep"),
            captions=8,
            metrics={"before": outcome.before, "after": outcome.after},
            tower=outcome.tensors,
        )
        after = explorer.models.encoder("deep")
        plain, digest = split_trained(after.tower_name)
        assert (
            plain == before.tower_name
            and len(digest) == 12
            and after.tower_name != before.tower_name
            and after.name != before.name
        )
        pixels = data.frames(0)
        assert np.abs(after.encode_frames(pixels).astype(np.float32) - before.encode_frames(pixels)).max() > 0.01
        np.testing.assert_allclose(after.encode_frames(pixels), tower.encode_frames(pixels), atol=1e-3)
        np.testing.assert_allclose(after.tower.encode_texts(CAPTIONS), tower.encode_texts(CAPTIONS), atol=1e-4)
        names = set(outcome.tensors)
        first = "visual.transformer.resblocks.0.mlp.c_fc.weight"
        assert (first in names) == (part == "all") and first.replace("0", "1", 1) in names and "visual.proj" in names


def test_untouched_parts_stay_and_the_starters_last_blocks_are_known(name: str) -> None:
    network = load_tower("starter", device="cpu").model
    thaw(network, "last")
    learned = {key for key, value in network.named_parameters() if value.requires_grad}
    assert {"visual.head.proj.weight", "text.proj.weight", "visual.trunk.conv_head.weight"} <= learned
    blocks = {key.split(".")[3] for key in learned if key.startswith("visual.trunk.blocks.")}
    layers = {key.split(".")[4] for key in learned if key.startswith("text.transformer.encoder.layer.")}
    assert blocks == {"6"} and layers == {"5"} and "logit_scale" not in learned
    assert not any("embeddings" in key or "conv_stem" in key for key in learned)
    tiny = load_tower(name, device="cpu").model
    thaw(tiny, "all")
    assert {key for key, value in tiny.named_parameters() if not value.requires_grad} == {"logit_scale"}
    for wrong in ("half", ""):
        with pytest.raises(ValueError, match="part must be last or all"):
            thaw(tiny, wrong)
    with pytest.raises(ValueError, match="last blocks"):
        thaw(torch.nn.ModuleDict({"visual": torch.nn.Linear(2, 2)}), "last")


def test_a_loss_that_is_no_number_stops_with_the_batch_named(name: str) -> None:
    data = drawn()
    tower = own_tower(name, device="cpu", weights={})
    config = TrainConfig(epochs=1, batch_size=2, lr=1e34, unfreeze="all")
    with pytest.raises(
        ExplorerError, match=r"epoch 1, batch [234]: the (loss|gradient) is not a finite number \(captions '"
    ) as caught:
        finish(fit_unfrozen(tower, HCMI(ModelConfig(dim=DIM)), data, data.pairs, data.pairs, config))
    assert any(caption in str(caught.value) for caption in CAPTIONS)


def test_going_on_after_a_stop_is_the_same_as_never_stopping(name: str, tmp_path: Path) -> None:
    data, config = drawn(), TrainConfig(epochs=3, batch_size=3, lr=1.0, unfreeze="last")

    def run(folder: Path, *, until: int = 100) -> tuple[list[int], bytes]:
        torch.manual_seed(7)
        tower, model = own_tower(name, device="cpu", weights={}), HCMI(ModelConfig(dim=DIM, heads=2, frame_layers=1))
        steps = fit_unfrozen(tower, model, data, data.pairs, data.pairs, config, folder=folder, save_every=2)
        seen = []
        for step in steps:
            seen.append(step.step)
            if step.step == until:
                break
        tensors = [*tower.model.state_dict().values(), *model.state_dict().values()]
        return seen, b"".join(value.numpy().tobytes() for value in tensors)

    whole, weights = run(tmp_path / "whole")
    first, stopped = run(tmp_path / "broken", until=5)
    rest, again = run(tmp_path / "broken")
    assert whole == list(range(1, 10)) and first == whole[:5] and rest == whole[4:]  # from the state of step 4
    assert stopped != weights and again == weights
    with pytest.raises(ExplorerError, match="other settings or data"):
        next(
            fit_unfrozen(
                own_tower(name, device="cpu", weights={}),
                HCMI(ModelConfig(dim=DIM)),
                data,
                data.pairs,
                data.pairs,
                config,
                folder=tmp_path / "broken",
            )
        )


def test_a_killed_command_goes_on_and_leaves_no_state_behind(name: str, tmp_path: Path) -> None:
    captions = library(tmp_path / "videos")
    with Explorer(Settings(data_dir=tmp_path / "data", device="cpu")) as explorer:
        *_, done = explorer.models.install_tower(TowerRequest(name))
        for unfreeze in ("last", "none"):
            given = request(
                captions, done.summary["checkpoint"], unfreeze=unfreeze, model="hcmi" if unfreeze == "last" else "hgr"
            )
            begun = explorer.teaching.train_file(given)
            next(step for step in begun if step.stage == "train")
            del begun  # what a kill leaves: the saved states
            assert list((tmp_path / "data" / "training").glob("*/state-*.json"))
            again = [step.done for step in explorer.teaching.train_file(given) if step.stage == "train"]
            assert again[0] == 2 and not list((tmp_path / "data" / "training").iterdir())


def library(folder: Path) -> Path:
    """Five videos, one of them captioned by spans, a photo and a broken file; returns the captions."""
    folder.mkdir()
    for number, colour in enumerate(("red", "green", "blue", "red")):
        coloured(folder / f"{number}.mp4", [(colour, 2.0)], SMALL)
    coloured(folder / "both.mp4", [("red", 2.0), ("blue", 2.0)], SMALL)
    Image.new("RGB", (60, 40), (20, 200, 20)).save(folder / "photo.png")
    (folder / "broken.mp4").write_bytes(b"\0" * 500)
    lines = [
        {"file": f"{i}.mp4", "captions": [f"a {c} screen", f"only {c}"]}
        for i, c in enumerate(("red", "green", "blue", "red"))
    ]
    lines += [
        {"file": "both.mp4", "caption": "red first", "start": 0, "end": 2},
        {"file": "both.mp4", "caption": "then blue", "start": 2, "end": 4},
        {"file": "photo.png", "caption": "a green photo"},
        {"file": "broken.mp4", "caption": "nothing"},
    ]
    path = folder / "captions.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def request(captions: Path, base: str, *, unfreeze: str = "last", model: str = "hcmi") -> TrainRequest:
    choices = FineTuneRequest(base=base, model=model, epochs=2, lr=0.05, name="mine")
    return TrainRequest(captions, captions.parent, choices, unfreeze=unfreeze)


def test_the_command_decodes_trains_and_says_what_it_kept(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    captions = library(tmp_path / "videos")
    monkeypatch.setattr(material, "PIXELS_IN_MEMORY", 0)  # through a file of the data folder
    with Explorer(Settings(data_dir=tmp_path / "data", device="cpu")) as explorer:
        *_, done = explorer.models.install_tower(TowerRequest(name))
        base = done.summary["checkpoint"]
        steps = list(explorer.teaching.train_file(request(captions, base)))
        summary = steps[-1].summary
        assert [step.stage for step in steps] == ["decode"] * 8 + ["train"] * 2 + ["done"]
        assert {"checkpoint", "kept", "before", "after", "seconds", "notices"} <= summary.keys()
        assert summary["kept"] == (summary["after"]["rsum"] > summary["before"]["rsum"])
        assert summary["checkpoint"] == ("mine" if summary["kept"] else base)
        assert any("broken.mp4" in notice for notice in summary["notices"])
        assert (explorer.models.encoder(summary["checkpoint"]).tower_name != done.summary["tower"]) == summary["kept"]
        with pytest.raises(ExplorerError, match="--unfreeze trains HCMI"):
            list(explorer.teaching.train_file(request(captions, base, model="hgr")))


def test_frames_are_those_of_the_caption_s_own_span(tmp_path: Path) -> None:
    captions = read_captions(library(tmp_path / "videos"))
    with Explorer(Settings(data_dir=tmp_path / "data", device="cpu")) as explorer:
        steps = material.load_pixels(
            explorer.settings, captions, tmp_path / "videos", size=FrameSize(SIZE, SIZE, "crop")
        )
        while True:
            try:
                next(steps)
            except StopIteration as end:
                data, notices = end.value
                break
    place = {(file, span[0]): number for number, (file, span) in enumerate(zip(data.pairs.files, data.pairs.spans))}
    first, second = (data.frames(place["both.mp4", start]).mean((0, 1, 2)) for start in (0.0, 2.0))
    assert first[0] > 150 > first[2] and second[2] > 150 > second[0]  # red, then blue
    assert (
        len(data.frames(place["photo.png", 0.0])) == 1 and len(data.frames(place["0.mp4", 0.0])) == 10
    )  # of 10 frames each once
    assert len(data.pairs) == 11 and len(notices) >= 1
