"""What each command of the command line does: arguments in, a request to the service, lines or JSON out."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from explorer.cli.printing import rows, run, say
from explorer.config import Settings
from explorer.records import ExplorerError, FoundCue, SearchResult

if TYPE_CHECKING:
    from explorer.service import Explorer

EXIT_WRONG = 3  # check found something wrong


def settings_of(chosen: argparse.Namespace, *, corner: str = "") -> Settings:
    """Settings from arguments; `corner` is a folder of the default data folder for work that is not the library's."""
    settings = Settings.load(
        data_dir=chosen.data_dir,
        checkpoint=getattr(chosen, "checkpoint", None),
        device=getattr(chosen, "device", None),
        decoder=getattr(chosen, "decoder", None),
    )
    return replace(settings, data_dir=settings.data_dir / corner) if corner and chosen.data_dir is None else settings


def page(chosen: argparse.Namespace) -> int:
    """Open the page and serve it until Ctrl-C."""
    from explorer.cli.open_page import open_app

    settings = Settings.load(data_dir=chosen.data_dir, port=chosen.port)
    open_app(settings, open_browser=not chosen.no_browser)
    return 0


def index(chosen: argparse.Namespace) -> int:
    """Bring folders into the library, or up to date."""
    from explorer.service import Explorer
    from explorer.service.requests import IndexRequest

    request = IndexRequest(retry=chosen.retry, trust_smaller=chosen.trust_smaller)
    with Explorer(settings_of(chosen)) as explorer:
        model = _tower_checkpoint(explorer, chosen.tower) if chosen.tower else chosen.checkpoint
        if model:
            explorer.models.choose(model)
        done = run(explorer.library.index(request, folders=chosen.folders), as_json=chosen.json)
    failed, notes = rows(done["failed"]), rows(done["notes"])
    summary = {name: done[name] for name in ("indexed", "unchanged", "failed", "seconds", "video_seconds", "notes")}
    text = (
        f"indexed {done['indexed']}, unchanged {done['unchanged']}, failed {len(failed)}: "
        f"{done['video_seconds']:.0f} s of video in {done['seconds']:.1f} s"
        + "".join(f"\n{note['path']}: {note['note']}" for note in notes)
    )
    say(summary, as_json=chosen.json, text=text)
    return 0


def _tower_checkpoint(explorer: Explorer, name: str) -> str:
    """The checkpoint of a tower, made where there is none; a download is for the page, where the size is agreed to."""
    from explorer.service.requests import TowerRequest

    if name == "starter":
        return "starter"
    offer = explorer.models.look_at_tower(name)
    if not offer.here:
        raise ExplorerError(
            f"{name} takes {offer.megabytes} MB and is not on this machine; "
            "agree to the download on the Models tab, or give a local file as ARCHITECTURE@FILE"
        )
    return str(run(explorer.models.install_tower(TowerRequest(name)), as_json=False)["checkpoint"])


def search(chosen: argparse.Namespace) -> int:
    """Search the library, beside an open app too."""
    from explorer.service import Explorer

    with Explorer(settings_of(chosen), writer=False) as explorer:
        result = explorer.searches.search(
            chosen.text, k=chosen.k, weights=chosen.weights, model=chosen.checkpoint, remember=False
        )
        said = explorer.searches.said(chosen.text)
    lines = [f"{hit.scores.total:.3f}  {hit.start:7.1f}-{hit.end:<7.1f}  {hit.path}" for hit in result.hits]
    lines += [f"said   {hit.cue.start:7.1f}-{hit.cue.end:<7.1f}  {hit.path}  {hit.cue.text}" for hit in said]
    say(
        result_json(result, said),
        as_json=chosen.json,
        text="\n".join([*lines, *([result.reason] if result.reason else []), *result.query.notes]),
    )
    return 0


def result_json(result: SearchResult, said: Sequence[FoundCue] = ()) -> dict[str, object]:
    """A search as scripts read it, and what was said in films.

    `in_order` is null where the query asks for no order of its phrases.
    """
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
            "in_order": hit.in_order,
            "copies": list(hit.copies),
            "recorded": hit.recorded,
            "recorded_by": hit.recorded_by,
            "matches": [asdict(match) for match in hit.matches],
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
        "said": [{"path": hit.path, **asdict(hit.cue)} for hit in said],
    }


