"""Reads the words said in a film from the text tracks inside it. Runs in the child."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import av

from explorer.media.child.source import CODECS as FILM_CODECS
from explorer.media.child.source import LENIENT
from explorer.media.gate import DEMUXERS
from explorer.media.gate import container as container_of

# Text tracks only: pictures of text (DVD, Blu-ray) hold no words.
CODECS = frozenset("subrip srt mov_text ass ssa webvtt text".split())
CONTAINERS = frozenset(("mp4", "mov", "3gp", "matroska", "webm"))
MOST = 200_000  # cues of one film
MARKUP = re.compile(r"\{[^}]*\}|<[^>]*>")


def read_cues(path: str) -> Iterator[tuple[float, float, str, str]]:
    """(start, end, text, language) of every cue of the first text track of each language, seconds of the film.

    Raises:
        ExplorerError: refused by the gate.
        av.FFmpegError: the file does not open.
    """
    kind = container_of(path)
    if kind not in CONTAINERS:
        return
    # the pictures are not decoded, but their first time is where the film begins
    options = {"protocol_whitelist": "file", "codec_whitelist": ",".join(sorted(CODECS | FILM_CODECS))}
    with av.open("file:" + os.path.abspath(path), format=DEMUXERS[kind], options=options, **LENIENT) as file:
        tracks: dict[str, av.subtitles.stream.SubtitleStream] = {}
        for stream in file.streams.subtitles:
            if stream.codec_context is not None and stream.codec_context.name in CODECS:
                tracks.setdefault(stream.metadata.get("language", "und"), stream)
        languages = {stream.index: language for language, stream in tracks.items()}
        if not languages:
            return
        begin = (file.start_time or 0) / av.time_base
        for count, packet in enumerate(file.demux(list(tracks.values()))):
            if count >= MOST:
                return
            if packet.size and packet.pts is not None and packet.time_base is not None:
                start = float(packet.pts * packet.time_base) - begin
                end = start + float((packet.duration or 0) * packet.time_base)
                for text in _texts(packet):
                    yield start, end, text, languages[packet.stream.index]


def _texts(packet: av.Packet) -> Iterator[str]:
    """The words of one packet, its markup removed; a packet that does not decode has none."""
    try:
        found = packet.stream.decode(packet)
    except av.FFmpegError:
        return
    for subtitle in found:
        dialogue = getattr(subtitle, "dialogue", b"") or b""
        yield MARKUP.sub("", dialogue.decode("utf-8", "replace").replace("\\N", " ").replace("\\n", " "))
