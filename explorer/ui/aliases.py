"""Names for what travels between Gradio and the handlers; the only places where its types are not known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Data = Mapping[str, object]  # what the page's script sends with an event
Outputs = tuple[object, ...]  # values for the components of a listener, in their order
Listener = Callable[..., object]  # what Gradio calls on an event
Parts = dict[str, Any]  # components by name; Any: Gradio gives them their events when their class is made
Options = dict[str, Any]  # keyword arguments of Gradio; Any: they are handed on as they are

TELL: Options = {"show_progress": "hidden", "api_visibility": "private"}  # of every event but the searches
