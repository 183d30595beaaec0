"""The page: five tabs over the service, what loads first, and the timer that watches work while there is some."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

from explorer.config import ASSETS
from explorer.ui import components, lessons, panels
from explorer.ui.aliases import TELL, Listener, Options, Outputs
from explorer.ui.events.showing import own_weights, tools, welcome
from explorer.ui.events.view import View
from explorer.ui.tabs import help as help_tab
from explorer.ui.tabs import library as library_tab
from explorer.ui.tabs import models as models_tab
from explorer.ui.tabs import search as search_tab
from explorer.ui.tabs import teach as teach_tab

if TYPE_CHECKING:
    from explorer.service import Explorer

STYLE = ASSETS / "style.css"
FONT = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")


def theme() -> gr.themes.Base:
    """Calm colours and the system's own fonts; dark follows the system."""
    made = gr.themes.Soft(
        primary_hue="indigo", secondary_hue="teal", neutral_hue="slate", radius_size="md", font=FONT, font_mono=MONO
    )
    return made.set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        block_border_width="0px",
        block_shadow="none",
        input_background_fill="white",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_500",
        button_primary_text_color="white",
        block_title_background_fill="transparent",
        block_title_text_color="*neutral_500",
        block_title_text_weight="500",
        block_title_text_size="*text_sm",
        block_title_padding="0",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_padding="0",
        input_border_width="1px",
        input_border_color="*neutral_200",
        input_border_color_dark="*neutral_700",
        input_background_fill_dark="*neutral_900",
        input_shadow="none",
        button_large_text_weight="550",
        button_secondary_shadow="none",
    )


def head() -> str:
    """What belongs into the document's head."""
    return (
        '<link rel="icon" type="image/svg+xml" href="/assets/icon.svg"><meta name="color-scheme" content="light dark">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
    )


def css_path() -> Path:
    """The page's style sheet."""
    return STYLE


def mount_options() -> Options:
    """What gr.mount_gradio_app is given beside the page itself."""
    return {"theme": theme(), "css_paths": [css_path()], "head": head(), "js": components.FOCUS}


def build(explorer: Explorer) -> gr.Blocks:
    """The whole page over a service; opens before the model has loaded."""
    with gr.Blocks(title="HCMI Explorer", analytics_enabled=False, fill_width=True) as page:
        header = components.header()
        timer = gr.Timer(library_tab.EVERY, active=False)
        with gr.Tabs(elem_id="hx-tabs"):
            with gr.Tab("Search", id="search"):
                search = search_tab.build(explorer)
            with gr.Tab("Library", id="library") as library_shown:
                library = library_tab.build(explorer)
            with gr.Tab("Models", id="models") as models_shown:
                models = models_tab.build(explorer)
            with gr.Tab("Teach", id="teach") as teach_shown:
                teach = teach_tab.build(explorer)
            with gr.Tab("Help", id="help"):
                help_tab.build()
        library_tab.wire(explorer, library, timer)
        models_tab.wire(explorer, models, timer)
        teach_tab.wire(explorer, teach, timer)
        ticking = [header, *library["panels"], *teach["panels"], timer]
        timer.tick(ticked(explorer), None, ticking, **TELL)
        first = [search["grid"], search["tools"], search["weights"]]
        gr.on([timer.tick, page.load], welcoming(explorer), search["view"], first, **TELL)
        page.load(ticked(explorer), None, ticking, **TELL)
        header.refresh(ticked(explorer), None, ticking, **TELL)
        library_shown.select(
            opened_library(explorer), library["filter"], [*library["panels"], library["videos"]], **TELL
        )
        models_shown.select(
            opened_models(explorer), None, [models["models"], models["choices"], models["doctor"]], **TELL
        )
        teach_shown.select(opened_teach(explorer), None, [teach["video"], teach["captions"], *teach["panels"]], **TELL)
    return page


def working(explorer: Explorer) -> bool:
    """Whether anything changes by itself: a job under way, or the model still loading."""
    return explorer.status().model == "loading" or any(
        job.state in ("queued", "running") for job in explorer.jobs.list()
    )


def ticked(explorer: Explorer) -> Listener:
    """Header, library and training as they stand; the timer rests where nothing is under way."""

    def run() -> Outputs:
        header = panels.header(explorer.status(), explorer.jobs.list())
        return header, *library_tab.shown(explorer), *teach_tab.shown(explorer), gr.Timer(active=working(explorer))

    return run


def welcoming(explorer: Explorer) -> Listener:
    """The empty search, the tools and the model's own weights; a result on the page stays."""

    def run(view: View) -> Outputs:
        if view.result is not None or view.problem:
            return gr.skip(), gr.skip(), gr.skip()
        sliders = components.sliders(view.weights or own_weights(explorer, view.model))
        return welcome(explorer), tools(explorer, view), sliders

    return run


def opened_library(explorer: Explorer) -> Listener:
    """The Library tab was opened."""

    def run(text: str | None) -> tuple[str, ...]:
        return *library_tab.shown(explorer), panels.videos(explorer.library.videos(text or ""))

    return run


def opened_models(explorer: Explorer) -> Listener:
    """The Models tab was opened."""

    def run() -> tuple[str, str, str]:
        cards = lessons.models(explorer.models.list())
        return cards, models_tab.choices(explorer), lessons.doctor(explorer.doctor())

    return run


def opened_teach(explorer: Explorer) -> Listener:
    """The Teach tab was opened."""

    def run() -> Outputs:
        return (
            gr.Dropdown(choices=teach_tab.choices(explorer)),
            lessons.captions(explorer.teaching.lessons()),
            *teach_tab.shown(explorer),
        )

    return run
