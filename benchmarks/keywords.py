"""Keywords over clips as a person types them: which clip comes first, and whether the answer's doubt is deserved.

    python -m benchmarks.keywords --clips DIR [--checkpoint starter]

DIR holds clips, keywords.jsonl ({"query", "files": every right clip, none where no clip shows it}) and captions.jsonl.
The clips are indexed as the app does it, and searched as the app does it. An answer is doubted where its banner says that
nothing here looks like the query; else it passes, and one whose best moment is likely but not strong is counted as unsure
beside. Caption queries: a library is a random half of the clips, captions of it are present, captions of the other half
absent (benchmarks/absence.py). The five figures of the keywords are printed last.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import absence
from benchmarks.features import clips_with_times, open_encoder
from explorer.config import Settings
from explorer.media.sampling import windows as cut_windows
from explorer.model.encoder import Encoder
from explorer.records import FrameFeatures, SearchResult, VideoFile, VideoInfo
from explorer.search import calibrate, find, score
from explorer.search.library import StoredLibrary
from explorer.search.query import parse
from explorer.service.bank import BANK
from explorer.store.store import Store
from explorer.store.vectors import VectorCache

CAPTIONS = 5  # a clip, at most


@dataclass(frozen=True)
class Keyword:
    """A query and the names of every right clip; none where the clips do not show it."""

    query: str
    files: tuple[str, ...]


def read_keywords(path: Path) -> list[Keyword]:
    """The keywords of a file of JSON lines."""
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
    return [Keyword(line["query"], tuple(line["files"])) for line in lines]


def index_frames(
    folder: Path,
    names: Sequence[str],
    frames: Sequence[np.ndarray],
    times: Sequence[np.ndarray],
    durations: Sequence[float],
    encoder: Encoder,
) -> StoredLibrary:
    """A library of clips whose frames are known: (F, D) features and (F,) seconds of each, cut into windows as usual."""
    store, sampling = Store(folder / "index.db"), Settings().sampling
    root = store.add_root(folder)
    for number, (name, vectors, seconds, duration) in enumerate(zip(names, frames, times, durations)):
        file = VideoFile(str(folder / name), size=number + 1, mtime_ns=0, fingerprint=f"{number:x}")
        store.add_files(root.id, [file])
        video = store.by_path(file.path)
        assert video is not None
        cuts = cut_windows(seconds, duration, sampling)
        batch, mask = np.zeros((len(cuts), max(cut.count for cut in cuts), vectors.shape[1]), np.float16), None
        mask = np.arange(batch.shape[1])[None] < np.array([[cut.count] for cut in cuts])
        for row, cut in enumerate(cuts):
            batch[row, : cut.count] = vectors[cut.first : cut.first + cut.count]
        store.put_video(
            video.id,
            file,
            info=VideoInfo(duration, 640, 360, 25.0, "h264", "mp4"),
            features=FrameFeatures(seconds, vectors.astype(np.float16)),
            tower=encoder.tower_name,
            sampling=sampling.key,
            windows=cuts,
            vectors=encoder.windows(batch, mask).astype(np.float16),
            encoder=encoder.name,
        )
    return StoredLibrary(store, VectorCache(store, folder / "vectors.faiss", encoder=encoder.name))


def answers(encoder: Encoder, library: StoredLibrary, queries: Sequence[str]) -> list[SearchResult]:
    """What a search says to each query."""
    bank = encoder.texts(calibrate.read_bank(BANK))
    calibration = calibrate.calibrate(encoder, bank, library, generation=library.generation)
    return [
        find.find(
            find.encode_query(encoder, parse(query)),
            library=library,
            encoder=encoder,
            weights=encoder.config.level_weights,
            calibration=calibration,
        )
        for query in queries
    ]


def files_of(result: SearchResult) -> list[str]:
    """Names of the files found, in order, each once."""
    return list(dict.fromkeys(Path(hit.path).name for hit in result.hits))


def percent(truths: Sequence[bool]) -> float:
    """The share of true ones."""
    return 100 * float(np.mean(truths)) if len(truths) else float("nan")


@dataclass(frozen=True)
class Figures:
    """Of keywords, in percent."""

    first_right: float  # R@1
    right_in_five: float
    present_doubted: float
    right_first_doubted: float
    absent_passed: float
    present_unsure: float
    absent_unsure: float


def measure(keywords: Sequence[Keyword], results: Sequence[SearchResult]) -> Figures:
    """The figures of answers to keywords."""
    present = [(word, result) for word, result in zip(keywords, results) if word.files]
    absent = [result for word, result in zip(keywords, results) if not word.files]
    right = [(files_of(result)[0] in word.files, result) for word, result in present]
    return Figures(
        first_right=percent([is_right for is_right, _ in right]),
        right_in_five=percent([bool({*files_of(result)[:5]} & {*word.files}) for word, result in present]),
        present_doubted=percent([not result.confident for _, result in present]),
        right_first_doubted=percent([not result.confident for is_right, result in right if is_right]),
        absent_passed=percent([result.confident for result in absent]),
        present_unsure=percent([result.verdict.state == "unsure" for _, result in present]),
        absent_unsure=percent([result.verdict.state == "unsure" for result in absent]),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--checkpoint", default="starter")
    parser.add_argument("--cache", type=Path, default=Path("runs/features"))
    parser.add_argument("--each", action="store_true", help="also a line for each keyword")
    given = parser.parse_args()
    encoder = open_encoder(given.checkpoint)
    data, times, durations = clips_with_times(encoder, given.clips, cache=given.cache, most=CAPTIONS)
    keywords = read_keywords(given.clips / "keywords.jsonl")
    with tempfile.TemporaryDirectory() as folder, score.one_thread():
        library = index_frames(Path(folder), data.files, data.frames, times, durations, encoder)
        results = answers(encoder, library, [word.query for word in keywords])
    for word, result in zip(keywords, results) if given.each else ():
        best = result.hits[0]
        right = "-" if not word.files else "right" if files_of(result)[0] in word.files else "wrong"
        print(f"{result.verdict.state:8} {best.percentile:.2f} {right:6} {word.query}")
    bank = encoder.texts(calibrate.read_bank(BANK))
    with score.one_thread():
        told = absence.queries(encoder, bank, data, len(data.files) // 2, seed=0)
    found = measure(keywords, results)
    doubted, passed = 100 * float(np.mean(told.there < 0)), 100 * float(np.mean(told.absent >= 0))
    print(f"captions on half libraries: present doubted {doubted:.1f}, absent passed {passed:.1f}")
    print(f"keywords unsure: present {found.present_unsure:.1f}, absent {found.absent_unsure:.1f}")
    print(
        f"keywords: R@1 {found.first_right:.1f}, one right in the first five {found.right_in_five:.1f}, "
        f"present doubted {found.present_doubted:.1f}, right first yet doubted {found.right_first_doubted:.1f}, "
        f"absent passed {found.absent_passed:.1f}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
