"""Serves the page on 127.0.0.1 alone: environment, port, routes, guard, link, browser. It opens before torch loads."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.config import ASSETS, Settings
from explorer.records import ExplorerError
from explorer.web.guard import Guard
from explorer.web.head import OwnHead
from explorer.web.link import HOST, answers, link, open_link
from explorer.web.secret import link_token
from explorer.web.waiting import Opening

__all__ = ["answers", "create_app", "open_link", "prepare_environment", "serve"]

if TYPE_CHECKING:
    import gradio
    import uvicorn
    from fastapi import FastAPI
    from starlette.types import ASGIApp

    from explorer.service import Explorer
    from explorer.ui.aliases import Options

log = logging.getLogger(__name__)

PORTS_TRIED = 100
ASSET_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
    ".ico": "image/x-icon",
}
UPLOADS = "uploads"  # folder of the data folder which Gradio keeps this page's uploads in
OFF = ("", "0", "false", "no", "off")


def prepare_environment(data_dir: Path) -> None:
    """Set what Gradio reads from the environment, before it is imported: nothing shared, watched or reported.

    Every other GRADIO_ variable is taken out: some of them widen what is served (GRADIO_ALLOWED_PATHS) or who may
    ask (GRADIO_LOCAL_DEV_MODE), and this app has its own settings.

    Raises:
        ExplorerError: GRADIO_SHARE asks for a public address.
    """
    if os.environ.get("GRADIO_SHARE", "").strip().lower() not in OFF:
        raise ExplorerError(
            "GRADIO_SHARE is set, and this app never shares a library over the internet; "
            "unset GRADIO_SHARE and start again"
        )
    for name in [name for name in os.environ if name.startswith("GRADIO_")]:
        del os.environ[name]
    uploads = data_dir / UPLOADS
    uploads.mkdir(parents=True, exist_ok=True)
    os.environ.update(
        GRADIO_ANALYTICS_ENABLED="False",
        GRADIO_SSR_MODE="False",
        GRADIO_RUN_HISTORY="False",
        GRADIO_MCP_SERVER="False",
        GRADIO_TEMP_DIR=str(uploads),
        HF_HUB_DISABLE_TELEMETRY="1",
        DO_NOT_TRACK="1",
    )


def asset_files() -> dict[str, Path]:
    """The files served under /assets/, by name: the project's own, and plotly.js as the plotly package carries it."""
    own = {path.name: path for path in sorted(ASSETS.iterdir()) if path.suffix in ASSET_TYPES and path.is_file()}
    plotly = Path(str(resources.files("plotly") / "package_data" / "plotly.min.js"))
    return {**own, "plotly.min.js": plotly} if plotly.is_file() else own


def _add_assets(app: FastAPI) -> None:
    """One route a file: Gradio serves its own files under /assets/ too, and gets every other name."""
    from fastapi.responses import FileResponse

    def giver(path: Path) -> Callable[[], FileResponse]:
        headers = {"Cache-Control": "private, no-cache"}  # asked for each time, sent when changed
        return lambda: FileResponse(path, media_type=ASSET_TYPES[path.suffix], headers=headers)

    for name, path in asset_files().items():
        app.add_api_route(f"/assets/{name}", giver(path), methods=["GET"], include_in_schema=False, response_model=None)


def _page(explorer: Explorer) -> tuple[gradio.Blocks, Options]:
    """The page and what Gradio wants beside it."""
    from explorer.ui import page

    return page.build(explorer), page.mount_options()


def _assemble(explorer: Explorer, port: int, blocks: gradio.Blocks | None) -> FastAPI:
    """Health, assets, media and the page, with no guard yet. Gradio is imported here and nowhere before."""
    import gradio
    from fastapi import FastAPI

    from explorer.web import media, pulse

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_api_route("/health", lambda: {"app": "hcmi-explorer"}, methods=["GET"], response_model=None)
    _add_assets(app)
    app.include_router(media.router(explorer))
    app.include_router(pulse.router(explorer))
    shown, options = _page(explorer) if blocks is None else (blocks, {})
    gradio.mount_gradio_app(
        app,
        shown,
        path="/",
        server_name=HOST,
        server_port=port,
        footer_links=[],
        allowed_paths=[],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        enable_monitoring=False,
        max_file_size="32mb",
        **options,
    )
    app.add_middleware(OwnHead)
    return app


