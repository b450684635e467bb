"""Times as phones and their owners write them: ISO 8601, in UTC unless they say otherwise."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from math import floor
from typing import Final

EXPECTED: Final = "expected a time like 2026-04-20T14:30:00Z"

_MOMENT: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2})(:[0-9]{2})?([.,][0-9]{1,9})?"
    r"([Zz]|[ +-][0-9]{2}:?[0-9]{2})?"
)
_MICROSECOND_DIGITS: Final = 6


def iso(at_s: float) -> str:
    """Return a Unix time as `2026-04-20T14:30:00Z`; parts of a second are cut off.

    >>> iso(1776695400.9)
    '2026-04-20T14:30:00Z'
    """
    return f"{datetime.fromtimestamp(floor(at_s), UTC):%Y-%m-%dT%H:%M:%SZ}"


def moment(text: str) -> float:
    """Return the Unix time of a date with a time; one without an offset is in UTC.

    A space stands for the `+` that a query loses when nobody encodes it. A leap second is taken
    for the second before it.

    >>> moment("2026-04-20T16:30:00+02:00") == moment("2026-04-20T14:30:00")
    True

    Raises: `ValueError`.
    """
    parts = _MOMENT.fullmatch(text)
    if parts is None:
        raise ValueError(EXPECTED)
    day, minute, second, fraction, offset = parts.groups()
    second = ":59" if second == ":60" else second or ":00"
    fraction = f".{fraction[1 : 1 + _MICROSECOND_DIGITS]}" if fraction else ""
    offset = "+00:00" if offset in {None, "Z", "z"} else offset.replace(" ", "+")
    try:
        return datetime.fromisoformat(f"{day}T{minute}{second}{fraction}{offset}").timestamp()
    except ValueError:
        raise ValueError(EXPECTED) from None
