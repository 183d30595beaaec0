"""Status, folders, jobs and failures become escaped HTML: pure."""

from __future__ import annotations

from collections.abc import Sequence

from explorer.records import Failure, Job, Note, Progress
from explorer.service.answers import Folder, Status, Video
from explorer.ui.present import clock, count, length, name, safe

ACTIVE = ("queued", "running", "paused")
KINDS = {
    "index": "Indexing",
    "train": "Fine-tuning",
    "proxy": "Making a playable copy",
    "samples": "Sample library",
    "download": "Download",
    "tower": "Download",
}
OF_VIDEO = ("index", "samples", "proxy")  # work counted in seconds of video
SHOWN_FAILURES = 200  # more would only slow the page; the rest is counted


def button(text: str, action: str, value: object = "", *, title: str = "", kind: str = "", confirm: str = "") -> str:
    """A button of a panel; the page's script sends its action and value."""
    asked = f' data-confirm="{safe(confirm)}"' if confirm else ""
    return (
        f'<button type="button" class="hx-button {kind}" data-act="{safe(action)}" data-value="{safe(value)}" '
        f'title="{safe(title)}"{asked}>{safe(text)}</button>'
    )


def empty(text: str, hint: str) -> str:
    """What a place without content says: what it is for and what to do next."""
    return f'<div class="hx-nothing"><b>{safe(text)}</b><p>{safe(hint)}</p></div>'


def filling(jobs: Sequence[Job]) -> bool:
    """Whether videos are being added to the library now."""
    return any(job.kind in ("index", "samples") and job.state in ("queued", "running") for job in jobs)


# ---- status


def model_state(status: Status) -> str:
    """Whether the model can answer, in one word and one sentence."""
    state = status.model
    words = {
        "loading": "model loading…",
        "ready": f"ready on {(status.device or 'cpu').split(',')[0]}",
        "failed": "model failed",
    }
    told = status.message or {
        "loading": "The page works already; the first search waits for the model",
        "ready": f"Checkpoint {status.checkpoint} on {status.device or 'cpu'}",
    }.get(state, "")
    return f'<span class="hx-state hx-{safe(state)}" title="{safe(told)}"><i></i>{safe(words.get(state, state))}</span>'


def header(status: Status, jobs: Sequence[Job]) -> str:
    """The line on top of the page: name, library, model, work under way."""
    working = [job for job in jobs if job.state in ACTIVE]
    parts = [f'<span title="Indexed videos">{count(status.videos, "video")}</span>']
    if working:
        parts.append(f'<span class="hx-working" title="See the Library tab">{safe(short(working[0]))}</span>')
    parts.append(model_state(status))
    return (
        '<header class="hx-header"><span class="hx-logo"><img src="/assets/icon.svg" alt="">HCMI Explorer</span>'
        f'<span class="hx-parts">{"".join(parts)}</span></header>{news(status)}'
    )


def news(status: Status) -> str:
    """What the service wants the person to know, each in a line that can be put away."""
    told = [(sentence, "warn") for sentence in status.notices]
    if status.model == "failed":
        told.append((f"The model cannot be loaded: {status.message or 'see the Models tab'}", "error"))
    return "".join(
        f'<div class="hx-notice hx-news hx-{kind}" role="status" data-news="{safe(text)}"><b>{safe(text)}</b>'
        '<button type="button" class="hx-link" data-dismiss title="Put this away" aria-label="Put this away">×</button></div>'
        for text, kind in told
        if text
    )


def short(job: Job) -> str:
    """A job in a few words: Indexing 40 %."""
    progress = job.progress
    share = f" {100 * progress.done / progress.total:.0f} %" if progress.total else ""
    return KINDS.get(job.kind, job.kind) + share + (" (paused)" if job.state == "paused" else "")


def counts(status: Status) -> str:
    """The library in numbers."""
    cells = [
        ("videos", status.videos, "Files that can be searched"),
        ("moments", status.windows, "Windows of a file that are searched, half of each overlapping the next"),
        ("of video", length(status.seconds), "Length of all indexed videos"),
        ("failed", status.failed, "Files that could not be indexed; the reasons are below"),
        ("missing", status.missing, "Files that are gone; their index is kept"),
        ("offline", status.offline, "Files of folders that cannot be reached now; nothing is removed"),
    ]
    made = "".join(
        f'<div title="{told}"><b>{value if isinstance(value, str) else f"{value:,}"}</b><span>{label}</span></div>'
        for label, value, told in cells
        if value or label in ("videos", "moments", "of video")
    )
    return f'<div class="hx-counts">{made}</div>'


# ---- library


def folders(found: Sequence[Folder]) -> str:
    """The folders of the library with their state."""
    if not found:
        return empty(
            "No folder yet.",
            "Type the path of a folder with videos above, or take the sample library. "
            "Nothing in your folders is ever changed, and nothing leaves this machine.",
        )
    return f'<ul class="hx-list">{"".join(folder(one) for one in found)}</ul>'


def folder(one: Folder) -> str:
    """One folder: path, how many videos, state, what can be done."""
    state, failed = one.state, one.failed
    told = {
        "offline": "This folder cannot be reached now. Its index is kept; connect the drive and index again.",
        "online": "The folder can be read",
        "ok": "The folder can be read",
    }.get(state, state)
    bad = f' · <span class="hx-bad">{failed} failed</span>' if failed else ""
    ask = "Remove this folder from the library? Its videos stay where they are; only their index goes."
    return (
        f'<li><div><b class="hx-path" title="{safe(one.path)}">{safe(one.path)}</b>'
        f"<span>{count(one.videos, 'video')}{bad}</span></div>"
        f'<span class="hx-tag hx-{safe(state)}" title="{safe(told)}">{safe(state)}</span>'
        f"{button('Remove', 'remove', one.id, title='Take this folder out of the library', confirm=ask)}</li>"
    )