def create_app(
    explorer: Explorer, *, port: int, token: str, uploads: str = "", blocks: gradio.Blocks | None = None
) -> FastAPI:
    """The whole web side behind its guard.

    Args:
        explorer: the service; `request_playable` and `still` are used here, the rest by the page.
        port: the port the app will listen on; the guard takes no other Host.
        token: the secret of the link that opens the page.
        uploads: the folder of this page's uploads (GRADIO_TEMP_DIR); "" gives none of them back.
        blocks: a page to show in place of explorer.ui's.
    """
    app = _assemble(explorer, port, blocks)
    app.add_middleware(Guard, port=port, token=token, uploads=uploads)
    return app


def bind(first: int, *, address: str = HOST) -> socket.socket:
    """A socket on this machine alone, or on the given address, at the first free port from `first` on; 0: any.

    Raises:
        ExplorerError: none of them is free.
    """
    for port in range(first, min(first + PORTS_TRIED, 65536)) if first else [0]:
        found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if os.name == "posix":  # on Windows this would let two servers share a port
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((address, port))
            found.listen(128)
            return found
        except OSError as error:
            log.debug("port %d: %s", port, error)
            found.close()
    raise ExplorerError(f"no free port between {first} and {first + PORTS_TRIED - 1}; choose another with --port")


def settings_of(app: ASGIApp) -> uvicorn.Config:
    """How uvicorn serves: plain HTTP/1.1, no WebSocket, no word of a proxy believed; open streams get 2 s to end."""
    import uvicorn

    return uvicorn.Config(
        app,
        http="h11",
        ws="none",
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=2,
        limit_concurrency=200,
    )


def run(
    explorer: Explorer,
    listening: socket.socket,
    *,
    token: str,
    uploads: str,
    names: tuple[str, ...] = (),
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve until Ctrl-C: a waiting page at once, the real one as soon as it is made; `ready` is called then.

    Raises:
        Exception: whatever kept the page from being made.
    """
    import uvicorn

    port, problems = listening.getsockname()[1], []

    def failed(error: Exception) -> None:
        problems.append(error)
        server.should_exit = True

    def made() -> FastAPI:
        app = _assemble(explorer, port, None)
        ready()
        return app

    opening = Opening(made, failed=failed)
    server = uvicorn.Server(settings_of(Guard(opening, port=port, token=token, uploads=uploads, names=names)))
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again once all is closed
        server.run(sockets=[listening])
    if problems:
        raise problems[0]


def serve(
    explorer: Explorer,
    settings: Settings,
    *,
    open_browser: bool = True,
    say: Callable[[str], None] = print,
    started: Callable[[int, str], None] = lambda port, url: None,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Open the page and serve it until Ctrl-C.

    Args:
        explorer: the service.
        settings: the data folder, and the first port to try.
        open_browser: whether to open the link.
        say: where the link is told.
        started: called with the port and the link once the port is ours, for the owner's lock to note.
        ready: called once the page is made.

    Raises:
        ExplorerError: GRADIO_SHARE is set, or no port is free.
    """
    prepare_environment(settings.data_dir)
    token, listening = link_token(settings.data_dir), bind(settings.port, address=settings.listen)
    with listening:
        port = listening.getsockname()[1]
        url = link(port, token)
        started(port, url)
        say(f"HCMI Explorer is open at {url}\nPress Ctrl-C here to stop it.")
        if settings.listen != HOST:
            say(f"It listens on {settings.listen}: whoever reaches that port and has the link can open it.")
        if open_browser:
            open_link(url)
        uploads = str(settings.data_dir / UPLOADS)
        run(explorer, listening, token=token, uploads=uploads, names=settings.host_names, ready=ready)
