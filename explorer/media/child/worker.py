"""The child that decodes: takes one request at a time from standard input, answers on standard output, dies with its
parent."""

from __future__ import annotations

import argparse
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, BinaryIO

import av
import numpy as np

from explorer.config import SamplingConfig
from explorer.media import gate
from explorer.media.child import backends, cues, transcode, wire
from explorer.media.child.pulse import PULSE
from explorer.media.gate import shown
from explorer.records import ExplorerError, Frames, FrameSize

TOO_MUCH_MEMORY = 77  # exit code where the memory limit was passed
HANDLES = 64  # open files at most
ADDRESS_ROOM = (
    3 << 30
)  # bytes of address space beyond the memory limit: libraries and thread stacks reserve more than they use
WATCH = 0.05  # seconds between two looks at the memory in use and at the parent
STUCK = 120  # seconds without such a look after which the system ends this process: native code never let go
BEAT = 0.5  # seconds between two signs of life
AHEAD = 4  # messages decoded while the parent is busy: 20 MB at 224 x 224
Message = tuple[dict[str, Any], list[bytes]]


def _frames_message(run: Frames) -> Message:
    fresh = None if run.fresh is None else run.fresh.tolist()
    header = {"times": run.times.tolist(), "shape": list(run.pixels.shape), "stills": len(run.stills), "fresh": fresh}
    return header, [run.pixels.tobytes(), *run.stills]


def _read(request: dict[str, Any], reading: backends.Reading) -> Iterator[Message]:
    yield {"info": asdict(reading.info), "decoder": reading.decoder, "note": reading.note}, []
    for run in reading.runs:
        header, blobs = _frames_message(run)
        yield {**header, "damaged": reading.damaged}, blobs
    reading.source.close()
    if reading.source.unread:
        gate.read_through(request["path"])
    yield (
        {
            "end": True,
            "bad_packets": reading.source.bad,
            "damaged": reading.damaged,
            "decoder": reading.decoder,
            "note": reading.note,
            "notes": reading.source.notes,
            "length": reading.length,
        },
        [],
    )


def _probe(request: dict[str, Any]) -> Iterator[Message]:
    yield {"info": asdict(backends.probe(request["path"], threads=request["threads"]))}, []


def _sample(request: dict[str, Any]) -> Iterator[Message]:
    yield from _read(
        request,
        backends.read(
            request["path"],
            backends.sampled(SamplingConfig(**request["sampling"])),
            size=FrameSize(**request["size"]),
            still_width=request["still_width"],
            threads=request["threads"],
            decoder=request["decoder"],
            after=request["after"],
            adaptive=request["adaptive"],
        ),
    )


def _frames_at(request: dict[str, Any]) -> Iterator[Message]:
    times = np.array(request["times"], dtype=np.float64)
    yield from _read(
        request,
        backends.read(
            request["path"],
            lambda _: times,
            size=FrameSize(**request["size"]),
            still_width=request["still_width"],
            threads=request["threads"],
            decoder=request["decoder"],
            whole=False,
        ),
    )


def _convert(request: dict[str, Any]) -> Iterator[Message]:
    for done, total in transcode.convert(request["path"], request["out"], **request["how"]):
        yield {"done": done, "total": total}, []
    yield {"end": True}, []


def _cues(request: dict[str, Any]) -> Iterator[Message]:
    yield {"cues": list(cues.read_cues(request["path"]))}, []


REQUESTS = {"cues": _cues, "probe": _probe, "sample": _sample, "frames_at": _frames_at, "convert": _convert}


def answer(request: dict[str, Any]) -> Iterator[Message]:
    """Messages for one request; whatever goes wrong becomes one sentence, so that the next file is served."""
    try:
        yield from REQUESTS[request["do"]](request)
    except MemoryError:
        os._exit(TOO_MUCH_MEMORY)
    except Exception as error:  # one file's trouble: the child lives on
        yield _failure(request["path"], error), []