def evaluate(chosen: argparse.Namespace) -> int:
    """Measure retrieval on captioned videos."""
    from explorer.service import Explorer
    from explorer.service.requests import EvaluateRequest

    request = EvaluateRequest(
        chosen.videos,
        captions=chosen.captions,
        benchmark=chosen.benchmark or "",
        annotations=chosen.annotations,
        checkpoint=chosen.checkpoint or "",
        weights=chosen.weights,
        binary_selection=chosen.binary_selection,
    )
    with Explorer(settings_of(chosen, corner="evaluation")) as explorer:
        measured = explorer.evaluation.evaluate(request)
    say(measured.result, as_json=chosen.json, text=measured.table)
    return 0


def train(chosen: argparse.Namespace) -> int:
    """Fine-tune a model on captioned videos."""
    from explorer.service import Explorer
    from explorer.service.requests import FineTuneRequest, TrainRequest

    choices = FineTuneRequest(
        base=chosen.base or "",
        model=chosen.model,
        epochs=chosen.epochs,
        lr=chosen.lr,
        seed=chosen.seed,
        name=chosen.name or "",
    )
    request = TrainRequest(chosen.captions, chosen.videos, choices, unfreeze=chosen.unfreeze)
    with Explorer(settings_of(chosen, corner="training")) as explorer:
        done = run(explorer.teaching.train_file(request), as_json=chosen.json)
    notices = map(str, rows(done["notices"]))
    kept = "kept" if done["kept"] else "not kept"
    result = {name: done[name] for name in ("checkpoint", "kept", "before", "after", "seconds")}
    text = "\n".join([f"{done['checkpoint']}: {kept}, {done['seconds']:.0f} s", *notices])
    say(result, as_json=chosen.json, text=text)
    return 0


def models(chosen: argparse.Namespace) -> int:
    """List the checkpoints, or delete one that was made here."""
    from explorer.service import Explorer

    with Explorer(settings_of(chosen), writer=bool(chosen.remove)) as explorer:
        if chosen.remove:
            explorer.models.remove(chosen.remove)
        cards = explorer.models.list()
    lines = [f"{'*' if card.current else ' '} {card.name:24} {card.tower:40} {card.error}" for card in cards]
    say([asdict(card) for card in cards], as_json=chosen.json, text="\n".join(lines))
    return 0


def convert(chosen: argparse.Namespace) -> int:
    """Make safetensors of a pickled weights file."""
    from explorer.model.towers.convert import convert as write

    target = chosen.out or chosen.file.with_suffix(".safetensors")
    count = write(chosen.file, target)
    text = f"{target}: {count} tensors; add it as ARCHITECTURE@{target}"
    say({"tensors": count, "file": str(target)}, as_json=False, text=text)
    return 0


def doctor(chosen: argparse.Namespace) -> int:
    """Say what this installation is made of; 1 where something is not fine."""
    from explorer.service import Explorer

    with Explorer(settings_of(chosen), writer=False) as explorer:
        facts = explorer.doctor()
    lines = [f"{'ok ' if fact.ok else 'BAD'} {fact.name:16} {fact.value}" for fact in facts]
    say([asdict(fact) for fact in facts], as_json=chosen.json, text="\n".join(lines))
    return 0 if all(fact.ok for fact in facts) else 1


def check(chosen: argparse.Namespace) -> int:
    """Look for inconsistencies of the index; EXIT_WRONG where one is left."""
    from explorer.service import Explorer

    with Explorer(settings_of(chosen), writer=chosen.repair) as explorer:
        findings = explorer.library.check(repair=chosen.repair)
    lines = [
        f"{'mended' if finding.repaired else 'wrong'}: {finding.kind}, {finding.where}: {finding.message}"
        for finding in findings
    ]
    say([asdict(finding) for finding in findings], as_json=chosen.json, text="\n".join(lines) or "all is well")
    return 0 if all(finding.repaired for finding in findings) else EXIT_WRONG


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "page": page,
    "index": index,
    "search": search,
    "evaluate": evaluate,
    "train": train,
    "models": models,
    "convert": convert,
    "doctor": doctor,
    "check": check,
}
