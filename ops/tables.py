"""Tables on the operator's terminal, or in the file or pipe that stands for it."""

import sys
from datetime import UTC, datetime
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPE_COLUMNS: Final = 160


def standard_output() -> Console:
    """Return a console for stdout; where no terminal sets a width, rows get enough of it."""
    width = None if sys.stdout.isatty() else PIPE_COLUMNS
    return Console(width=width, highlight=False)


def table(*columns: str) -> Table:
    """Return an empty table."""
    made = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def show(console: Console, title: str, table: Table) -> None:
    """Print a table under its title."""
    console.print(cell(title))
    console.print(table)


def cell(value: object) -> Text:
    """Return a value as it may be shown: no markup, no sequence that a terminal would obey."""
    return Text("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(value)))


def clock(moment: datetime) -> str:
    """Return a time to the millisecond, in UTC.

    >>> clock(datetime(2026, 11, 21, 14, 30, tzinfo=UTC))
    '2026-11-21 14:30:00.000Z'
    """
    text = moment.astimezone(UTC).isoformat(sep=" ", timespec="milliseconds")
    return text.replace("+00:00", "Z")
