"""Says whether a file may meet a decoder at all: an ordinary file, whose first bytes are of a video container we
know."""

from __future__ import annotations

import errno
import os
import stat

from explorer.records import ExplorerError

HEAD = 4096  # bytes read to know a container: 20 transport-stream packets
# A drive or a network that went away or fails, whatever the file holds
_UNREAD = ("EIO", "ENXIO", "ENODEV", "ESTALE", "ETIMEDOUT", "EREMOTEIO", "ENOTCONN", "EHOSTDOWN", "ENOMEDIUM")
UNREAD = {getattr(errno, name) for name in _UNREAD if hasattr(errno, name)}
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
}
_BOXES = (b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp")  # an old MOV may start with any of these
_IMAGE_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1", b"crx ")
_AUDIO_BRANDS = (b"M4A ", b"M4B ", b"M4P ")
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


class Unreadable(ExplorerError):
    """The drive did not give a file's bytes: the file is not at fault, nothing is known of it, and it stays in line."""


def shown(path: str) -> str:
    """A path as one printable line: control characters, direction marks and undecodable bytes become escapes.

    Example:
        >>> shown("a\\nb.mp4")
        'a\\\\nb.mp4'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in path)


def refusal(path: str, reason: str, *, remedy: str = "remove it from the folder or convert it") -> ExplorerError:
    """The one sentence a person reads of a file that is not decoded."""
    return ExplorerError(f"cannot decode {shown(path)}: {reason}; {remedy}")


def unreadable(path: str, error: OSError) -> Unreadable:
    """The sentence for a file that its drive does not give."""
    return Unreadable(
        str(
            refusal(
                path,
                f"its drive cannot be read ({os.strerror(error.errno or errno.EIO)})",
                remedy="check the drive, then index again; nothing was forgotten",
            )
        )
    )


def read_through(path: str) -> None:
    """Read a whole file, to tell a drive that fails from content that does: decoders speak of both in the same words.

    Raises:
        Unreadable: the drive does not give it.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            while file.read(1 << 20):
                pass
    except OSError as error:
        raise unreadable(path, error) from error


def _read_head(path: str) -> bytes:
    """First bytes of an ordinary file. O_NONBLOCK, so that opening a FIFO returns; fstat, so that what was opened is
    judged."""
    try:
        named = os.lstat(path)
    except OSError as error:
        raise refusal(
            path, f"it cannot be read ({error.strerror})", remedy="check that it exists and may be read"
        ) from error
    _refuse_special(path, named.st_mode)
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags)
    except OSError as error:
        raise refusal(
            path, f"it cannot be read ({error.strerror})", remedy="check that it exists and may be read"
        ) from error
    try:
        _refuse_special(path, os.fstat(handle).st_mode)
        return os.read(handle, HEAD)
    except OSError as error:
        raise unreadable(path, error) from error
    finally:
        os.close(handle)


def _refuse_special(path: str, mode: int) -> None:
    if stat.S_ISLNK(mode):
        raise refusal(path, "it is a link", remedy="add the folder that it points to")
    if stat.S_ISDIR(mode):
        raise refusal(path, "it is a folder", remedy="rename it or leave it")
    if not stat.S_ISREG(mode):
        raise refusal(path, "it is a pipe, a socket or a device, not a file", remedy="remove it from the folder")


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


def _is_transport_stream(head: bytes) -> bool:
    """Three sync bytes 0x47 in a row, 188 bytes apart (192 on Blu-ray and AVCHD), with some bytes of a cut packet
    before."""
    for stride in (188, 192):
        for offset in range(min(stride, max(len(head) - 2 * stride, 0))):
            syncs = head[offset::stride]
            if len(syncs) >= 3 and set(syncs[:8]) == {0x47}:
                return True
    return False


def _container(head: bytes) -> str:
    """The container's name (a key of DEMUXERS) or, where there is none, the reason as the middle of a sentence."""
    if head[4:8] == b"ftyp" or head[4:8] in _BOXES:
        return _iso_container(head)
    if head[:4] == b"\x1aE\xdf\xa3":
        return "webm" if b"webm" in head[:64] else "matroska"
    if head[:4] == b"RIFF":
        return {b"AVI ": "avi", b"WAVE": "it holds only sound", b"WEBP": "it is a picture, not a video"}.get(
            head[8:12], "it is a RIFF file without video"
        )
    for magic, name in (
        (b"\x00\x00\x01\xba", "mpeg"),
        (b"0&\xb2u\x8ef\xcf\x11", "asf"),
        (b"FLV\x01", "flv"),
        (b"GIF87a", "gif"),
        (b"GIF89a", "gif"),
        (b"OggS", "ogg"),
    ):
        if head.startswith(magic):
            return name
    if _is_transport_stream(head):
        return "mpegts"
    return _reason(head)


def _reason(head: bytes) -> str:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for magic, reason in _REFUSED:
        if text.startswith(magic):
            return reason
    if head[:3] == b"\x00\x00\x01" or head[:4] == b"\x00\x00\x00\x01":
        return "it is a bare stream without a container"
    if not head.strip(b"\x00"):
        return "it holds nothing but zeros"
    if _is_text(head):
        return "it is a text, not a video"
    return "it is no video container known here"


def _is_text(head: bytes) -> bool:
    try:
        text = head[:512].decode("utf-8", "strict" if len(head) < 512 else "ignore")
    except UnicodeDecodeError:
        return False
    return len(text) > len(head[:512]) // 2 and all(c.isprintable() or c in "\t\n\r\f" for c in text)


def container(path: str, *, root: str | None = None) -> str:
    """Name a file's container by its content.

    Args:
        path: the file; its own name is never judged.
        root: the library folder it was found in; a file whose real place is elsewhere is refused.

    Returns:
        A key of DEMUXERS.

    Raises:
        ExplorerError: one sentence: a link, a folder, a pipe or device, empty, unreadable, or no video container.
    """
    if root is not None and not _inside(path, root):
        raise refusal(path, "it leads out of the library", remedy="add the folder that it really lies in")
    head = _read_head(path)
    if not head:
        raise refusal(path, "it is empty", remedy="remove it, or copy it again")
    found = _container(head)
    if found not in DEMUXERS:
        raise refusal(path, found)
    return found


def _inside(path: str, root: str) -> bool:
    real, folder = os.path.realpath(path), os.path.realpath(root)
    return real == folder or real.startswith(folder.rstrip(os.sep) + os.sep)


def check(path: str, *, root: str | None = None) -> None:
    """Pass or refuse a file before any decoder sees it; see `container` for arguments and errors."""
    container(path, root=root)
