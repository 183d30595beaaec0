"""The Library tab: folders, work under way, failures; and the one timer that watches work for the whole page."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import gradio as gr

from explorer.records import ExplorerError
from explorer.service.places import typed_path
from explorer.ui import components, panels
from explorer.ui.aliases import TELL, Data, Listener, Outputs, Parts
from explorer.ui.components import bound
from explorer.ui.events.browsing import browse, folder_browser
from explorer.ui.events.telling import guarded, inform

if TYPE_CHECKING:
    from explorer.service import Explorer

EVERY = 1.0  # seconds between two looks while work is under way


def build(explorer: Explorer) -> Parts:
    """Lay the tab out; `panels` are refreshed by the timer, `all` by anything that changes the library."""
    part: Parts = {}
    part["counts"] = components.static(elem_id="hx-counts")
    with gr.Row(elem_classes="hx-top"):
        part["path"] = gr.Textbox(
            show_label=False,
            container=False,
            scale=5,
            elem_id="hx-path",
            max_length=4096,
            placeholder="Path of a folder with videos, or choose one below",
        )
        part["add"] = gr.Button("Add folder", variant="primary", scale=0, min_width=120, elem_id="hx-add")
        part["index"] = gr.Button("Index again", scale=0, min_width=120, elem_id="hx-index")
        part["samples"] = gr.Button("Sample library", scale=0, min_width=140, elem_id="hx-samples")
    part["browser"] = components.panel(folder_browser(explorer), elem_id="hx-browser")
    with gr.Row(elem_classes="hx-split"):
        with gr.Column(scale=1, min_width=320):
            components.heading("Folders")
            part["folders"] = components.panel(elem_id="hx-folders")
        with gr.Column(scale=1, min_width=320):
            components.heading("Work")
            part["jobs"] = components.panel(elem_id="hx-jobs")
    components.heading("Could not be indexed")
    part["failures"] = components.panel(elem_id="hx-failures")
    with gr.Accordion("All videos", open=False, elem_id="hx-all"):
        part["filter"] = gr.Textbox(show_label=False, container=False, placeholder="Filter by name", max_length=500)
        part["videos"] = components.panel(elem_id="hx-videos")
    part["panels"] = [part[name] for name in ("counts", "folders", "jobs", "failures")]
    return part


def shown(explorer: Explorer) -> tuple[str, str, str, str]:
    """Counts, folders, jobs, failures and notes as they stand."""
    return (
        panels.counts(explorer.status()),
        panels.folders(explorer.library.folders()),
        panels.jobs(explorer.jobs.list()),
        panels.failures(explorer.library.failures()) + panels.notes(explorer.library.notes()),
    )


def wire(explorer: Explorer, part: Parts, timer: gr.Timer) -> None:
    """Everything that changes the library also wakes the timer."""
    outputs = [*part["panels"], timer]
    added = gr.on(
        [part["add"].click, part["path"].submit],
        starting(explorer, add_folder),
        part["path"],
        [part["path"], *outputs],
        **TELL,
    )
    added.then(
        None, None, None, js="() => document.activeElement && document.activeElement.blur()", api_visibility="private"
    )
    part["index"].click(
        starting(explorer, lambda one, _: one.library.start_index()), part["path"], [part["path"], *outputs], **TELL
    )
    part["samples"].click(
        starting(explorer, lambda one, _: one.library.install_samples()), part["path"], [part["path"], *outputs], **TELL
    )
    part["browser"].act(bound(guarded(choose), explorer), gr.State(None), [part["browser"], *outputs], **TELL)
    for name in ("folders", "jobs", "failures"):
        part[name].act(bound(guarded(change), explorer), gr.State(None), outputs, **TELL)
    look = listing(explorer)
    part["filter"].change(look, part["filter"], part["videos"], trigger_mode="always_last", **TELL)
    part["videos"].act(bound(guarded(reveal), explorer), gr.State(None), None, **TELL)


def add_folder(explorer: Explorer, path: str) -> None:
    """A folder joins the library and is indexed."""
    if not path.strip():
        raise ExplorerError("no path was given; type the path of a folder with videos, for example /home/you/Videos")
    explorer.library.add_folder(typed_path(path))


def choose(explorer: Explorer, state: None, data: Data) -> Outputs:
    """A folder of the browser was opened, asked what it holds, or chosen."""
    if data.get("action") == "choose":
        explorer.library.add_folder(str(data.get("value", "")))
        return folder_browser(explorer), *shown(explorer), gr.Timer(active=True)
    return browse(explorer, data), *(gr.skip() for _ in range(5))


def starting(explorer: Explorer, start: Callable[[Explorer, str], object]) -> Listener:
    """A listener that starts work, empties the path box and shows the new state."""

    def run(path: str | None) -> Outputs:
        start(explorer, path or "")
        return "", *shown(explorer), gr.Timer(active=True)

    return guarded(run)


def change(explorer: Explorer, state: None, data: Data) -> Outputs:
    """A button of a folder, a job or the failures."""
    action, value = data.get("action"), str(data.get("value", ""))
    if action == "retry":
        explorer.library.start_index(retry=True)
    elif value.isdigit():
        known = {
            "remove": explorer.library.remove_folder,
            "cancel": explorer.jobs.cancel,
            "pause": explorer.jobs.pause,
            "resume": explorer.jobs.resume,
        }
        known[str(action)](int(value))
    return *shown(explorer), gr.Timer(active=True)


def reveal(explorer: Explorer, state: None, data: Data) -> None:
    """Show a file in the file manager."""
    explorer.playback.reveal(str(data.get("value", "")))
    inform("Shown in your file manager.")


def listing(explorer: Explorer) -> Listener:
    """The files whose name holds the filter's words."""

    def run(text: str | None) -> str:
        return panels.videos(explorer.library.videos(text or ""))

    return run
