"""A folder of hostile files made by code, with good ones between, pushed through the gate and the decoding child.

    python -m benchmarks.faults.hostile
Prints the counts last; exits 1 where the parent saw anything but a decoded clip or one sentence, or a good file failed.
"""

from __future__ import annotations

import os
import random
import struct
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from explorer.config import SamplingConfig
from explorer.media.decode import DecodeWorker
from explorer.records import ExplorerError, FrameSize
from tests.support.videos import Recipe, encode, numbered, stripes

SEED = 5
GOOD = (
    ("libx264", ".mp4"),
    ("libx264", ".mkv"),
    ("libvpx-vp9", ".webm"),
    ("libx264", ".ts"),
    ("mpeg4", ".avi"),
    ("libx265", ".mp4"),
    ("libsvtav1", ".mp4"),
    ("flv", ".flv"),
    ("mpeg2video", ".mpg"),
    ("wmv2", ".wmv"),
)
TEXTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n",
    "hls_http": "#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n",
    "ffconcat": "ffconcat version 1.0\nfile /etc/passwd\n",
    "dash": '<?xml version="1.0"?><MPD><BaseURL>file:///etc/passwd</BaseURL></MPD>',
    "mpd": "<MPD></MPD>",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
    "strm": "http://127.0.0.1:9/x.mp4\n",
    "html": "<html><script>alert(1)</script></html>",
    "svg": '<svg xmlns="http://www.w3.org/2000/svg"/>',
    "text": "not a video\n",
    "asx": "<smil></smil>",
}
HEADS = {
    "zip": b"PK\x03\x04" + bytes(100),
    "jpeg": b"\xff\xd8\xff\xe0" + bytes(100),
    "png": b"\x89PNG\r\n\x1a\n" + bytes(99),
    "pdf": b"%PDF-1.7\n",
    "elf": b"\x7fELF" + bytes(60),
    "exe": b"MZ" + bytes(60),
    "gzip": b"\x1f\x8b" + bytes(60),
    "mp3": b"ID3\x04" + bytes(60),
    "wav": b"RIFF\x24\0\0\0WAVEfmt " + bytes(40),
    "empty": b"",
    "one": b"\x00",
    "zeros": bytes(4096),
    "ones": b"\xff" * 4096,
    "sqlite": b"SQLite format 3\0" + bytes(99),
    "ftyp": b"\0\0\0\x18ftypisom\0\0\0\0isommp42",
    "ebml": b"\x1aE\xdf\xa3\x9fB\x86\x81\x01webm",
    "riff": b"RIFF\xff\xff\xff\xffAVI LIST",
    "sync": b"\x47" * 4096,
    "flv": b"FLV\x01\x05\0\0\0\x09",
    "asf": b"0&\xb2u\x8ef\xcf\x11",
    "gif": b"GIF89a\xff\xff\xff\xff\0\0\0",
    "ogg": b"OggS" + bytes(30),
    "ps": b"\0\0\x01\xba" + bytes(60),
}


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(1, max(len(data) // 8, 2))]


def _flip(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(max(len(data) // 40, 8)):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _blocks(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(4):
        place = rng.randrange(len(changed))
        changed[place : place + 512] = b"\xff" * len(changed[place : place + 512])
    return bytes(changed)


def _delete(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data))
    return data[:place] + data[place + rng.randrange(1, 2000) :]


def _double(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data))
    return data[:place] + data[max(place - 3000, 0) :]


def _header(data: bytes, rng: random.Random) -> bytes:
    return rng.randbytes(8) + data[8:]


def _half(data: bytes, rng: random.Random) -> bytes:
    return data[: len(data) // 2]


WAYS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "cut": _cut,
    "half": _half,
    "flip": _flip,
    "blocks": _blocks,
    "delete": _delete,
    "double": _double,
    "header": _header,
}


def _claims(mp4: bytes) -> dict[str, bytes]:
    """MP4s that lie: huge pictures, frames without number, endless length, chunks past the end, a codec nobody knows."""
    made = {
        "no_moov": mp4[: mp4.rindex(b"moov") - 4],
        "encrypted": mp4.replace(b"avc1", b"encv"),
        "codec": mp4.replace(b"avc1", b"zzzz"),
        "no_mdat": mp4.replace(b"mdat", b"free"),
    }
    for box, offset, value, name in (
        (b"avc1", 28, struct.pack(">HH", 65535, 65535), "huge"),
        (b"stsz", 12, struct.pack(">I", 1 << 31), "frames"),
        (b"mvhd", 20, struct.pack(">I", 0xFFFFFFF0), "length"),
        (b"mdhd", 20, struct.pack(">I", 0xFFFFFFF0), "media_length"),
        (b"stco", 12, struct.pack(">I", 0x7FFFFFFF), "chunks"),
        (b"stts", 12, struct.pack(">I", 0x7FFFFFFF), "deltas"),
        (b"mvhd", 16, struct.pack(">I", 0), "timescale"),
        (b"moov", -4, struct.pack(">I", 8), "moov_size"),
    ):
        place = mp4.rindex(box) + offset
        made[name] = mp4[:place] + value + mp4[place + len(value) :]
    return made


def _special(folder: Path) -> list[Path]:
    """Things with a video's name that are no files."""
    if os.name == "nt":
        return []
    os.mkfifo(folder / "pipe.mp4")
    (folder / "folder.mp4").mkdir()
    links = {"zero.mp4": "/dev/zero", "dangling.mp4": "nowhere.mp4", "self.mp4": "self.mp4", "out.mp4": "/etc/passwd"}
    for name, target in links.items():
        os.symlink(target, folder / name)
    return [folder / name for name in ("pipe.mp4", "folder.mp4", *links)]


def make_hostile_folder(folder: Path | str) -> list[tuple[str, bool]]:
    """Fill a folder and say of each file whether it must be indexed; the others may decode in part or be refused.

    Returns:
        (path, must_index) of at least 120 hostile and 16 good files; special files (pipe, links) are among the hostile.
    """
    folder, rng = Path(folder), random.Random(SEED)
    folder.mkdir(parents=True, exist_ok=True)
    good = [
        numbered(folder / f"good_{codec}{suffix}", Recipe(codec=codec, suffix=suffix, frames=30, height=64))
        for codec, suffix in GOOD
    ]
    bad: dict[str, bytes] = {f"text_{name}.mp4": text.encode() for name, text in TEXTS.items()}
    bad |= {f"head_{name}.mp4": head for name, head in HEADS.items()} | {"random.mkv": rng.randbytes(9000)}
    bad |= {f"claim_{name}.mp4": data for name, data in _claims(good[0].read_bytes()).items()}
    bad |= {
        f"{way}_{path.stem}{path.suffix}": change(path.read_bytes(), rng)
        for path in good
        for way, change in WAYS.items()
    }
    for name, data in bad.items():
        (folder / name).write_bytes(data)
    good += _odd_but_good(folder)
    return (
        [(str(path), True) for path in good]
        + [(str(folder / name), False) for name in bad]
        + [(str(path), False) for path in _special(folder)]
    )


def _odd_but_good(folder: Path) -> list[Path]:
    """Strange and sound: 16 pixels, one frame, slow, quick, late, turned by 45 degrees; a name like a command."""
    made = [
        encode(folder / "odd_tiny.mp4", (stripes(n, 16, 16) for n in range(5)), Recipe(width=16, height=16)),
        numbered(folder / "odd_one.mp4", Recipe(frames=1, height=64)),
        numbered(folder / "odd_slow.mp4", Recipe(fps=1, frames=5, height=64)),
        numbered(folder / "odd_quick.mp4", Recipe(fps=240, frames=60, height=64)),
        numbered(folder / "odd_late.ts", Recipe(suffix=".ts", start=9, frames=30, height=64)),
        numbered(folder / "odd_tilted.mp4", Recipe(rotation=45, frames=10, height=64)),
    ]
    twin = folder / ";$(id) <img src=x onerror=alert(1)>.mp4" if os.name != "nt" else folder / ";$(id).mp4"
    twin.write_bytes(made[1].read_bytes())
    return [*made, twin]


def try_file(worker: DecodeWorker, path: str) -> tuple[bool, str]:
    """(frames came, what a person is told). Anything but an ExplorerError goes up: that is a failed goal."""
    try:
        clip = worker.open(path, sampling=SamplingConfig(), size=FrameSize(64, 64))
        return sum(len(run) for run in clip) > 0, ""
    except ExplorerError as error:
        return False, str(error)


def main() -> int:
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as folder, DecodeWorker() as worker:
        files = make_hostile_folder(folder)
        for path, must_index in files:
            try:
                came, told = try_file(worker, path)
            except Exception as error:
                came, told = False, f"\n{type(error).__name__}: {error}"
            if (must_index and not came) or "\n" in told or (not came and not told.startswith("cannot ")):
                wrong.append(f"{os.path.basename(path)}: {told.strip() or 'no frames'}")
    for line in wrong:
        print(line)
    hostile = sum(not must for _, must in files)
    print(f"R1: {hostile} hostile and {len(files) - hostile} good files went through, {len(wrong)} wrong")
    return 0 if hostile >= 120 and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
