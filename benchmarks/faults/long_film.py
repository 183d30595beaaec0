"""Part of the goal "as people have them": a film of hours is indexed though it is killed twice on the way.

Run: python -m benchmarks.faults.long_film [CLIP] [--hours 3]. CLIP is a real file, looped without encoding it anew; without
one a drawn film is. The last line is the figure; exit 1 if it falls short.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av

from benchmarks.faults.common import PROJECT, SAMPLING, finish
from explorer.store.check import check
from explorer.store.store import Store
from tests.support.videos import Recipe, coloured

CHILD = """
import sys
from pathlib import Path
from tests.support.colour import ColourEncoder
from tests.support.indexing import run_index
from explorer.store.store import Store
encoder = ColourEncoder()
with Store(sys.argv[1]) as store:
    run_index(store, Path(sys.argv[2]), encoder)
print(encoder.frames_seen, flush=True)
"""
KILLS = 2
WAL_MOST = 64 << 20  # bytes of write-ahead log
GROWTH_MOST = 400 << 20  # bytes of the indexing process, libraries and model included


def loop(clip: Path, out: Path, *, seconds: float) -> Path:
    """Write a clip's packets again and again until the film lasts so long."""
    with av.open(str(clip)) as source, av.open(str(out), "w") as file:
        video = source.streams.video[0]
        stream = file.add_stream_from_template(video)
        packets = [packet for packet in source.demux(video) if packet.dts is not None]
        step = max(p.pts + (p.duration or 1) for p in packets) - min(p.dts for p in packets)
        data = [(bytes(p), p.pts, p.dts, p.duration, p.is_keyframe) for p in packets]
        for turn in range(round(seconds / float(step * video.time_base)) + 1):
            for content, pts, dts, duration, key in data:
                packet = av.Packet(content)
                packet.pts, packet.dts, packet.duration = pts + turn * step, dts + turn * step, duration
                packet.time_base, packet.is_keyframe, packet.stream = video.time_base, key, stream
                file.mux(packet)
    return out


def kept_frames(database: Path) -> int:
    """Frames of the unfinished film that are on disk."""
    with Store(database, read_only=True) as store, store.database.read() as connection:
        return connection.execute("SELECT coalesce(sum(length(times) / 8), 0) FROM draft_parts").fetchone()[0]


def index_until(database: Path, folder: Path, *, kill_at: int | None) -> tuple[int, int, int]:
    """(frames encoded, most bytes of memory, most of the log); the process is killed once so many frames are kept."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(database), str(folder)], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )
    memory = log = 0
    while process.poll() is None:
        time.sleep(0.2)
        wal = Path(f"{database}-wal")
        log = max(log, wal.stat().st_size if wal.exists() else 0)
        try:
            pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
            memory = max(memory, pages * os.sysconf("SC_PAGE_SIZE"))
        except (OSError, IndexError):
            pass
        if kill_at is not None and database.exists() and kept_frames(database) >= kill_at:
            process.send_signal(signal.SIGKILL)
    said = process.communicate()[0].split()
    return int(said[-1]) if said else 0, memory, log


def run(folder: Path, clip: Path | None, *, hours: float) -> tuple[str, bool]:
    """The figure, and whether it is good."""
    library, database = folder / "films", folder / "index.db"
    library.mkdir()
    Store(database).close()
    clip = clip or coloured(folder / "drawn.mp4", [("red", 20.0), ("blue", 20.0)], Recipe(fps=5, width=64, height=48))
    loop(clip, library / "long.mp4", seconds=hours * 3600)
    whole = round(hours * 3600 * SAMPLING.fps)
    kills, memory, log, encoded = [], 0, 0, 0
    for share in (*(whole * (n + 1) // (KILLS + 1) for n in range(KILLS)), None):
        encoded, most, longest = index_until(database, library, kill_at=share)
        memory, log = max(memory, most), max(log, longest)
        if share is not None:
            kills.append(kept_frames(database))
    with Store(database) as store:
        (video,) = store.videos()
        frames = len(store.features(video.id).times) if video.set_id else 0
        wrong = check(store)
    good = video.state == "indexed" and frames >= whole and not wrong and 0 < kills[0] < kills[-1]
    good &= encoded <= frames - kills[-1] + 1 and log <= WAL_MOST and memory <= GROWTH_MOST
    told = ", ".join(map(str, kills))
    return (
        f"{hours:g} hours killed {len(kills)} times with {told} of {frames} frames kept: {video.state}, the last run encoded "
        f"{encoded}; memory at most {memory >> 20} MB, write-ahead log {log >> 20} MB",
        bool(good),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", nargs="?", type=Path)
    parser.add_argument("--hours", type=float, default=3.0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        told, good = run(Path(folder), chosen.clip, hours=chosen.hours)
    return finish("long film", told, good=good)


if __name__ == "__main__":
    sys.exit(main())
