"""Every question about the library: by words, by a picture, by a moment; and why something was found, or was not."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from explorer.index.pace import Pace
from explorer.records import (
    DrawnGraph,
    Explanation,
    ExplorerError,
    FoundCue,
    FrameSize,
    LevelWeights,
    SearchResult,
    WhyNot,
)
from explorer.service.desk import Desk
from explorer.service.judgements import LOOKED_THROUGH, Judgements, arrange
from explorer.service.person import for_a_person
from explorer.service.search_caches import SearchCaches
from explorer.store.cues import Cues
from explorer.store.store import Store

if TYPE_CHECKING:
    from explorer.model.encoder import Encoder
    from explorer.search.find import EncodedQuery
    from explorer.search.retrieve import Library

PICTURE = LevelWeights(1.0, 0.0, 1.0)
SAID = 20  # cues shown beside the pictures


class Searches:
    """Answers questions over a store. Any thread may call any method.

    Args:
        store: the library.
        caches: encoded queries, the index in memory, the null of captions.
        judgements: what the person judged; it counts for the same words.
        desk: keeps the history.
        pace: of indexing, which steps back meanwhile.
    """

    def __init__(self, store: Store, caches: SearchCaches, judgements: Judgements, desk: Desk, *, pace: Pace) -> None:
        self.store, self.caches, self.judgements, self.desk = store, caches, judgements, desk
        self.pace = pace

    @for_a_person
    def search(
        self,
        text: str,
        *,
        k: int = 20,
        weights: LevelWeights | None = None,
        model: str | None = None,
        phrase_weights: Mapping[str, float] | None = None,
        per_file: int | None = 3,
        remember: bool = True,
    ) -> SearchResult:
        """Search the library; what the person judged for these words counts (service.judgements).

        Args:
            text: what was typed, filters included (see search.query).
            k: moments wanted.
            weights: of the levels; None takes the checkpoint's.
            model: checkpoint name; None is the current one.
            phrase_weights: phrase -> weight; 0 is off, below 0 excludes.
            per_file: moments of one file at most; None gives all.
            remember: whether it goes into the history.

        Raises:
            ExplorerError: the query cannot be read, or the index was made by another model.
        """
        from explorer.search import find
        from explorer.search.explain import reads

        began = time.perf_counter()
        encoder, encoded = self.caches.encode(text, model, phrase_weights)
        try:
            scored = self.caches.rank(encoder, encoded)
        except ExplorerError:
            if model is not None or not self.caches.answered_before(encoder):
                raise
            encoder, encoded = self.caches.encode(text, None, phrase_weights)
            scored = self.caches.rank(encoder, encoded)
        judgements = self.judgements.of(encoded.query.text)
        result = find.present(
            scored,
            encoded,
            library=self.caches.library(encoder),
            encoder=encoder,
            weights=weights or encoder.config.level_weights,
            calibration=self.caches.calibration(encoder),
            k=max(k, LOOKED_THROUGH) if judgements else k,
            per_file=per_file,
        )
        result = replace(result, seconds=time.perf_counter() - began, reads=reads(encoder))
        if remember and not phrase_weights:
            self.desk.remember(text)
        return arrange(result, judgements, k=k) if judgements else result

    def said(self, text: str, *, limit: int = SAID) -> tuple[FoundCue, ...]:
        """What was said in the films, as their subtitles write it down; no model is asked.

        Cues with the words of a query, within its filters.

        Raises:
            ExplorerError: the query cannot be read.
        """
        from explorer.search.query import day_bounds, parse
        from explorer.store.reads import allowed_videos

        query, cues = parse(text), Cues(self.store.database)
        after, before = day_bounds(query)
        with self.store.database.read() as connection:
            videos = allowed_videos(
                connection,
                folders=query.folders,
                files=query.files,
                after=after,
                before=before,
                longer=query.longer,
                shorter=query.shorter,
            )
        choices = [choice.text for choice in query.alternatives] or [query.text]
        found = [hit for choice in choices for hit in cues.search(choice, limit=limit, videos=videos)]
        return tuple(dict.fromkeys(found))[:limit]

    @for_a_person
    def search_image(self, image: np.ndarray, *, k: int = 20, model: str | None = None) -> SearchResult:
        """Moments that look like a picture (H, W, 3) uint8 of any size."""
        from explorer.search import find

        encoder = self.caches.encoder(model)
        return find.find(
            find.encode_image(encoder, fit_image(image, encoder.frame_size)),
            library=self.caches.library(encoder),
            encoder=encoder,
            weights=PICTURE,
            calibration=self.caches.calibration(encoder),
            k=k,
        )

    @for_a_person
    def more_like(self, public_id: str, moment: float, *, k: int = 20, model: str | None = None) -> SearchResult:
        """Moments of other files that look like one."""
        from explorer.search import find

        encoder, video = self.caches.encoder(model), self.store.by_public_id(public_id)
        windows = self.store.windows_of(video.id)
        if not windows:
            raise ExplorerError("this video has not been indexed yet; index its folder first")
        nearest = min(windows, key=lambda window: abs((window.start + window.end) / 2 - moment))
        return find.more_like(
            nearest.id,
            library=self.caches.library(encoder),
            encoder=encoder,
            weights=encoder.config.level_weights,
            calibration=self.caches.calibration(encoder),
            k=k,
        )

    def examples(self, *, count: int = 4) -> tuple[str, ...]:
        """Searches to begin with: descriptions that this library shows clearly; none before the model has seen it."""
        known = self.caches.newest_calibration()
        if known is None:
            return ()
        from explorer.search.examples import examples

        return examples(known, count=count)

    @for_a_person
    def explain(
        self,
        text: str,
        public_id: str,
        moment: float,
        *,
        end: float | None = None,
        model: str | None = None,
        weights: LevelWeights | None = None,
        phrase_weights: Mapping[str, float] | None = None,
    ) -> Explanation:
        """Why a moment met a query: phrase x clip, word x frame, the curve over the file under the level weights.

        Args:
            text: the query.
            public_id: the file.
            moment: start of the moment shown, in seconds.
            end: its end; None takes the window nearest to the start.
            model: checkpoint name; None is the current one.
            weights: of the levels, as in the search.
            phrase_weights: as in the search.
        """
        from explorer.search.explain import explain

        encoder, encoded = self.caches.encode(text, model, phrase_weights)
        video, calibration = self.store.by_public_id(public_id), self.caches.calibration(encoder)
        start, end = (moment, end) if end is not None else self._window_at(video.id, moment)
        asked = self._choice_of(encoder, encoded, video.id, start, end)
        return explain(
            asked.features,
            video.id,
            start,
            end,
            library=self.caches.library(encoder),
            encoder=encoder,
            weights=weights or encoder.config.level_weights,
            scale=calibration.scale if calibration else None,
        )

    def _choice_of(
        self, encoder: Encoder, encoded: EncodedQuery, video_id: int, start: float, end: float
    ) -> EncodedQuery:
        """Of a query with choices the one that a moment meets best; the query itself where it has none."""
        from explorer.search.choices import nearest

        if not encoded.choices:
            return encoded
        texts, weights = [choice.features for choice in encoded.choices], encoder.config.level_weights
        library = self.caches.library(encoder)
        return encoded.choices[nearest(texts, video_id, start, end, library=library, encoder=encoder, weights=weights)]

    def _window_at(self, video_id: int, time: float) -> tuple[float, float]:
        """Bounds of the window whose middle is nearest to a time, of those that cover it where any does."""
        windows = self.store.windows_of(video_id)
        if not windows:
            raise ExplorerError("this video has no windows in the index; index its folder again")
        covering = [window for window in windows if window.start <= time <= window.end] or windows
        best = min(covering, key=lambda window: abs((window.start + window.end) / 2 - time))
        return best.start, best.end

    def why_not(
        self,
        text: str,
        public_id: str,
        *,
        model: str | None = None,
        weights: LevelWeights | None = None,
        phrase_weights: Mapping[str, float] | None = None,
    ) -> WhyNot:
        """Where an expected video came for a query, and the level or phrase that held it back, as the search weighs
        them."""
        from explorer.search import score
        from explorer.search.explain import why_not

        encoder, encoded = self.caches.encode(text, model, phrase_weights)
        library, video = self.caches.library(encoder), self.store.by_public_id(public_id)
        scored, calibration = self.caches.rank(encoder, encoded), self.caches.calibration(encoder)
        if scored is None:
            return WhyNot(0, 0, "", "", "No video passes the filters of this query.")
        weights = weights or encoder.config.level_weights
        reference = calibration.reference if calibration else None
        scored = score.exclude(scored, encoded.excluded, weights=weights, reference=reference)
        return why_not(scored, encoded.features, video.id, library=library, encoder=encoder, weights=weights)

    def graph(
        self,
        text: str,
        public_id: str | None = None,
        moment: float | None = None,
        *,
        model: str | None = None,
        weights: LevelWeights | None = None,
    ) -> DrawnGraph:
        """The role graph of a query for drawing, each node with its best frame in the window that explains a moment."""
        from explorer.search.roles import draw

        encoder, encoded = self.caches.encode(text, model)
        if public_id is None or moment is None:
            return draw(encoded.query.text)
        library: Library = self.caches.library(encoder)
        video_id = self.store.by_public_id(public_id).id
        start, end = self._window_at(video_id, moment)
        middle = (start + end) / 2
        return draw(encoded.query.text, encoder=encoder, library=library, video_id=video_id, time=middle)


def fit_image(image: np.ndarray, size: FrameSize) -> np.ndarray:
    """A picture (H, W, 3) uint8 at the size a tower asks for, squashed or cut as it wants.

    Raises:
        ExplorerError: it is no RGB picture.
    """
    from PIL import Image

    if image.ndim != 3 or image.shape[2] < 3 or image.dtype != np.uint8 or not image.size:
        raise ExplorerError("this picture cannot be read; choose a JPEG or PNG")
    picture = Image.fromarray(np.ascontiguousarray(image[:, :, :3]))
    if size.fit == "crop":
        scale = max(size.width / picture.width, size.height / picture.height)
        wide, high = size.width / scale, size.height / scale
        left, top = (picture.width - wide) / 2, (picture.height - high) / 2
        box = (left, top, left + wide, top + high)
        return np.asarray(picture.resize((size.width, size.height), Image.Resampling.BICUBIC, box=box))
    return np.asarray(picture.resize((size.width, size.height), Image.Resampling.BICUBIC))
