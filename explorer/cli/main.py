"""The command line: hcmi-explorer, or python -m explorer, with page, index, search, evaluate, train and others."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from explorer import __version__
from explorer.records import ExplorerError, LevelWeights

EXIT_FAILED = 1  # the command could not do its job
EXIT_STOPPED = 130  # Ctrl-C


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hcmi-explorer", description="Search your own videos by sentence, on your machine."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument("--verbose", action="store_true", help="say what goes on, on stderr")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--data-dir", type=Path, help="where the index and the models are kept")
    common.add_argument("--json", action="store_true", help="print JSON")
    chosen = argparse.ArgumentParser(add_help=False, parents=[common])
    chosen.add_argument("--checkpoint", help="a model by name (see `models`)")
    chosen.add_argument("--device", help="auto, cpu, cuda, cuda:N or mps")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    command = commands.add_parser("page", parents=[common], help="open the page in the browser")
    command.add_argument("--port", type=int, help="the first port to try on 127.0.0.1")
    command.add_argument("--no-browser", action="store_true", help="print the link only")

    command = commands.add_parser("index", parents=[chosen], help="bring folders into the library, or up to date")
    command.add_argument("folders", nargs="+", metavar="DIR")
    command.add_argument("--tower", help="an open_clip name or ARCHITECTURE@FILE, with an untrained hierarchy")
    command.add_argument("--decoder", choices=("pyav", "decord"))
    command.add_argument("--retry", action="store_true", help="try failed files once more")
    command.add_argument(
        "--trust-smaller", action="store_true", help="believe a folder that has suddenly become empty or much smaller"
    )

    command = commands.add_parser("search", parents=[chosen], help="search the library")
    command.add_argument("text")
    command.add_argument("-k", type=_count, default=10, metavar="N", help="moments wanted")
    command.add_argument("--weights", type=_weights, metavar="video=1,clip=1,frame=1", help="of the levels")

    command = commands.add_parser("evaluate", parents=[chosen], help="measure retrieval on captioned videos")
    command.add_argument("--captions", type=Path, metavar="FILE", help='lines of {"file", "captions": [...]}')
    command.add_argument("--benchmark", choices=("msrvtt-1ka", "msvd", "lsmdc", "didemo", "activitynet", "flickr8k"))
    command.add_argument("--annotations", type=Path, metavar="DIR", help="the benchmark's annotation files")
    command.add_argument("--videos", type=Path, metavar="DIR", required=True)
    command.add_argument("--weights", type=_weights, metavar="video=1,clip=1,frame=1")
    command.add_argument("--binary-selection", action="store_true", help="true sentence against altered ones")

    command = commands.add_parser(
        "train", parents=[chosen], help="fine-tune a model on captioned videos, with guard-rails"
    )
    command.add_argument("--captions", type=Path, required=True, metavar="FILE")
    command.add_argument("--videos", type=Path, required=True, metavar="DIR")
    command.add_argument("--base", default=None, help="the checkpoint to start from")
    command.add_argument("--model", choices=("hcmi", "hgr"), default="hcmi")
    command.add_argument("--epochs", type=_count)
    command.add_argument("--lr", type=float)
    command.add_argument("--unfreeze", choices=("none", "last", "all"), default="none")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--name", help="of the new checkpoint")

    command = commands.add_parser("models", parents=[common], help="list the checkpoints")
    command.add_argument("--remove", metavar="NAME", help="delete a checkpoint that was made on this machine")
    command = commands.add_parser("convert", help="make safetensors of a pickled weights file, tensors only")
    command.add_argument("file", type=Path)
    command.add_argument("--out", type=Path, help="the file to write; FILE.safetensors where it is not given")

    commands.add_parser("doctor", parents=[common], help="what this installation is made of")
    command = commands.add_parser("check", parents=[common], help="look for inconsistencies of the index")
    command.add_argument("--repair", action="store_true", help="mend what can be made again")
    return parser


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 1_000_000:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, not {text}")
    return value


def _weights(text: str) -> LevelWeights:

    try:
        values = {name.strip(): float(value) for name, value in (part.split("=") for part in text.split(","))}
        return LevelWeights(**{"video": 0.0, "clip": 0.0, "frame": 0.0, **values})
    except (TypeError, ValueError) as error:
        raise argparse.ArgumentTypeError(
            f"write video=1,clip=1,frame=1 with numbers that are not negative: {error}"
        ) from error


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 done; 1 the command could not do its job (one sentence on stderr); 2 wrong arguments; 3 `check` found
        something; 130 stopped.
    """
    chosen = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO if chosen.verbose else logging.ERROR, stream=sys.stderr)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from explorer.cli.commands import COMMANDS

    try:
        return COMMANDS[chosen.command](chosen)
    except ExplorerError as error:
        print(f"error: {error}".encode("utf-8", "backslashreplace").decode(), file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print("stopped; what was done is kept", file=sys.stderr)
        return EXIT_STOPPED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader went away, `| head` for one
        return 0


def run_console() -> int:
    """The installed command `hcmi-explorer`: without an argument the page, else a command of `python -m explorer`."""
    return main(sys.argv[1:] or ["page"])