def progress_line(job: Job) -> str:
    """What a job is doing: stage, share, speed, time left, file in hand."""
    progress = job.progress
    parts = [safe(progress.stage)] if progress.stage and job.state in ("running", "paused") else []
    parts += of_video(progress) if job.kind in OF_VIDEO else counted(progress)
    if progress.eta is not None and job.state == "running":
        parts.append(f"{length(progress.eta)} left")
    here = (
        f'<span class="hx-current" title="{safe(progress.current)}">{name(progress.current)}</span>'
        if progress.current
        else ""
    )
    return f"<span>{' · '.join(parts)}</span>{here}"


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


def job_buttons(job: Job) -> str:
    """What can be done with a job in its state."""
    cancel = button("Cancel", "cancel", job.id, title="Stop; what is done is kept")
    choices = {
        "running": button("Pause", "pause", job.id, title="Pause; resume at any time") + cancel,
        "paused": button("Resume", "resume", job.id, title="Go on") + cancel,
        "queued": cancel,
        "interrupted": button("Resume", "resume", job.id, title="Go on where it was interrupted") + cancel,
    }
    return choices.get(job.state, "")


def job_item(job: Job) -> str:
    """One job: a bar, a line of what it does, its buttons."""
    progress = job.progress
    share = min(1.0, progress.done / progress.total) if progress.total else (1.0 if job.state == "done" else 0.0)
    moving = " hx-unknown" if job.state == "running" and not progress.total else ""
    reason = f'<p class="hx-bad">{safe(job.error)}</p>' if job.error else ""
    return (
        f'<li class="hx-job hx-{safe(job.state)}"><div><b>{safe(KINDS.get(job.kind, job.kind))}</b>'
        f'<span class="hx-tag hx-{safe(job.state)}">{safe(job.state)}</span>'
        f'<div class="hx-progress{moving}" role="progressbar" aria-valuenow="{100 * share:.0f}" aria-valuemin="0" '
        f'aria-valuemax="100"><i style="width:{100 * share:.1f}%"></i></div>{progress_line(job)}{reason}</div>'
        f'<span class="hx-buttons">{job_buttons(job)}</span></li>'
    )


def jobs(found: Sequence[Job], *, finished: int = 3) -> str:
    """All work under way and the last finished ones; broken-off work is shown with a way to go on."""
    open_jobs = [job for job in found if job.state in (*ACTIVE, "interrupted")]
    closed = sorted((job for job in found if job not in open_jobs), key=lambda job: -(job.finished or job.created))
    items = "".join(job_item(job) for job in [*open_jobs, *closed[:finished]])
    return (
        f'<ul class="hx-list">{items}</ul>'
        if items
        else empty("Nothing is running.", "Indexing, training and copies show here.")
    )


def failures(found: Sequence[Failure]) -> str:
    """The files that could not be indexed, each with its reason."""
    if not found:
        return empty("No failures.", "A file that cannot be indexed is listed here with the reason.")
    lines = "".join(
        f'<li><div><b class="hx-path" title="{safe(one.path)}">{name(one.path)}</b>'
        f"<span>{safe(one.reason)}</span></div></li>"
        for one in found[:SHOWN_FAILURES]
    )
    rest = f"<p>and {len(found) - SHOWN_FAILURES} more</p>" if len(found) > SHOWN_FAILURES else ""
    again = button("Try these again", "retry", title="Index the failed files once more")
    return f'<div class="hx-buttons">{again}</div><ul class="hx-list">{lines}</ul>{rest}'


def notes(found: Sequence[Note]) -> str:
    """What was read otherwise than one would expect: the file or folder, and how."""
    lines = "".join(
        f'<li><div><b class="hx-path" title="{safe(one.path)}">{name(one.path)}</b><span>{safe(one.note)}</span></div></li>'
        for one in found[:SHOWN_FAILURES]
    )
    rest = f"<p>and {len(found) - SHOWN_FAILURES} more</p>" if len(found) > SHOWN_FAILURES else ""
    return f'<h3>Read otherwise than expected</h3><ul class="hx-list">{lines}</ul>{rest}' if found else ""


def videos(found: Sequence[Video]) -> str:
    """The indexed files, as a table."""
    if not found:
        return empty("No video here.", "Add a folder above, or change the words of this filter.")
    rows = "".join(
        f'<tr><td title="{safe(one.path)}">{safe(one.name)}</td>'
        f"<td>{clock(one.duration)}</td>"
        f"<td>{one.width or '?'}×{one.height or '?'}</td><td>{safe(one.codec)}</td>"
        f'<td>{one.windows}</td><td title="{safe(one.reason)}">{safe(one.state)}</td>'
        f"<td>{button('Show', 'reveal', one.public_id, title='Show in the file manager')}</td></tr>"
        for one in found
    )
    return (
        '<table class="hx-table"><thead><tr><th>name</th><th title="Minutes and seconds">length</th>'
        '<th title="Pixels, as shown">size</th><th title="How the picture is coded">codec</th>'
        '<th title="Windows that are searched, half of each overlapping the next">moments</th>'
        f"<th>state</th><th></th></tr></thead><tbody>{rows}</tbody></table>"
    )
