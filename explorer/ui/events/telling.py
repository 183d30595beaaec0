"""What every handler needs: errors and news that reach the person, and numbers from the page that are numbers."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from html import escape
from typing import Any

import gradio as gr

from explorer.records import ExplorerError
from explorer.ui.present import sentence, visible


def guarded(handler: Callable[..., Any]) -> Callable[..., Any]:
    """A handler whose ExplorerError reaches the person as a message; what is on the page stays as it is."""

    @functools.wraps(handler)
    def run(*arguments: Any) -> Any:
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


def number(value: Any) -> float:
    """A finite number from the page, else 0."""
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good else 0.0
