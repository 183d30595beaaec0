"""Puts the packets of a file whose clock restarts on one line of time. Runs in the child."""

from __future__ import annotations

from dataclasses import dataclass

import av

# Recordings that were joined end to end, or whose receiver lost the signal: the clock begins anew inside the file.
CLOCKED = frozenset(("mpegts", "mpeg", "flv"))
BACK = 0.3  # seconds a packet may lie before the one it follows: decoding order never goes back
AHEAD = 60.0  # seconds without a packet that such a container never holds: its clock was set


@dataclass
class _Track:
    """What was seen of one stream: its clock's last reading, where the next packet belongs, how often it restarted."""

    raw: float | None = None
    end: float = 0.0
    restarts: int = 0
    offset: float = 0.0


class Timeline:
    """Seconds added to each stretch of a file, so that it follows the one before; the film's clock leads the sound."""

    def __init__(self, film: int, *, step: float) -> None:
        """film: the index of the film's stream; step: seconds of a packet that does not say how long it lasts."""
        self._film, self._step = film, step
        self._tracks: dict[int, _Track] = {}
        self._offsets = [0.0]  # of the film's stretches

    @property
    def restarts(self) -> int:
        return len(self._offsets) - 1

    def end(self) -> float:
        """Seconds on the one line of time at which the film's newest packet ends."""
        return self._tracks[self._film].end if self._film in self._tracks else 0.0

    def place(self, packet: av.Packet) -> None:
        """Move a packet's times to where its stretch belongs; packets of a stream come in the order of decoding."""
        ticks = packet.dts if packet.dts is not None else packet.pts
        base = packet.time_base
        track = self._tracks.setdefault(packet.stream.index, _Track())
        lasts = float((packet.duration or 0) * base) or self._step
        if ticks is None:  # program streams give a time now and then
            track.end += lasts
            return
        raw = float(ticks * base)
        if track.raw is not None and not -BACK <= raw - track.raw <= AHEAD:
            self._begin(track, raw, film=packet.stream.index == self._film)
        track.raw, track.end = raw, raw + track.offset + lasts
        shift = round(track.offset / base)
        if shift:
            packet.pts = packet.pts + shift if packet.pts is not None else None
            packet.dts = packet.dts + shift if packet.dts is not None else None

    def _begin(self, track: _Track, raw: float, *, film: bool) -> None:
        """A new stretch: the film's follows what was seen; sound takes the film's offset, so both stay together."""
        track.restarts += 1
        follows = track.end - raw
        if film:
            self._offsets.append(follows)
        known = self._offsets[track.restarts] if track.restarts < len(self._offsets) else follows
        track.offset = follows if film else known
