"""Starts HCMI Explorer: the same as `python -m explorer page`."""

import sys

from explorer.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["page", *sys.argv[1:]]))
