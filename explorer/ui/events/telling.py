"""What every handler needs: errors and news that reach the person, and numbers from the page that are numbers."""

from __future__ import annotations

import functools
import math
from html import escape

import gradio as gr

from explorer.records import ExplorerError
from explorer.ui.aliases import Listener
from explorer.ui.present import sentence, visible


def guarded(handler: Listener) -> Listener:
    """A handler whose ExplorerError reaches the person as a message; what is on the page stays as it is."""

    @functools.wraps(handler)
    def run(*arguments: object) -> object:
        try:
            return handler(*arguments)
        except ExplorerError as error:
            raise gr.Error(
                escape(sentence(visible(error))), title="That did not work", print_exception=False
            ) from error

    return run


def inform(message: str) -> None:
    """A short message in the corner; escaped, for it may hold names."""
    gr.Info(escape(visible(message)), title="Done")


def number(value: object) -> float:
    """A finite number from the page, else 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return 0.0
    return float(value)
