"""Runs the benchmarks that need nothing but the project, one after the other: python -m benchmarks."""

from __future__ import annotations

import subprocess
import sys

SELF_CONTAINED = ("indexing", "search_speed", "parsing")


def main() -> int:
    """Each in a process of its own, so that none warms another; 1 where one falls short."""
    codes = []
    for name in SELF_CONTAINED:
        print(f"== {name}", flush=True)
        codes.append(subprocess.run([sys.executable, "-m", f"benchmarks.{name}"]).returncode)
    print("Others need data: see docs/results.md.")
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())
