"""Says whether a file may meet a decoder at all: an ordinary file, of a video container we know by its first bytes."""

from __future__ import annotations

import errno
import os
import stat

from explorer.media.containers import DEMUXERS, SHARED, container_of
from explorer.records import ExplorerError

HEAD = 1 << 16  # bytes read to know a container: some recorders put a header of their own before the first packet
# A drive or a network that went away or fails, whatever the file holds
_UNREAD = ("EIO", "ENXIO", "ENODEV", "ESTALE", "ETIMEDOUT", "EREMOTEIO", "ENOTCONN", "EHOSTDOWN", "ENOMEDIUM")
UNREAD = {getattr(errno, name) for name in _UNREAD if hasattr(errno, name)}


class Unreadable(ExplorerError):
    """The drive did not give a file's bytes: the file is not at fault, nothing is known of it, and it stays in line."""


class NotVideo(ExplorerError):
    """The file is whole, but no video: text or sound under an ending that videos share, a picture that does not move.

    `kind` is what it is, in the plural, for the one line that counts such files.
    """

    def __init__(self, sentence: str, kind: str) -> None:
        super().__init__(sentence)
        self.kind = kind


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
    found = container_of(head)
    if found in DEMUXERS:
        return found
    raise _no_video(path, found)


def _no_video(path: str, reason: str) -> ExplorerError:
    """The refusal of a file that is no container of video; sound, and text under an ending of other files, is no
    failed video."""
    sentence = refusal(path, reason)
    if "sound" in reason:
        return NotVideo(str(sentence), "sounds")
    if "text" in reason and os.path.splitext(path)[1].lower().lstrip(".") in SHARED:
        return NotVideo(str(sentence), "texts")
    return sentence


def _inside(path: str, root: str) -> bool:
    real, folder = os.path.realpath(path), os.path.realpath(root)
    return real == folder or real.startswith(folder.rstrip(os.sep) + os.sep)


def check(path: str, *, root: str | None = None) -> None:
    """Pass or refuse a file before any decoder sees it; see `container` for arguments and errors."""
    container(path, root=root)
