"""What each command of the command line does: arguments in, lines or JSON out."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from explorer.config import Settings
from explorer.records import ExplorerError, Progress, SearchResult


def settings_of(chosen: argparse.Namespace, *, corner: str = "") -> Settings:
    """Settings from arguments; `corner` is a folder of the default data folder for work that is not the library's."""
    settings = Settings.load(
        data_dir=chosen.data_dir,
        checkpoint=getattr(chosen, "checkpoint", None),
        device=getattr(chosen, "device", None),
        decoder=getattr(chosen, "decoder", None),
    )
    return replace(settings, data_dir=settings.data_dir / corner) if corner and chosen.data_dir is None else settings


def say(value: Any, *, as_json: bool, text: str = "") -> None:
    """Print one result; odd bytes of file names are spelled out, control characters never reach the terminal raw."""
    line = json.dumps(value, ensure_ascii=True) if as_json else text
    printable = "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in line)
    print(printable.encode("utf-8", "backslashreplace").decode("utf-8"), flush=True)


def show(step: Progress, *, as_json: bool) -> None:
    """One line of progress on stderr, failures as they come."""
    if as_json:
        say(
            {"stage": step.stage, "done": round(step.done, 2), "total": round(step.total, 2), "current": step.current},
            as_json=True,
        )
        return
    for failure in step.failures:
        print(f"\r{failure.reason}".encode("utf-8", "backslashreplace").decode(), file=sys.stderr)
    left = f", {step.eta:.0f} s left" if step.eta is not None else ""
    name = Path(step.current).name.encode("utf-8", "backslashreplace").decode()
    if sys.stderr.isatty():
        print(f"\r\033[K{step.stage} {step.done:.0f} of {step.total:.0f}{left}  {name[:60]}", end="", file=sys.stderr)


def run(steps: Iterator[Progress], *, as_json: bool) -> dict[str, Any]:
    """Show all of a long work's progress; the summary of its end."""
    summary: dict[str, Any] = {}
    for step in steps:
        if step.stage != "done":
            show(step, as_json=as_json)
        summary = step.summary or summary
    if sys.stderr.isatty() and not as_json:
        print("\r\033[K", end="", file=sys.stderr)
    return summary


def page(chosen: argparse.Namespace) -> int:
    from explorer.cli.open_page import open_app

    settings = Settings.load(data_dir=chosen.data_dir, port=chosen.port)
    open_app(settings, open_browser=not chosen.no_browser)
    return 0


def index(chosen: argparse.Namespace) -> int:
    from explorer.service import Explorer

    with Explorer(settings_of(chosen)) as explorer:
        if chosen.tower:
            name = _tower(explorer, chosen.tower)
            explorer.choose(name)
        elif chosen.checkpoint:
            explorer.choose(chosen.checkpoint)
        found = run(explorer.index_now(chosen.folders, retry=chosen.retry), as_json=chosen.json)
    summary = {name: found[name] for name in ("indexed", "unchanged", "failed", "seconds", "video_seconds")}
    summary["failed"] = [{"path": one["path"], "reason": one["reason"]} for one in found["failed"]]
    summary["notes"] = found["notes"]
    text = (
        f"indexed {summary['indexed']}, unchanged {summary['unchanged']}, failed {len(summary['failed'])}: "
        f"{summary['video_seconds']:.0f} s of video in {summary['seconds']:.1f} s"
        + "".join(f"\n{note['path']}: {note['note']}" for note in summary["notes"])
    )
    say(summary, as_json=chosen.json, text=text)
    return 0


def _tower(explorer: Any, name: str) -> str:
    """The checkpoint of a tower, made where there is none; a download is for the page, where the size is agreed to."""
    if name == "starter":
        return "starter"
    offer = explorer.look_at_tower(name)
    if not offer.here:
        raise ExplorerError(
            f"{name} takes {offer.megabytes} MB and is not on this machine; "
            "agree to the download on the Models tab, or give a local file as ARCHITECTURE@FILE"
        )
    return run(explorer.shelf.add_tower(name), as_json=False)["checkpoint"]


def search(chosen: argparse.Namespace) -> int:
    from explorer.service import Explorer

    with Explorer(settings_of(chosen), writer=False) as explorer:
        result = explorer.search(
            chosen.text, k=chosen.k, weights=chosen.weights, model=chosen.checkpoint, remember=False
        )
    lines = [f"{hit.scores.total:.3f}  {hit.start:7.1f}-{hit.end:<7.1f}  {hit.path}" for hit in result.hits]
    say(
        result_json(result),
        as_json=chosen.json,
        text="\n".join([*lines, *([result.reason] if result.reason else []), *result.query.notes]),
    )
    return 0


