"""Decides what status, folders, jobs and failures say; their templates become HTML: pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from explorer.records import Failure, Job, Note, Progress
from explorer.service.answers import Folder, Status, Video
from explorer.ui.present import length
from explorer.ui.render import render

ACTIVE = ("queued", "running", "paused")
KINDS = {
    "index": "Indexing",
    "train": "Fine-tuning",
    "proxy": "Making a playable copy",
    "samples": "Sample library",
    "switch": "Changing the model",
    "measure": "Measuring speeds",
    "download": "Changing the model",
    "tower": "Download",
}
OF_VIDEO = ("index", "samples", "proxy")  # work counted in seconds of video
SHOWN_FAILURES = 200  # more would only slow the page; the rest is counted


@dataclass(frozen=True)
class Button:
    """A button of a panel: its text, the action and value that the page's script sends, its hover text."""

    text: str
    action: str
    value: object = ""
    title: str = ""


@dataclass(frozen=True)
class Number:
    """A number of the library: what it counts, the number as written, its hover text."""

    name: str
    value: str
    told: str


@dataclass(frozen=True)
class JobLine:
    """A job as shown: its name, how much is done in [0, 1], what it does in words, and what can be done with it."""

    job: Job
    kind: str
    share: float
    moving: bool  # it runs and its length is not known
    told: str
    buttons: tuple[Button, ...]


def filling(jobs: Sequence[Job]) -> bool:
    """Whether videos are being added to the library now."""
    return any(job.kind in ("index", "samples") and job.state in ("queued", "running") for job in jobs)


# ---- status


def model_state(status: Status) -> tuple[str, str]:
    """Whether the model can answer, in a few words, and in a sentence for the hover."""
    if status.model == "ready":
        device = status.device or "cpu"
        return f"ready on {device.split(',')[0]}", status.message or f"Checkpoint {status.checkpoint} on {device}"
    if status.model == "failed":
        return "model failed", status.message
    return "model loading…", status.message or "The page works already; the first search waits for the model"


def news(status: Status) -> list[tuple[str, str]]:
    """What the service wants the person to know: (sentence, warn or error)."""
    told = [(sentence, "warn") for sentence in status.notices if sentence]
    if status.model == "failed":
        told.append((f"The model cannot be loaded: {status.message or 'see the Models tab'}", "error"))
    return told


def header(status: Status, jobs: Sequence[Job]) -> str:
    """The line on top of the page with library, model and work under way, and the news under it, as HTML."""
    working = [short(job) for job in jobs if job.state in ACTIVE]
    word, told = model_state(status)
    return render("header", status=status, working=working[:1], word=word, told=told, news=news(status))


def short(job: Job) -> str:
    """A job in a few words: Indexing 40 %."""
    progress = job.progress
    share = f" {100 * progress.done / progress.total:.0f} %" if progress.total else ""
    return KINDS.get(job.kind, job.kind) + share + (" (paused)" if job.state == "paused" else "")


def counts(status: Status) -> str:
    """The library in numbers, as HTML."""
    always = [
        Number("videos", f"{status.videos:,}", "Files that can be searched"),
        Number("moments", f"{status.windows:,}", "Windows that are searched, half of each overlapping the next"),
        Number("of video", length(status.seconds), "Length of all indexed videos"),
    ]
    others = [
        ("failed", status.failed, "Files that could not be indexed; the reasons are below"),
        ("missing", status.missing, "Files that are gone; their index is kept"),
        ("offline", status.offline, "Files of folders that cannot be reached now; nothing is removed"),
    ]
    return render(
        "counts", cells=[*always, *(Number(name, f"{value:,}", told) for name, value, told in others if value)]
    )


# ---- library


FOLDER_STATES = {
    "offline": "This folder cannot be reached now. Its index is kept; connect the drive and index again.",
    "online": "The folder can be read",
    "ok": "The folder can be read",
}


def folders(found: Sequence[Folder]) -> str:
    """The folders of the library with their state, as HTML."""
    return render("folders", folders=found, states=FOLDER_STATES)


def progress_text(job: Job) -> str:
    """What a job is doing: stage, share, speed, time left."""
    progress = job.progress
    parts = [progress.stage] if progress.stage and job.state in ("running", "paused") else []
    parts += of_video(progress) if job.kind in OF_VIDEO else counted(progress)
    if progress.eta is not None and job.state == "running":
        parts.append(f"{length(progress.eta)} left")
    return " · ".join(parts)


def of_video(progress: Progress) -> list[str]:
    """How much video is done, of how much, and how quickly."""
    so_far = "" if progress.done >= progress.total else f"{length(progress.done)} of "
    parts = [f"{so_far}{length(progress.total)} of video"] if progress.total else []
    return parts + ([f"{amount(round(progress.rate, 1))} × real time"] if progress.rate else [])


def counted(progress: Progress) -> list[str]:
    """How many steps are done, of how many, and how quickly."""
    parts = [f"{amount(progress.done)} of {amount(progress.total)}"] if progress.total else []
    return parts + ([f"{progress.rate:.1f} a second"] if progress.rate else [])


def amount(value: float) -> str:
    """A count of work: whole where it is whole."""
    return f"{value:,.0f}" if float(value).is_integer() or value >= 100 else f"{value:.1f}"


def job_buttons(job: Job) -> tuple[Button, ...]:
    """What can be done with a job in its state."""
    cancel = Button("Cancel", "cancel", job.id, "Stop; what is done is kept")
    choices = {
        "running": (Button("Pause", "pause", job.id, "Pause; resume at any time"), cancel),
        "paused": (Button("Resume", "resume", job.id, "Go on"), cancel),
        "queued": (cancel,),
        "interrupted": (Button("Resume", "resume", job.id, "Go on where it was interrupted"), cancel),
    }
    return choices.get(job.state, ())


def job_line(job: Job) -> JobLine:
    """One job: how full its bar is, a line of what it does, its buttons."""
    progress = job.progress
    share = min(1.0, progress.done / progress.total) if progress.total else float(job.state == "done")
    moving = job.state == "running" and not progress.total
    return JobLine(job, KINDS.get(job.kind, job.kind), share, moving, progress_text(job), job_buttons(job))


def job_item(job: Job) -> str:
    """One job alone, as HTML."""
    return render("jobs", lines=[job_line(job)])


def jobs(found: Sequence[Job], *, finished: int = 3) -> str:
    """All work under way and the last finished ones, as HTML; broken-off work is shown with a way to go on."""
    open_jobs = [job for job in found if job.state in (*ACTIVE, "interrupted")]
    closed = sorted((job for job in found if job not in open_jobs), key=lambda job: -(job.finished or job.created))
    return render("jobs", lines=[job_line(job) for job in [*open_jobs, *closed[:finished]]])


def failures(found: Sequence[Failure]) -> str:
    """The files that could not be indexed, each with its reason, as HTML."""
    return render("failures", failures=found[:SHOWN_FAILURES], rest=max(0, len(found) - SHOWN_FAILURES))


def notes(found: Sequence[Note]) -> str:
    """What was read otherwise than one would expect, the file or folder and how, as HTML."""
    rest = max(0, len(found) - SHOWN_FAILURES)
    return render("notes", notes=found[:SHOWN_FAILURES], rest=rest) if found else ""


def videos(found: Sequence[Video]) -> str:
    """The indexed files, as a table in HTML."""
    return render("videos", videos=found)
