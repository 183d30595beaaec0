"""Small CLIPs of three families with random weights, offered by a hub under published names, tokenizers included."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from tests.support.hub import Hub

SIZE, DIM = 32, 32
VISION = {"image_size": SIZE, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16}
OPENAI = {
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}
SIGLIP = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "interpolation": "bicubic", "resize_mode": "squash"}
MOBILE = {"mean": (0.0,) * 3, "std": (1.0,) * 3, "interpolation": "bilinear", "resize_mode": "shortest"}
SENTENCES = [
    "a dog runs on the beach",
    "zwei leute unter einem schirm",
    "un chien court",
    "two people, one umbrella",
] * 20


@dataclass(frozen=True)
class Family:
    """An architecture, its weights' tag and what open_clip's tables say of both."""

    arch: str
    config: dict[str, Any]
    pixels: dict[str, Any]
    quick_gelu: bool = False

    @property
    def name(self) -> str:
        return f"{self.arch}/web"

    @property
    def repository(self) -> str:
        return f"some/{self.arch}"


def _text(**more: Any) -> dict[str, Any]:
    return {"context_length": 16, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2, **more}


FAMILIES = (
    Family("small-clip", {"vision_cfg": VISION, "text_cfg": _text()}, OPENAI),
    Family("small-quick", {"vision_cfg": VISION, "text_cfg": _text()}, OPENAI, quick_gelu=True),
    Family("small-mobile", {"custom_text": True, "vision_cfg": VISION, "text_cfg": _text(no_causal_mask=True)}, MOBILE),
    Family(
        "small-siglip2",
        {
            "custom_text": True,
            "init_logit_bias": -10,
            "vision_cfg": VISION,
            "text_cfg": _text(
                vocab_size=400,
                hf_tokenizer_name="some/small-siglip2",
                tokenizer_kwargs={"clean": "canonicalize"},
                no_causal_mask=True,
                proj_bias=True,
                pool_type="last",
            ),
        },
        SIGLIP,
    ),
    Family(
        "small-xlm",
        {
            "vision_cfg": VISION,
            "text_cfg": {
                "hf_model_name": "some/xlm",
                "hf_tokenizer_name": "some/xlm",
                "hf_pooler_type": "mean_pooler",
                "context_length": 16,
            },
        },
        OPENAI,
    ),
)


def publish(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let open_clip know the families, and the hub have their files; `folder` keeps a copy of each."""
    for family in FAMILIES:
        path = folder / f"{family.arch}.json"
        path.write_text(json.dumps({"embed_dim": DIM, **family.config}))
        open_clip.add_model_config(path)
        tag = {"hf_hub": f"{family.repository}/", **family.pixels}
        tag |= {"quick_gelu": True} if family.quick_gelu else {}
        monkeypatch.setitem(open_clip.pretrained._PRETRAINED, family.arch, {"web": tag})
    _offer(hub, "some/small-siglip2", _gemma(folder / "gemma"))
    _offer(hub, "some/xlm", _xlm(folder / "xlm"))
    for family in FAMILIES:
        weights = folder / f"{family.arch}.safetensors"
        save_file(
            {name: value.contiguous() for name, value in random_model(family, folder).state_dict().items()}, weights
        )
        hub.add(family.repository, "open_clip_model.safetensors", weights.read_bytes())


def random_model(family: Family, folder: Path) -> torch.nn.Module:
    """As open_clip itself makes it, its Hugging Face parts read from `folder`; equal for equal families."""
    torch.manual_seed(0)
    model = open_clip.create_model(
        family.arch, pretrained_hf=False, force_quick_gelu=family.quick_gelu, **_local_text(family, folder)
    )
    with torch.no_grad():  # as made, texts hardly differ
        for name, value in model.named_parameters():
            if "token_embedding" in name or "word_embeddings" in name:
                value.mul_(20)
    return model.eval()


def _local_text(family: Family, folder: Path) -> dict[str, Any]:
    text = family.config["text_cfg"]
    if "hf_model_name" not in text:
        return {}
    return {"text_cfg": {**text, "hf_model_name": str(folder / "xlm"), "hf_model_pretrained": False}}


def plain_tokenizer(family: Family, folder: Path) -> Any:
    """As open_clip itself makes it where the hub is at hand."""
    from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

    text = family.config["text_cfg"]
    if "hf_tokenizer_name" not in text:
        return SimpleTokenizer(context_length=text["context_length"])
    source = folder / ("xlm" if "xlm" in family.arch else "gemma")
    return HFTokenizer(str(source), context_length=text["context_length"], **text.get("tokenizer_kwargs", {}))


def _offer(hub: Hub, repository: str, folder: Path) -> None:
    for path in folder.iterdir():
        hub.add(repository, path.name, path.read_bytes())


def _gemma(folder: Path) -> Path:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=False))
    made.pre_tokenizer, made.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    made.train_from_iterator(SENTENCES, trainers.BpeTrainer(vocab_size=400, special_tokens=["<pad>", "<eos>", "<unk>"]))
    fast = PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")
    fast.save_pretrained(folder)
    return folder


def _xlm(folder: Path) -> Path:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast, XLMRobertaConfig

    made = Tokenizer(models.Unigram())
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    marks = ["<s>", "<pad>", "</s>", "<unk>"]
    made.train_from_iterator(
        SENTENCES, trainers.UnigramTrainer(vocab_size=300, special_tokens=marks, unk_token="<unk>")
    )
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", made.token_to_id("<s>")), ("</s>", made.token_to_id("</s>"))]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    fast.save_pretrained(folder)
    XLMRobertaConfig(
        vocab_size=fast.vocab_size,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=66,
        pad_token_id=fast.pad_token_id,
    ).save_pretrained(folder)
    return folder
