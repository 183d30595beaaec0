"""Names of published CLIPs: read, corrected, and turned into the repository and the configuration they stand for."""

from __future__ import annotations

import difflib
from collections import Counter
from copy import deepcopy
from typing import Any

from explorer.records import ExplorerError

PREPROCESSING = ("mean", "std", "interpolation", "resize_mode")  # what open_clip's table of weights says of pixels
# What people copy from elsewhere: the same weights under the names of transformers' repositories.
ALIASES = {
    "openai/clip-vit-base-patch32": "ViT-B-32/openai",
    "openai/clip-vit-base-patch16": "ViT-B-16/openai",
    "openai/clip-vit-large-patch14": "ViT-L-14/openai",
    "openai/clip-vit-large-patch14-336": "ViT-L-14-336/openai",
    "google/siglip2-base-patch16-224": "ViT-B-16-SigLIP2/webli",
    "google/siglip2-base-patch32-256": "ViT-B-32-SigLIP2-256/webli",
    "google/siglip2-large-patch16-256": "ViT-L-16-SigLIP2-256/webli",
    "google/siglip-base-patch16-224": "ViT-B-16-SigLIP/webli",
    "apple/mobileclip2-s0": "MobileCLIP2-S0/dfndr2b",
}
# Parameters, in millions, of architectures whose text tower open_clip itself would ask the hub about
# (open_clip, docs/openclip_retrieval_results.csv).
TEXT_FROM_HUB = {
    "roberta-ViT-B-32": 212.72,
    "xlm-roberta-base-ViT-B-32": 366.12,
    "xlm-roberta-large-ViT-H-14": 1193.01,
    "nllb-clip-large": 1399.22,
}
CLOSE = 0.5  # of difflib's ratio: "vit b32 laion" still meets "ViT-B-32/laion2b_s34b_b79k"


def split_name(name: str) -> tuple[str, str]:
    """'ViT-B-16/openai' -> ('ViT-B-16', 'openai'); 'ViT-B-16@/w.safetensors' -> ('ViT-B-16', '/w.safetensors').

    Raises:
        ExplorerError: an architecture or weights tag that open_clip does not know; the sentence names near ones.
    """
    import open_clip

    arch, _, weights = name.partition("@") if "@" in name else name.rpartition("/")
    if "@" in name and arch in open_clip.list_models():
        return arch, weights
    if "@" not in name and open_clip.is_pretrained_cfg(arch, weights):
        return arch, weights
    found = suggest(name)
    hint = f"did you mean {' or '.join(found)}?" if found else "choose one of the list"
    raise ExplorerError(f"there is no published CLIP {name!r}; {hint}")


def resolve(text: str) -> str:
    """A name as a person types or copies it -> open_clip's ARCHITECTURE/WEIGHTS; capitals do not count, a hub's
    repository stands for what it holds.

    Raises:
        ExplorerError: no such name; the sentence names near ones.
    """
    wanted = text.strip().removeprefix("https://huggingface.co/").removeprefix("hf-hub:").strip("/ ")
    by_name = {name.casefold(): name for name in published()}
    by_repo = {repository(name).casefold(): name for name in by_name.values() if repository(name)}
    known = {**by_repo, **{alias.casefold(): name for alias, name in ALIASES.items()}, **by_name}
    found = known.get(wanted.casefold())
    return found if found is not None else "/".join(split_name(wanted))


def published() -> list[str]:
    """Every ARCHITECTURE/WEIGHTS that open_clip lists."""
    import open_clip

    return ["/".join(pair) for pair in open_clip.list_pretrained()]


def suggest(text: str, count: int = 3) -> list[str]:
    """Published names near to what was typed, nearest first; [] where none is near."""
    names = {_plain(name): name for name in published()}
    typed = _plain(text.partition("@")[0])
    starting = [name for plain, name in names.items() if typed and plain.startswith(typed)]
    near = difflib.get_close_matches(typed, names, n=count, cutoff=CLOSE)
    return list(dict.fromkeys([*starting, *(names[plain] for plain in near)]))[:count]


def _plain(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())


def repository(name: str) -> str:
    """The hub's repository of a published name; '' where it is offered as a pickled file elsewhere only."""
    import open_clip

    found = str(open_clip.get_pretrained_cfg(*name.rpartition("/")[::2]).get("hf_hub", "")).strip("/")
    return found if found.count("/") == 1 else ""  # owner/name/FILE.pt names a pickled file


def published_config(name: str) -> dict[str, Any]:
    """What a published tower is, as open_clip writes it down: {"model_cfg", "preprocess_cfg"}."""
    import open_clip

    arch, tag = split_name(name)
    known = open_clip.get_pretrained_cfg(arch, tag)
    model = deepcopy(open_clip.get_model_config(arch))
    if known.get("quick_gelu"):
        model["quick_gelu"] = True
    return {"model_cfg": model, "preprocess_cfg": {key: known[key] for key in PREPROCESSING if key in known}}


def usual_config(arch: str) -> tuple[dict[str, Any], str]:
    """What files of an architecture usually are, and a sentence on what cannot be told from the file alone.

    An architecture's published weights mostly agree on their pixels; where they do not, most of them decide.
    """
    import open_clip

    model = deepcopy(open_clip.get_model_config(arch))
    tags = [open_clip.get_pretrained_cfg(arch, tag) for tag in open_clip.list_pretrained_tags_by_model(arch)]
    pixels = {key: Counter(_frozen(tag[key]) for tag in tags if key in tag) for key in PREPROCESSING}
    chosen = {key: seen.most_common(1)[0][0] for key, seen in pixels.items() if seen}
    unsure = [key for key, seen in pixels.items() if len(seen) > 1]
    quick = Counter(bool(tag.get("quick_gelu", model.get("quick_gelu"))) for tag in tags)
    unsure += ["activation (GELU or QuickGELU)"] if len(quick) > 1 else []
    if quick and quick.most_common(1)[0][0]:
        model["quick_gelu"] = True
    told = (
        _told(arch, unsure) if tags else f"It is read as {arch}, of which no weights are published, with CLIP's pixels."
    )
    return {"model_cfg": model, "preprocess_cfg": chosen}, told


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _told(arch: str, unsure: list[str]) -> str:
    if not unsure:
        return f"It is read as {arch} is: all its published weights agree."
    return (
        f"It is read as {arch} mostly is; published weights of it differ in {', '.join(unsure)}. Put the "
        "open_clip_config.json it came with beside it to be sure."
    )


def parameters(name: str) -> int:
    """Parameters of a tower, counted from its architecture without fetching or asking anything.

    Raises:
        ExplorerError: an unknown name, or an architecture described on the hub alone.
    """
    import open_clip
    import torch

    arch, _ = split_name(name)
    if arch in TEXT_FROM_HUB:
        return round(TEXT_FROM_HUB[arch] * 1e6)
    try:
        with torch.device("meta"):
            model = open_clip.create_model(arch, pretrained=None, pretrained_hf=False, device="meta")
    except Exception as error:  # transformers raises many kinds for a description it may not fetch
        raise ExplorerError(f"the size of {name} is not known on this machine; choose one of the list") from error
    return sum(p.numel() for p in model.parameters())


def size_mb(name: str) -> int:
    """Megabytes of a tower's weights in single precision, as they are published."""
    return round(parameters(name) * 4 / 1e6)