def result_json(result: SearchResult) -> dict[str, Any]:
    """A search as scripts read it."""
    hits = [
        {
            "path": hit.path,
            "start": hit.start,
            "end": hit.end,
            "scores": asdict(hit.scores),
            "agreement": hit.agreement,
            "strength": hit.strength,
            "percentile": hit.percentile,
            "weak": hit.weak,
            "matches": [
                {"phrase": m.phrase, "start": m.start, "end": m.end, "score": m.score, "found": m.found}
                for m in hit.matches
            ],
        }
        for hit in result.hits
    ]
    return {
        "query": result.query.text,
        "phrases": [phrase.text for phrase in result.phrases],
        "hits": hits,
        "confident": result.confident,
        "verdict": result.verdict.state,
        "reason": result.reason,
        "notes": list(result.query.notes),
    }


def evaluate(chosen: argparse.Namespace) -> int:
    from explorer.service import Explorer
    from explorer.service.evaluation import measure_benchmark, measure_captions, measure_selection

    if (chosen.captions is None) == (chosen.benchmark is None):
        raise ExplorerError(
            "say what to measure on: either --captions FILE, or --benchmark NAME with --annotations DIR"
        )
    with Explorer(settings_of(chosen, corner="evaluation")) as explorer:
        if chosen.binary_selection:
            result, text = measure_selection(explorer, chosen)
        elif chosen.benchmark:
            result, text = measure_benchmark(explorer, chosen)
        else:
            result, text = measure_captions(explorer, chosen)
    say(result, as_json=chosen.json, text=text)
    return 0


def train(chosen: argparse.Namespace) -> int:
    from explorer.service import Explorer
    from explorer.service.train_captions import learn

    with Explorer(settings_of(chosen, corner="training")) as explorer:
        summary = run(learn(explorer, chosen), as_json=chosen.json)
    kept = "kept" if summary["kept"] else "not kept"
    notices = "".join(f"\n{notice}" for notice in summary.get("notices", ()))
    result = {name: summary[name] for name in ("checkpoint", "kept", "before", "after", "seconds")}
    say(result, as_json=chosen.json, text=f"{summary['checkpoint']}: {kept}, {summary['seconds']:.0f} s{notices}")
    return 0


def models(chosen: argparse.Namespace) -> int:
    from explorer.service.desk import Desk
    from explorer.service.models import Shelf

    settings = settings_of(chosen)
    current = Desk(settings.data_dir).current() or settings.checkpoint
    found = [{**one, "current": one.get("name") == current} for one in Shelf(settings).models()]
    lines = [
        f"{'*' if one['current'] else ' '} {one.get('name', '?'):24} {one.get('tower', ''):40} {one.get('error', '')}"
        for one in found
    ]
    say(found, as_json=chosen.json, text="\n".join(lines))
    return 0


def doctor(chosen: argparse.Namespace) -> int:
    from explorer.service.desk import Desk
    from explorer.service.doctor import examine

    settings = settings_of(chosen)
    found = examine(settings, Desk(settings.data_dir).current() or settings.checkpoint)
    say(
        found,
        as_json=chosen.json,
        text="\n".join(f"{'ok ' if one['ok'] else 'BAD'} {one['name']:16} {one['value']}" for one in found),
    )
    return 0 if all(one["ok"] for one in found) else 1


def check(chosen: argparse.Namespace) -> int:
    from explorer.service import Explorer
    from explorer.service.searches import CACHES
    from explorer.store.check import check as look
    from explorer.store.vectors import VectorCache

    with Explorer(settings_of(chosen), writer=chosen.repair) as explorer:
        encoders = list(explorer.store.encoders())
        path = explorer.settings.data_dir / CACHES / f"{encoders[0]}.faiss" if encoders else None
        vectors = VectorCache(explorer.store, path, encoder=encoders[0]) if path and path.is_file() else None
        found = look(explorer.store, vectors=vectors, stills=explorer.stills, repair=chosen.repair)
    lines = [f"{'mended' if one.repaired else 'wrong'}: {one.kind}, {one.where}: {one.message}" for one in found]
    say([asdict(one) for one in found], as_json=chosen.json, text="\n".join(lines) or "all is well")
    return 0 if all(one.repaired for one in found) else 3


def convert(chosen: argparse.Namespace) -> int:
    from explorer.model.towers.convert import convert as write

    target = chosen.out or chosen.file.with_suffix(".safetensors")
    count = write(chosen.file, target)
    say(
        {"tensors": count, "file": str(target)},
        as_json=False,
        text=f"{target}: {count} tensors; add it as ARCHITECTURE@{target}",
    )
    return 0
