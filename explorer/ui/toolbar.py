"""The bar of tools under the search box: recent and saved searches, export, a picture, the models that answer."""

from __future__ import annotations

import gradio as gr

from explorer.ui.components import html
from explorer.ui.render import render

RECENT = 12  # searches offered again
FORMATS = (
    ("csv", "CSV table"),
    ("jsonl", "JSON lines"),
    ("m3u", "M3U playlist"),
    ("edl", "EDL markers"),
    ("fcpxml", "Final Cut XML"),
    ("clip", "Trimmed clip of the selected moment"),
)


def toolbar(*, history: list[str], saved: list[str], models: list[str], model: str, other: str) -> str:
    """Recent and saved searches, picture, export, model and a second model, as HTML."""
    return render(
        "toolbar",
        history=history[:RECENT],
        saved=saved[::-1],
        formats=FORMATS,
        models=models,
        model=model,
        other=other,
    )


def tools() -> gr.HTML:
    """The bar; triggers tool {tool, value} and image {width, height, rgb}."""
    return html("", "tools", "tool", "image", elem_id="hx-tools")
