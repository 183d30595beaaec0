"""Starts HCMI Explorer: settings -> Explorer -> page -> server."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from explorer.config import Settings
from explorer.records import ExplorerError


def main() -> int:
    parser = argparse.ArgumentParser(description="Search your own videos by sentence, in the browser, on your machine.")
    parser.add_argument("--data-dir", type=Path, help="where the index and the models are kept")
    parser.add_argument("--port", type=int, help="the first port to try on 127.0.0.1")
    parser.add_argument("--no-browser", action="store_true", help="print the link only")
    arguments = parser.parse_args()
    try:
        from explorer.cli.open_page import open_app

        open_app(Settings.load(data_dir=arguments.data_dir, port=arguments.port), open_browser=not arguments.no_browser)
    except ExplorerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
