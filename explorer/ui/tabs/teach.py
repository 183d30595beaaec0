"""The Teach tab: captions a person writes, fine-tuning with its live curve, before and after, keep or roll back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import gradio as gr

from explorer.config import FINE_TUNE_EPOCHS
from explorer.records import ExplorerError, Job
from explorer.service.recalls import training_report
from explorer.service.requests import FineTuneRequest
from explorer.ui import components, lessons
from explorer.ui.aliases import TELL, Data, Listener, Outputs, Parts
from explorer.ui.charts import graphs
from explorer.ui.components import bound
from explorer.ui.events.telling import guarded, inform
from explorer.ui.panels import ACTIVE
from explorer.ui.present import seconds, visible

if TYPE_CHECKING:
    from explorer.service import Explorer

CHOICES = 500  # files offered in the list; more are found by typing


def build(explorer: Explorer) -> Parts:
    """A caption form left, training right."""
    part: Parts = {}
    with gr.Row(elem_classes="hx-split"):
        with gr.Column(scale=1, min_width=320):
            components.heading("What does a video show?")
            part["video"] = gr.Dropdown([], label="Video", filterable=True, elem_id="hx-caption-video")
            part["caption"] = gr.Textbox(
                label="Caption",
                lines=2,
                max_length=2000,
                elem_id="hx-caption",
                placeholder="One sentence: who does what, where",
            )
            with gr.Row():
                part["start"] = gr.Textbox(
                    label="From (optional)", placeholder="0:12", max_length=20, elem_id="hx-caption-start"
                )
                part["end"] = gr.Textbox(
                    label="To (optional)", placeholder="0:20", max_length=20, elem_id="hx-caption-end"
                )
            part["add"] = gr.Button("Add caption", variant="primary", elem_id="hx-caption-add")
            part["captions"] = components.static(elem_id="hx-captions")
        with gr.Column(scale=1, min_width=320):
            components.heading(
                "Fine-tune on this machine",
                "Some captions are held out. The new model is offered to you only if it does not fall behind on them; "
                "you keep it or leave it.",
            )
            with gr.Row(elem_classes="hx-top"):
                part["epochs"] = gr.Slider(1, 50, value=FINE_TUNE_EPOCHS, step=1, label="Epochs", elem_id="hx-epochs")
                part["train"] = gr.Button("Fine-tune", variant="primary", scale=0, min_width=130, elem_id="hx-train")
            part["training"] = components.panel(elem_id="hx-training")
            part["curve"] = components.figure(elem_id="hx-loss")
    part["panels"] = [part["training"], part["curve"]]
    return part


def newest(jobs: Sequence[Job]) -> Job | None:
    """The fine-tuning to show: one under way, else the last."""
    runs = [job for job in jobs if job.kind == "train"]
    return max(runs, key=lambda job: (job.state in ACTIVE, job.created), default=None)


def shown(explorer: Explorer) -> tuple[str, dict[str, object]]:
    """The newest training and its loss curve."""
    job = newest(explorer.jobs.list())
    report = training_report(job.progress.summary if job else {})
    return lessons.training(job, report), {"figure": graphs.loss_curve(report.curve)}


def choices(explorer: Explorer) -> list[tuple[str, str]]:
    """Files to write a caption for."""
    return [(visible(video.name), video.public_id) for video in explorer.library.videos(limit=CHOICES)]


def wire(explorer: Explorer, part: Parts, timer: gr.Timer) -> None:
    """Add a caption, start training, keep or roll back."""
    fields = [part[name] for name in ("video", "caption", "start", "end")]
    part["add"].click(adding(explorer), fields, [part["caption"], part["start"], part["end"], part["captions"]], **TELL)
    part["train"].click(training(explorer), part["epochs"], [*part["panels"], timer], **TELL)
    part["training"].act(bound(guarded(decide), explorer), gr.State(None), [*part["panels"], timer], **TELL)


def adding(explorer: Explorer) -> Listener:
    """A caption of a video, or of a span of it."""

    def run(public_id: str | None, caption: str | None, start: str | None, end: str | None) -> Outputs:
        sentence = (caption or "").strip()
        if not public_id or not sentence:
            raise ExplorerError("a caption needs a video and a sentence; choose the one and type the other")
        first, last = stretch(start or "", end or "")
        explorer.teaching.add_caption(public_id, sentence, start=first, end=last)
        return "", "", "", lessons.captions(explorer.teaching.lessons())

    return guarded(run)


def stretch(start: str, end: str) -> tuple[float | None, float | None]:
    """A span as typed; both None for the whole video.

    Raises:
        ExplorerError: one of the two is missing, is not a time, or the end is not after the start.
    """
    if not start.strip() and not end.strip():
        return None, None
    try:
        first, last = seconds(start), seconds(end)
    except ValueError:
        first, last = 0.0, 0.0
    if last <= first:
        raise ExplorerError(
            "a span needs a start and a later end, such as 0:12 and 0:20; leave both empty for the whole video"
        )
    return first, last


def training(explorer: Explorer) -> Listener:
    """Fine-tuning starts as a job."""

    def run(epochs: float) -> Outputs:
        explorer.teaching.start_training(FineTuneRequest(epochs=int(epochs)))
        return *shown(explorer), gr.Timer(active=True)

    return guarded(run)


def decide(explorer: Explorer, state: None, data: Data) -> Outputs:
    """Keep the new model, return to the old one, or steer the job."""
    action, value = data.get("action"), str(data.get("value", ""))
    if action == "keep":
        explorer.models.use(value)
        inform(f"{value} answers from now on.")
    elif action == "back":
        explorer.models.roll_back()
        inform("The model before answers again.")
    elif value.isdigit():
        {"cancel": explorer.jobs.cancel, "pause": explorer.jobs.pause, "resume": explorer.jobs.resume}[str(action)](
            int(value)
        )
    return *shown(explorer), gr.Timer(active=True)
