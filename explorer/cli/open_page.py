"""Opens the app: takes the data folder, or shows the page of whoever has it, and serves until Ctrl-C."""

from __future__ import annotations

from explorer.config import Settings
from explorer.disk.lock import AlreadyRunning
from explorer.records import ExplorerError


def open_app(settings: Settings, *, open_browser: bool = True) -> None:
    """Serve the page for these settings; a second start opens the first one's page instead.

    Raises:
        ExplorerError: the data folder or the port cannot be used.
    """
    from explorer.web import server

    server.prepare_environment(settings.data_dir)  # before Gradio is imported anywhere
    from explorer.service import Explorer

    try:
        explorer = Explorer(settings)
    except AlreadyRunning as running:
        if not running.url or not server.answers(running.url):
            raise
        print(f"HCMI Explorer is already open at {running.url}")
        if open_browser:
            server.open_link(running.url)
        return
    with explorer:
        if explorer.lock is None:
            raise ExplorerError("the data folder is not ours to write")
        server.serve(
            explorer,
            settings,
            open_browser=open_browser,
            started=lambda port, url: explorer.lock.set_port(port, url),  # type: ignore[union-attr]
            ready=explorer.warm_up,
        )  # not before: page and model side by side keep each other waiting
