"""The CLIPs to choose from without typing a name: what each is good for, costs, reached, and may be used for."""

from __future__ import annotations

from dataclasses import dataclass

OPEN_CLIP = "open_clip, docs/openclip_retrieval_results.csv"
SIGLIP2 = "SigLIP 2's authors, big_vision README_siglip2.md"
MOBILECLIP2 = "MobileCLIP2's authors, ml-mobileclip results/mobileclip2_s0.jsonl"
MIT = "MIT: any use"
APACHE = "Apache-2.0: any use"
APPLE = "Apple Machine Learning Research: research only, no commercial use"


@dataclass(frozen=True)
class Choice:
    """A published CLIP; `coco` is text-to-image R@1 in percent on MSCOCO's 5,000 pictures, as `source` gives it."""

    name: str  # ARCHITECTURE/WEIGHTS, as open_clip lists it
    title: str
    group: str  # small | standard | best | languages
    parameters: float  # millions, text and image together
    languages: str
    licence: str
    coco: float
    source: str
    tokenizer_mb: float = 0.0  # what comes along beside the weights

    @property
    def megabytes(self) -> int:
        """The download, which takes as much on the disk: weights in single precision, and the tokenizer."""
        return round(self.parameters * 4 + self.tokenizer_mb)

    @property
    def free(self) -> bool:
        """Whether any use is allowed."""
        return self.licence in (MIT, APACHE)


GROUPS = {
    "small": "Small and quick",
    "standard": "Standard",
    "best": "Best answers",
    "languages": "Many languages",
}
# Parameters and figures are the sources'; SigLIP 2's vocabulary file is some 34 MB, XLM-RoBERTa's some 9 MB.
CHOICES = (
    Choice("MobileCLIP2-S0/dfndr2b", "MobileCLIP2 S0", "small", 74.8, "English", APPLE, 43.7, MOBILECLIP2),
    Choice("ViT-B-32/laion2b_s34b_b79k", "CLIP ViT-B/32", "standard", 151.28, "English", MIT, 39.3, OPEN_CLIP),
    Choice("ViT-B-16/laion2b_s34b_b88k", "CLIP ViT-B/16", "standard", 149.62, "English", MIT, 42.3, OPEN_CLIP),
    Choice("ViT-L-14/laion2b_s32b_b82k", "CLIP ViT-L/14", "best", 427.62, "English", MIT, 46.5, OPEN_CLIP),
    Choice("ViT-B-16-SigLIP2/webli", "SigLIP 2 B/16", "best", 375.2, "over 100 languages", APACHE, 52.1, SIGLIP2, 34),
    Choice(
        "ViT-B-32-SigLIP2-256/webli",
        "SigLIP 2 B/32",
        "languages",
        376.9,
        "over 100 languages",
        APACHE,
        47.2,
        SIGLIP2,
        34,
    ),
    Choice(
        "xlm-roberta-base-ViT-B-32/laion5b_s13b_b90k",
        "CLIP ViT-B/32 with XLM-RoBERTa",
        "languages",
        366.12,
        "100 languages",
        MIT,
        37.8,
        OPEN_CLIP,
        9,
    ),
)


@dataclass(frozen=True)
class Machine:
    """What a choice must fit: seconds a frame of each measured tower, frames of the library, room."""

    seconds_a_frame: dict[str, float]
    frames: int
    free_mb: float  # on the data folder's disk
    memory_mb: float


PATIENCE = 3600.0  # seconds of encoding a recommendation may cost this library


def by_name(name: str) -> Choice | None:
    """The choice of a name; None where it is not of the list."""
    return next((choice for choice in CHOICES if choice.name == name), None)


def seconds(choice: Choice, machine: Machine) -> float | None:
    """Seconds of encoding this library takes with a choice; None before its speed was measured."""
    speed = machine.seconds_a_frame.get(choice.name)
    return None if speed is None else speed * machine.frames


def recommend(machine: Machine) -> Choice | None:
    """The choice with the best published figure that may be used for anything, fits disk and memory, and encodes this
    library within an hour; None before the speeds were measured, or where none fits."""
    fitting = [
        choice
        for choice in CHOICES
        if choice.free
        and (took := seconds(choice, machine)) is not None
        and took <= PATIENCE
        and 2 * choice.megabytes <= machine.free_mb
        and 2 * choice.megabytes <= machine.memory_mb
    ]
    return max(fitting, key=lambda choice: choice.coco, default=None)