def _failure(path: str, error: Exception) -> dict[str, Any]:
    """What the parent is told of an error: a sentence, and whether the drive is at fault and not the file."""
    try:
        if _of_a_drive(error):
            gate.read_through(path)
    except gate.Unreadable as unread:
        error = unread
    if isinstance(error, ExplorerError):
        kind = error.kind if isinstance(error, gate.NotVideo) else ""
        return {"error": str(error), "unread": isinstance(error, gate.Unreadable), "no_video": kind}
    reason = shown(" ".join(str(error).split()))[:200]
    return {
        "error": f"cannot decode {shown(path)}: {type(error).__name__} {reason}; "
        "convert it or remove it from the folder"
    }


def _of_a_drive(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, speaks of reading; some demuxers say the same of bad content."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in gate.UNREAD:
            return True
        error = error.__cause__
    return False


def _memory_in_use() -> int:
    """Bytes this process holds now; 0 where the system does not say (there only the address limit counts)."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0


def _watch(limit: int, parent: int) -> None:
    """End this process where it holds too much memory or its parent is gone.

    Native code that never lets go of the interpreter stops this thread too: the alarm, set anew at each look, is then
    the system's to ring.
    """
    alarm = getattr(signal, "alarm", lambda seconds: None)  # Windows has none
    while True:
        if _memory_in_use() > limit:
            os._exit(TOO_MUCH_MEMORY)
        if os.name == "posix" and os.getppid() != parent:  # on Windows a launcher may stand between
            os._exit(0)
        alarm(STUCK)
        time.sleep(WATCH)


def _limit(memory_mb: int, *, parent: int, may_write: bool) -> None:
    """Limits that hold where a system has them: address space, handles, no core file, no file written by the
    decoder."""
    limit = memory_mb << 20
    threading.Thread(target=_watch, args=(limit, parent), daemon=True).start()
    try:
        import resource
    except ImportError:  # Windows
        return
    wanted = {resource.RLIMIT_AS: limit + ADDRESS_ROOM, resource.RLIMIT_NOFILE: HANDLES, resource.RLIMIT_CORE: 0}
    if not may_write:
        wanted[resource.RLIMIT_FSIZE] = 0
    for kind, value in wanted.items():
        _set_limit(resource, kind, value)


def _set_limit(resource: Any, kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    try:
        resource.setrlimit(kind, (value, value))
    except (ValueError, OSError):  # macOS knows no limit of address space
        pass


def _listen(stream: BinaryIO, requests: queue.Queue[dict[str, Any]]) -> None:
    """Hand requests on; the end of the stream means that the parent is gone, and so this process goes too."""
    while True:
        try:
            message = wire.receive(stream)
        except wire.WireError:
            message = None
        if message is None:
            os._exit(0)
        requests.put(message[0])


def _speak(stream: BinaryIO, answers: queue.Queue[Message]) -> None:
    """Write answers while the next frames are decoded; the queue's bound keeps a long file from piling up."""
    while True:
        try:
            wire.send(stream, *answers.get())
        except OSError:
            os._exit(0)


def _beat(answers: queue.Queue[Message]) -> None:
    """Tell the parent now and then that work goes on, though nothing has come of it yet: it waits for no other sign."""
    told = 0
    while True:
        time.sleep(BEAT)
        if PULSE.count != told and not answers.full():
            told = PULSE.count
            answers.put(({"alive": True}, []))


def serve(requests_from: BinaryIO, answers_to: BinaryIO) -> None:
    """Serve requests for ever."""
    requests: queue.Queue[dict[str, Any]] = queue.Queue()
    answers: queue.Queue[Message] = queue.Queue(maxsize=AHEAD)
    threading.Thread(target=_listen, args=(requests_from, requests), daemon=True).start()
    threading.Thread(target=_speak, args=(answers_to, answers), daemon=True).start()
    threading.Thread(target=_beat, args=(answers,), daemon=True).start()
    while True:
        for message in answer(requests.get()):
            answers.put(message)


def main() -> None:
    """Entry point: keep the answer pipe to ourselves, since FFmpeg and decord may print to standard output."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--memory", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True, help="its process number; this process ends with it")
    parser.add_argument("--may-write", action="store_true")
    parser.add_argument("--niceness", type=int, default=0, help="how far it lets others go first")
    chosen = parser.parse_args()
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    av.logging.set_level(None)
    if os.name == "posix":
        os.nice(chosen.niceness)
    _limit(chosen.memory, parent=chosen.parent, may_write=chosen.may_write)
    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
