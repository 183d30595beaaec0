"""Last step of a search: hits leave as a table, a playlist, an edit list or trimmed clips; names in them are
hostile."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from urllib.parse import quote

from explorer.records import ExplorerError, Hit, SearchResult, VideoInfo

FORMATS = ("csv", "jsonl", "m3u", "edl", "fcpxml")
COLUMNS = (
    "rank",
    "path",
    "start",
    "end",
    "total",
    "video_sentence",
    "clip_phrase",
    "frame_word",
    "agreement",
    "matches",
)
BROADCAST_RATES = tuple(Fraction(n * 1000, 1001) for n in (24, 30, 48, 60, 120))  # 23.976, 29.97, ...
DEFAULT_RATE = Fraction(25)
TIMECODE = re.compile(r"\d\d:[0-5]\d:[0-5]\d[:;.]\d{2,3}")
EDL_EVENTS = 999  # CMX3600 numbers events with three digits
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet runs cells that begin so


def frame_rate(fps: float) -> Fraction:
    """A measured rate as the exact one it stands for.

    >>> frame_rate(29.97), frame_rate(25.0), frame_rate(0.0)
    (Fraction(30000, 1001), Fraction(25, 1), Fraction(25, 1))
    """
    if not 1 <= fps <= 1000:
        return DEFAULT_RATE
    close = [rate for rate in BROADCAST_RATES if abs(float(rate) - fps) < 0.006]
    return close[0] if close else Fraction(fps).limit_denominator(1001)


def _rate_of(hit: Hit, infos: Mapping[int, VideoInfo]) -> Fraction:
    info = infos.get(hit.video_id)
    return frame_rate(info.fps) if info else DEFAULT_RATE


def _frames(seconds: float | Fraction, rate: Fraction) -> int:
    return max(round(Fraction(seconds).limit_denominator(1_000_000) * rate), 0)


def file_uri(path: str) -> str:
    """A path as a file: address; every byte outside a few letters is percent-encoded, so no name can break a line or
    a tag."""
    raw = os.fsencode(path)
    if os.name == "nt":
        raw = b"/" + raw.replace(b"\\", b"/")
    return "file://" + quote(raw, safe="/:")


def plain(text: str) -> str:
    """Text fit for one line of any format: no control characters, line ends, half characters or XML's forbidden
    ones."""
    shown = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in shown)


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    value = plain(value)
    return "'" + value if value.startswith(FORMULA) else value


def hit_json(hit: Hit) -> dict[str, object]:
    """A hit as the command line prints it: scores as numbers, seconds, the path as it is on disk."""
    return {
        "path": hit.path,
        "start": hit.start,
        "end": hit.end,
        "scores": {
            "video_sentence": hit.scores.video_sentence,
            "clip_phrase": hit.scores.clip_phrase,
            "frame_word": hit.scores.frame_word,
            "total": hit.scores.total,
        },
        "agreement": hit.agreement,
        "matches": [
            {"phrase": m.phrase, "start": m.start, "end": m.end, "score": m.score, "found": m.found}
            for m in hit.matches
        ],
    }


def as_csv(result: SearchResult) -> str:
    """One row a hit; a cell that a spreadsheet would run as a formula is quoted."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(COLUMNS)
    for rank, hit in enumerate(result.hits, 1):
        matches = "; ".join(
            f"{m.phrase} [{m.start:.2f}-{m.end:.2f}] {m.score:.3f}{'' if m.found else ' (not found)'}"
            for m in hit.matches
        )
        scores = hit.scores
        row = (
            rank,
            hit.path,
            f"{hit.start:.3f}",
            f"{hit.end:.3f}",
            f"{scores.total:.4f}",
            f"{scores.video_sentence:.4f}",
            f"{scores.clip_phrase:.4f}",
            f"{scores.frame_word:.4f}",
            f"{hit.agreement:.4f}",
            matches,
        )
        table.writerow([_cell(value) for value in row])
    return out.getvalue()


def as_jsonl(result: SearchResult) -> str:
    """One JSON object a hit, in the command line's form; ASCII, so odd bytes in names survive as escapes."""
    return "".join(json.dumps({"query": result.query.text, **hit_json(hit)}) + "\n" for hit in result.hits)


def as_m3u(result: SearchResult) -> str:
    """A playlist that VLC and mpv start at the moments; files are named as addresses."""
    lines = ["#EXTM3U"]
    for hit in result.hits:
        lines += [
            f"#EXTINF:{max(hit.end - hit.start, 0):.0f},{plain(os.path.basename(hit.path))}",
            f"#EXTVLCOPT:start-time={hit.start:.3f}",
            f"#EXTVLCOPT:stop-time={hit.end:.3f}",
            file_uri(hit.path),
        ]
    return "\n".join(lines) + "\n"


