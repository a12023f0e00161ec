"""The command line: its commands together, and the exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from .._version import __version__
from ..errors import SubpixError
from . import align, correlate, database, fields, products, train

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code (2 for bad input)."""
    options = _parser().parse_args(arguments)
    # torch reads it at its first array: on large pages a network takes a tenth less time.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    try:
        return options.run(options)
    except SubpixError as error:
        print(f"xsubpix {options.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        goes_on = (
            "; give the same command again to continue" if options.command == "correlate" else ""
        )
        print(f"xsubpix {options.command}: interrupted{goes_on}", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="xsubpix",
        description="Sub-pixel ground displacement from pairs of optical satellite images.",
    )
    parser.add_argument("--version", action="version", version=f"xsubpix {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    products.add_parser(commands)
    align.add_parser(commands)
    correlate.add_parser(commands)
    fields.add_parsers(commands)
    database.add_parser(commands)
    train.add_parsers(commands)
    return parser
