"""The bar of tools under the search box: recent and saved searches, export, a picture, the models that answer."""

from __future__ import annotations

import gradio as gr

from explorer.ui.components import html
from explorer.ui.present import safe

FORMATS = (
    ("csv", "CSV table"),
    ("jsonl", "JSON lines"),
    ("m3u", "M3U playlist"),
    ("edl", "EDL markers"),
    ("fcpxml", "Final Cut XML"),
    ("clip", "Trimmed clip of the selected moment"),
)


def drop(title: str, items: list[tuple[str, str, str]], *, told: str) -> str:
    """A menu; items are (tool, value, text)."""
    rows = "".join(
        f'<button type="button" data-tool="{tool}" data-value="{safe(value)}" title="{safe(text)}">{safe(text)}</button>'
        for tool, value, text in items
    )
    inner = rows or "<p>Nothing yet.</p>"
    return f'<details class="hx-drop"><summary title="{safe(told)}">{safe(title)}</summary><div>{inner}</div></details>'


def options(names: list[str], chosen: str, *, name: str, told: str, first: str) -> str:
    """A choice of a model."""
    made = "".join(
        f'<option value="{safe(one)}"{" selected" if one == chosen else ""}>{safe(one)}</option>' for one in names
    )
    return (
        f'<label class="hx-choice" title="{safe(told)}">{name}<select name="{name}" aria-label="{safe(told)}">'
        f'<option value="">{safe(first)}</option>{made}</select></label>'
    )


def saved_menu(saved: list[str]) -> str:
    """The saved searches, each with a way to remove it."""
    rows = "".join(
        f'<div class="hx-pair"><button type="button" data-tool="recall" data-value="{safe(text)}" title="{safe(text)}">'
        f'{safe(text)}</button><button type="button" class="hx-x" data-tool="drop" data-value="{safe(text)}" '
        f'title="Remove from the saved searches" aria-label="Remove {safe(text)}">×</button></div>'
        for text in reversed(saved)
    )
    return (
        '<details class="hx-drop"><summary title="Searches you saved">Saved</summary><div>'
        f'<button type="button" data-tool="save" data-value="">Save this search</button>{rows}</div></details>'
    )


def toolbar(*, history: list[str], saved: list[str], models: list[str], model: str, other: str) -> str:
    """Recent and saved searches, picture, export, model and a second model."""
    forget = [("clear", "", "Forget these searches")] if history else []
    recent = drop("Recent", [("recall", text, text) for text in history[:12]] + forget, told="Searches of this library")
    kept = saved_menu(saved)
    out = drop("Export", [("export", *pair) for pair in FORMATS], told="Write these results to the data folder")
    image = (
        '<button type="button" class="hx-link" data-tool="image" '
        'title="Search by a picture: choose, paste or drop one">By picture</button>'
        '<input type="file" accept="image/*" hidden aria-label="Picture to search by">'
    )
    one = options(models, model, name="model", told="The model that answers", first="in use")
    two = options(models, other, name="beside", told="A second model, side by side", first="none")
    return f'<div class="hx-tools">{recent}{kept}{out}{image}<span class="hx-gap"></span>{one}{two}</div>'


def tools() -> gr.HTML:
    """The bar; triggers tool {tool, value} and image {width, height, rgb}."""
    return html("", "tools", "tool", "image", elem_id="hx-tools")
