"""Texts in pieces: which tokens belong to which characters, and what a text tower gives for each of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

TOKENS_AT_MOST = 64  # a query is a sentence; the rest of a pasted page says little
PIECE = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*|(?:[^\w\s]|_)+")  # a word, or a run of punctuation

Spans = list[tuple[int, int]]


class Subwords(NamedTuple):
    """Q texts in pieces: tokens (Q, L) int64; mask (Q, L) bool, True where not padded; keep (Q, L) bool, True where
    the token belongs to the text's words; for each text the characters [start, end) of each such token."""

    tokens: Tensor
    mask: Tensor
    keep: Tensor
    spans: list[Spans]


def subwords(tokenizer: Any, texts: list[str]) -> Subwords:
    """Q texts in the pieces of open_clip's HFTokenizer."""
    batch = tokenizer.tokenizer(
        texts,
        padding=True,
        truncation=True,
        max_length=TOKENS_AT_MOST,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
        return_tensors="pt",
    )
    mask = batch["attention_mask"].bool()
    keep = mask & ~batch["special_tokens_mask"].bool()
    spans = [
        [(a, b) for (a, b), kept in zip(row, real) if kept]
        for row, real in zip(batch["offset_mapping"].tolist(), keep.tolist())
    ]
    return Subwords(batch["input_ids"], mask, keep, spans)


def word_outputs(
    model: Any, tokenizer: Any, texts: list[str], *, device: torch.device
) -> tuple[Tensor, Tensor, list[Spans]]:
    """Each word as the mean of its tokens' outputs, projected as the whole text's one is.

    CLIP's tokenizer tells no places, so every word is tokenised by itself and met again in the whole text's tokens.
    Words past the tower's length are left out.

    Returns:
        (Q, W, D), padded with 0; (Q, W) bool, True where there is a word; their characters [start, end).
    """
    tokens = tokenizer([text or " " for text in texts])  # (Q, L)
    places = [list(_place_words(tokenizer, text, row)) for text, row in zip(texts, tokens.tolist())]
    shares = torch.zeros(len(texts), max(1, *map(len, places)), tokens.shape[1])  # (Q, W, L)
    for text, words in enumerate(places):
        for word, (_, first, count) in enumerate(words):
            shares[text, word, first : first + count] = 1 / count
    text_tower = getattr(model, "text", model)
    projected = _project(text_tower.text_projection, _hidden(model, tokens.to(device)))
    return (
        shares.to(projected) @ projected,
        (shares.sum(-1) > 0).to(device),
        [[span for span, _, _ in words] for words in places],
    )


def _hidden(model: Any, tokens: Tensor) -> Tensor:
    """(Q, L) tokens -> (Q, L, width): the text tower's last layer behind its final norm."""
    found = model.forward_intermediates(
        text=tokens, text_indices=1, normalize_intermediates=True, intermediates_only=True
    )
    return found["text_intermediates"][-1]


def _project(projection: Any, hidden: Tensor) -> Tensor:
    if projection is None:
        return hidden
    return projection(hidden) if isinstance(projection, nn.Module) else hidden @ projection


def _place_words(tokenizer: Any, text: str, row: list[int]) -> Iterator[tuple[tuple[int, int], int, int]]:
    """(span, first token, count) of each word of a text that stands in its `row` of tokens; a cut row ends them."""
    at = int(row[0] == getattr(tokenizer, "sot_token_id", None))
    for span, numbers in _pieces(tokenizer, text):
        if row[at : at + len(numbers)] != numbers:
            return
        if numbers and any(map(str.isalnum, text[slice(*span)])):
            yield span, at, len(numbers)
        at += len(numbers)


def _pieces(tokenizer: Any, text: str) -> Iterator[tuple[tuple[int, int], list[int]]]:
    """Words and punctuation with their tokens; what stands between two spaces stays whole where its parts tokenise
    otherwise."""
    for chunk in re.finditer(r"\S+", text):
        whole = _numbers(tokenizer, chunk.group())
        parts = [
            ((chunk.start() + part.start(), chunk.start() + part.end()), _numbers(tokenizer, part.group()))
            for part in PIECE.finditer(chunk.group())
        ]
        yield from parts if [number for _, numbers in parts for number in numbers] == whole else [(chunk.span(), whole)]


def _numbers(tokenizer: Any, text: str) -> list[int]:
    """Token numbers of a piece of text, without those that mark start and end."""
    if hasattr(tokenizer, "encode"):
        return list(tokenizer.encode(text))
    cleaned = tokenizer.clean_fn(text) if hasattr(tokenizer, "clean_fn") else text
    return list(tokenizer.tokenizer(cleaned, add_special_tokens=False)["input_ids"])
