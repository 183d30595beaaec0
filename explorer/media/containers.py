"""Names the container of a file by its first bytes, or says what it is instead; the file's own name is never judged."""

from __future__ import annotations

import re

# Container as we name it -> the one FFmpeg demuxer allowed to read it, so that nothing is guessed from name or text.
DEMUXERS = {
    "mp4": "mov",
    "mov": "mov",
    "3gp": "mov",
    "matroska": "matroska",
    "webm": "matroska",
    "avi": "avi",
    "mpegts": "mpegts",
    "mpeg": "mpeg",
    "asf": "asf",
    "flv": "flv",
    "gif": "gif",
    "ogg": "ogg",
    "mxf": "mxf",
    "dv": "dv",
    "ivf": "ivf",
    "y4m": "yuv4mpegpipe",
    "h264": "h264",
    "hevc": "hevc",
    "mpegvideo": "mpegvideo",
}
BARE = frozenset(("h264", "hevc", "mpegvideo"))  # a stream without a container: no length, no index, no clock
# Endings that files of another kind have as well: programs in TypeScript and Go, music, settings.
SHARED = frozenset(("ts", "mts", "mod", "tod", "tp", "trp", "dv", "360", "ogg", "dat"))
_BOXES = (b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp")  # an old MOV may start with any of these
_IMAGE_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1", b"crx ")
_AUDIO_BRANDS = (b"M4A ", b"M4B ", b"M4P ")
_MAGIC = (
    (b"\x00\x00\x01\xba", "mpeg"),
    (b"\x00\x00\x01\xb3", "mpegvideo"),
    (b"0&\xb2u\x8ef\xcf\x11", "asf"),
    (b"FLV\x01", "flv"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"OggS", "ogg"),
    (b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02", "mxf"),
    (b"\x1f\x07\x00", "dv"),
    (b"DKIF\x00\x00", "ivf"),
    (b"YUV4MPEG2 ", "y4m"),
)
_REFUSED = (
    (b"#EXTM3U", "it is a playlist (HLS), not a video"),
    (b"ffconcat", "it is a list of files, not a video"),
    (b"<?xml", "it is an XML text, not a video"),
    (b"<MPD", "it is a DASH manifest, not a video"),
    (b"<smil", "it is a playlist, not a video"),
    (b"v=0", "it is a session description (SDP), not a video"),
    (b"PK\x03\x04", "it is a zip archive, not a video"),
    (b"Rar!", "it is an archive, not a video"),
    (b"7z\xbc\xaf", "it is an archive, not a video"),
    (b"\x1f\x8b", "it is a compressed file, not a video"),
    (b"%PDF", "it is a PDF document, not a video"),
    (b"\xff\xd8\xff", "it is a JPEG picture, not a video"),
    (b"\x89PNG", "it is a PNG picture, not a video"),
    (b"BM", "it is a bitmap picture, not a video"),
    (b"ID3", "it holds only sound"),
    (b"fLaC", "it holds only sound"),
    (b"\xff\xfb", "it holds only sound"),
    (b"\x7fELF", "it is a program, not a video"),
    (b"MZ", "it is a program, not a video"),
    (b"SQLite format 3", "it is a database, not a video"),
)
UNKNOWN = "it is no video container known here"
_STRIDES = (188, 192, 204)  # bytes a packet of a transport stream: plain, with times (AVCHD, Blu-ray), with parity
_SYNCS = 8  # packets in a row that show a transport stream behind a foreign header
_PACK = re.compile(rb"\x00\x00\x01\xba[\x20-\x2f\x40-\x7f]")  # MPEG-1 or MPEG-2 follows
_UNIT = re.compile(rb"\x00\x00\x01(?s:(.)(.))")  # a unit of H.264 or HEVC and its two first bytes


def container_of(head: bytes) -> str:
    """The container's name (a key of DEMUXERS) or, where there is none, the reason as the middle of a sentence.

    Example:
        >>> container_of(b"FLV\\x01\\x05"), container_of(b"#EXTM3U")
        ('flv', 'it is a playlist (HLS), not a video')
    """
    if head[4:8] == b"ftyp" or head[4:8] in _BOXES:
        return _iso_container(head)
    if head[:4] == b"\x1aE\xdf\xa3":
        return "webm" if b"webm" in head[:64] else "matroska"
    if head[:4] == b"RIFF":
        kinds = {
            b"AVI ": "avi",
            b"CDXA": "mpeg",  # a Video CD's file
            b"WAVE": "it holds only sound",
            b"WEBP": "it is a picture, not a video",
        }
        return kinds.get(head[8:12], "it is a RIFF file without video")
    found = next((name for magic, name in _MAGIC if head.startswith(magic)), "")
    return found or _stream(head) or _reason(head)


def _iso_container(head: bytes) -> str:
    """mp4, mov or 3gp of a file of ISO boxes; a sentence's middle where it is no video."""
    if head[4:8] != b"ftyp":
        return "mov"
    brand = head[8:12]
    if brand in _IMAGE_BRANDS:
        return "it is a picture, not a video"
    if brand in _AUDIO_BRANDS:
        return "it holds only sound"
    if brand == b"qt  ":
        return "mov"
    return "3gp" if brand[:2] == b"3g" else "mp4"


def _stream(head: bytes) -> str:
    """A stream of packets or of bare pictures, "" where it is none."""
    if _is_transport_stream(head, cut=True):
        return "mpegts"
    bare = _bare_stream(head)
    if bare or _reason(head) != UNKNOWN:
        return bare
    if _is_transport_stream(head, cut=False):
        return "mpegts"
    return "mpeg" if len(_PACK.findall(head)) >= 2 else ""


def _is_transport_stream(head: bytes, *, cut: bool) -> bool:
    """Sync bytes 0x47 in a row: three from within a first, cut packet on, or more behind a header of any length."""
    for stride in _STRIDES:
        reach = min(stride, max(len(head) - 2 * stride, 0)) if cut else max(len(head) - _SYNCS * stride, 0)
        for offset in range(reach):
            if head[offset] == 0x47 and _synced(head[offset::stride][:_SYNCS], least=3 if cut else _SYNCS):
                return True
    return False


def _synced(syncs: bytes, *, least: int) -> bool:
    return len(syncs) >= least and set(syncs) == {0x47}


def _bare_stream(head: bytes) -> str:
    """h264 or hevc by the units that open a stream: parameter sets and what may stand between them."""
    if not head.startswith((b"\x00\x00\x01", b"\x00\x00\x00\x01")):
        return ""
    units = [(first[0], second[0]) for first, second in _UNIT.findall(head)]
    if any(first & 0x80 for first, _ in units[:8]):
        return ""
    if {32, 33, 34} <= {first >> 1 & 0x3F for first, second in units if second & 7 == 1}:
        return "hevc"
    return "h264" if {7, 8} <= {first & 0x1F for first, _ in units if first & 0x60} else ""


def _reason(head: bytes) -> str:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for magic, reason in _REFUSED:
        if text.startswith(magic):
            return reason
    if head[:3] == b"\x00\x00\x01" or head[:4] == b"\x00\x00\x00\x01":
        return "it is a bare stream without a container"
    if not head.strip(b"\x00"):
        return "it holds nothing but zeros"
    return "it is a text, not a video" if _is_text(head) else UNKNOWN


def _is_text(head: bytes) -> bool:
    try:
        text = head[:512].decode("utf-8", "strict" if len(head) < 512 else "ignore")
    except UnicodeDecodeError:
        return False
    return len(text) > len(head[:512]) // 2 and all(c.isprintable() or c in "\t\n\r\f" for c in text)