def drops(rate: Fraction) -> int:
    """Frame numbers that drop-frame counting leaves out a minute: 2 at 29.97, 4 at 59.94, 0 where there is no such
    counting."""
    return {Fraction(30000, 1001): 2, Fraction(60000, 1001): 4, Fraction(120000, 1001): 8}.get(rate, 0)


def timecode(frames: int, rate: Fraction, *, drop: bool = False) -> str:
    """Frames as hh:mm:ss:ff at the nominal rate; dropping leaves out numbers, as SMPTE ST 12 counts, and has a ; in
    front of the frames.

    >>> timecode(90, Fraction(30000, 1001)), timecode(1800, Fraction(30000, 1001), drop=True)
    ('00:00:03:00', '00:01:00;02')
    """
    nominal = max(round(rate), 1)
    left_out = drops(rate) if drop else 0
    if left_out:  # every minute but each tenth has left_out numbers fewer
        minute, ten = 60 * nominal - left_out, 600 * nominal - 9 * left_out
        tens, rest = divmod(frames, ten)
        frames += left_out * (9 * tens + max((rest - left_out) // minute, 0))
    seconds, frame = divmod(frames, nominal)
    sign = ";" if left_out else ":"
    width = max(2, len(str(nominal - 1)))
    return f"{seconds // 3600 % 24:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{sign}{frame:0{width}d}"


def frames_of(code: str, rate: Fraction) -> int:
    """The frames that a timecode counts; a ; or . in front of its frames says that numbers were dropped.

    >>> frames_of("00:01:00;02", Fraction(30000, 1001)), frames_of("01:00:00:00", Fraction(25))
    (1800, 90000)
    """
    hours, minutes, seconds, frame = (int(part) for part in re.split("[:;.]", code))
    total = hours * 60 + minutes
    count = (total * 60 + seconds) * max(round(rate), 1) + frame
    return count - (drops(rate) * (total - total // 10) if is_drop(code) else 0)


def is_drop(code: str) -> bool:
    return code[8:9] in (";", ".")


@dataclass(frozen=True)
class _Clock:
    """How the frames of a file are counted: its own rate, the number of its first frame, and whether numbers drop."""

    rate: Fraction
    first: int = 0
    drop: bool = False

    def code(self, frames: int) -> str:
        """The timecode of a frame counted from the file's first."""
        return timecode(self.first + frames, self.rate, drop=self.drop)


def _clock_of(hit: Hit, infos: Mapping[int, VideoInfo]) -> _Clock:
    rate, info = _rate_of(hit, infos), infos.get(hit.video_id)
    if info is None or not TIMECODE.fullmatch(info.timecode):
        return _Clock(rate)
    return _Clock(rate, frames_of(info.timecode, rate), is_drop(info.timecode) and bool(drops(rate)))


def _title(result: SearchResult) -> str:
    return plain(result.query.text)[:60] or "moments"


def as_edl(result: SearchResult, infos: Mapping[int, VideoInfo]) -> str:
    """A CMX3600 edit list: the moments one after the other from 01:00:00:00, with the file's name and a marker each.

    Source times are the file's own timecode at its own rate; the edit list runs at the first file's.
    """
    hits = result.hits[:EDL_EVENTS]
    own = _clock_of(hits[0], infos) if hits else _Clock(DEFAULT_RATE)
    record = replace(own, first=frames_of("01:00:00;00" if own.drop else "01:00:00:00", own.rate))
    lines = [f"TITLE: {_title(result)}", f"FCM: {'DROP' if own.drop else 'NON-DROP'} FRAME", ""]
    position = 0
    for number, hit in enumerate(hits, 1):
        source = _clock_of(hit, infos)
        start = _frames(hit.start, source.rate)
        end = max(_frames(hit.end, source.rate), start + 1)
        length = max(_frames(Fraction(end - start) / source.rate, record.rate), 1)
        codes = (source.code(start), source.code(end), record.code(position), record.code(position + length))
        lines += [
            f"{number:03d}  AX       V     C        " + " ".join(codes),
            f"* FROM CLIP NAME: {plain(os.path.basename(hit.path))}",
            f"* LOC: {record.code(position)} GREEN   {_title(result)} {hit.scores.total:.3f}",
            *([f"* SOURCE FRAME RATE: {float(source.rate):.3f}"] if source.rate != record.rate else []),
            "",
        ]
        position += length
    return "\n".join(lines)


def _seconds(frames: int, rate: Fraction) -> str:
    """Frames as FCPXML's rational seconds: 30 frames at 30000/1001 are 1001/1000s."""
    value = Fraction(frames) / rate
    return f"{value.numerator}/{value.denominator}s" if value.denominator != 1 else f"{value.numerator}s"


def _add_resources(resources: ET.Element, result: SearchResult, infos: Mapping[int, VideoInfo]) -> None:
    """One format and one asset for each file of the hits."""
    for video_id, hit in {hit.video_id: hit for hit in reversed(result.hits)}.items():
        clock, info = _clock_of(hit, infos), infos.get(video_id)
        rate = clock.rate
        duration = _frames(max(hit.duration, hit.end), rate)
        ET.SubElement(
            resources,
            "format",
            id=f"f{video_id}",
            frameDuration=_seconds(1, rate),
            width=str(info.width if info else 1920),
            height=str(info.height if info else 1080),
        )
        asset = ET.SubElement(
            resources,
            "asset",
            id=f"a{video_id}",
            name=plain(os.path.basename(hit.path)),
            start=_seconds(clock.first, rate),
            duration=_seconds(duration, rate),
            hasVideo="1",
            format=f"f{video_id}",
        )
        if info and info.audio_codec:
            asset.set("hasAudio", "1")
        ET.SubElement(asset, "media-rep", kind="original-media", src=file_uri(hit.path))


def as_fcpxml(result: SearchResult, infos: Mapping[int, VideoInfo]) -> str:
    """An FCPXML 1.10 project with the moments one after the other; every time is a whole number of frames of its
    clock."""
    root = ET.Element("fcpxml", version="1.10")
    resources = ET.SubElement(root, "resources")
    _add_resources(resources, result, infos)
    event = ET.SubElement(ET.SubElement(root, "library"), "event", name="HCMI Explorer")
    project = ET.SubElement(event, "project", name=_title(result))
    clock = _clock_of(result.hits[0], infos) if result.hits else _Clock(DEFAULT_RATE)
    rate = clock.rate
    if not result.hits:
        ET.SubElement(resources, "format", id="f0", frameDuration=_seconds(1, rate))
    sequence = ET.SubElement(
        project,
        "sequence",
        format=f"f{result.hits[0].video_id if result.hits else 0}",
        tcStart="0s",
        tcFormat="DF" if clock.drop else "NDF",
    )
    spine, position = ET.SubElement(sequence, "spine"), 0
    for hit in result.hits:
        own = _clock_of(hit, infos)
        length = max(_frames(hit.end - hit.start, rate), 1)  # on the timeline's clock, as offset is
        ET.SubElement(
            spine,
            "asset-clip",
            ref=f"a{hit.video_id}",
            name=plain(os.path.basename(hit.path)),
            offset=_seconds(position, rate),
            format=f"f{hit.video_id}",
            start=_seconds(own.first + _frames(hit.start, own.rate), own.rate),
            duration=_seconds(length, rate),
            tcFormat="DF" if own.drop else "NDF",
        )
        position += length
    sequence.set("duration", _seconds(position, rate))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE fcpxml>\n' + ET.tostring(root, encoding="unicode") + "\n"


def render(result: SearchResult, form: str, *, infos: Mapping[int, VideoInfo] | None = None) -> str:
    """The hits as text of one of FORMATS; `infos` gives each video_id its rate and size (25 fps where unknown)."""
    writers: dict[str, Callable[[], str]] = {
        "csv": lambda: as_csv(result),
        "jsonl": lambda: as_jsonl(result),
        "m3u": lambda: as_m3u(result),
        "edl": lambda: as_edl(result, infos or {}),
        "fcpxml": lambda: as_fcpxml(result, infos or {}),
    }
    if form not in writers:
        raise ExplorerError(f"{form} is not an export format; choose one of {', '.join(FORMATS)}")
    return writers[form]()


def export(result: SearchResult, out: Path, *, infos: Mapping[int, VideoInfo] | None = None) -> Path:
    """Write the hits to `out` in the format its suffix names: whole, or not at all.

    Raises:
        ExplorerError: an unknown suffix, no hits, or a place that cannot be written.
    """
    if not result.hits:
        raise ExplorerError("there are no hits to export; search for something that is found first")
    text = render(result, out.suffix.lstrip(".").lower(), infos=infos)
    try:
        with tempfile.NamedTemporaryFile("wb", dir=out.parent, prefix=".export-", suffix=".tmp", delete=False) as file:
            file.write(text.encode("utf-8"))
        os.replace(file.name, out)
    except OSError as error:
        raise ExplorerError(
            f"cannot write {out}: {error.strerror}; choose another folder or free some space"
        ) from error
    return out


def export_clips(hits: Sequence[Hit], folder: Path, *, cut: Callable[[str, float, float, Path], object]) -> list[Path]:
    """Trim each hit into `folder` as 01-name.mp4 and so on; `cut(path, start, end, out)` does the cutting."""
    written = []
    for number, hit in enumerate(hits, 1):
        stem = "".join(c if c.isalnum() or c in "-_ " else "_" for c in plain(Path(hit.path).stem))[:60]
        out = folder / f"{number:02d}-{stem}.mp4"
        cut(hit.path, hit.start, hit.end, out)
        written.append(out)
    return written
