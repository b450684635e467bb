"""Header fields of a mail (RFC 5322, 2.2): checked, encoded and folded by Python's `email`.

What is plain and short needs no encoding, and most of it is; the library takes a hundred times as
long to find that out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.errors import MessageError
from email.policy import SMTP, SMTPUTF8
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from signalbox.actors.transports.smtp.addresses import PLAIN

if TYPE_CHECKING:
    from collections.abc import Sequence

LINE_CHARS_MAX: Final = 78  # RFC 5322, 2.1.1: what it should be,
ID_CHARS_MAX: Final = 900  # and what it may be, less the name
VALUE_CHARS_MAX: Final = 65_536
_NAME: Final = re.compile(r"[!-9;-~]{1,76}")
BREAKS: Final = re.compile(r"[\r\n\x00]")
_CONTROLS: Final = re.compile("[\x01-\x08\x0b-\x1f\x7f\x80-\x9f\u2028\u2029]")
_PRINTABLE: Final = re.compile(r"[ -~]+")
_UNSPACED: Final = re.compile(r"[!-~]+")
# What the library is known to raise for values it can't make sense of.
_MISREAD: Final = (MessageError, ValueError, IndexError, AttributeError, TypeError, RecursionError)


@dataclass(eq=False)
class Unsendable(Exception):  # noqa: N818  named after what is the matter with a mail
    """The mail can't be put on the wire, now or later."""

    reason: str

    def __str__(self) -> str:
        return self.reason


def field(name: str, value: str, *, utf8: bool = False) -> bytes:
    """Return a field with its line end. Raises: `Unsendable`.

    A value never begins a line of its own: one with a line break or NUL is refused.
    """
    value = _checked(name, value)
    fits = len(name) + 2 + len(value) <= LINE_CHARS_MAX
    if fits and _PRINTABLE.fullmatch(value) and value == value.strip():
        return f"{name}: {value}\r\n".encode("ascii")
    return _folded(name, value, utf8=utf8)


def identifier(name: str, value: str) -> bytes:
    """Return a field with an id, which nothing may fold. Raises: `Unsendable`."""
    value = _checked(name, value)
    if len(value) <= ID_CHARS_MAX and _UNSPACED.fullmatch(value):
        return f"{name}: {value}\r\n".encode("ascii")
    return field(name, value)


def addresses(name: str, entries: Sequence[str], *, utf8: bool = False) -> bytes:
    """Return a field with addresses. Raises: `Unsendable`."""
    if all(map(PLAIN.fullmatch, entries)):
        return f"{name}: {_in_lines(name, entries)}\r\n".encode("ascii")
    return _folded(name, _checked(name, ", ".join(entries)), utf8=utf8)


def _in_lines(name: str, entries: Sequence[str]) -> str:
    together = ", ".join(entries)
    return together if len(name) + 2 + len(together) <= LINE_CHARS_MAX else ",\r\n ".join(entries)


def _checked(name: str, value: str) -> str:
    if not _NAME.fullmatch(name):
        raise Unsendable("a header has no proper name")
    if BREAKS.search(value):
        raise Unsendable(f"header {name} has a line break or NUL in it")
    if len(value) > VALUE_CHARS_MAX:
        raise Unsendable(f"header {name} is longer than {VALUE_CHARS_MAX} characters")
    return _CONTROLS.sub(" ", value)


@lru_cache(maxsize=2_048)
def _folded(name: str, value: str, *, utf8: bool) -> bytes:
    policy = SMTPUTF8 if utf8 else SMTP
    try:
        value.encode()  # Half a surrogate pair is no text.
        folded: str = policy.header_factory(name, value).fold(policy=policy)
        return folded.encode("utf-8" if utf8 else "ascii")
    except _MISREAD as error:
        raise Unsendable(f"header {name} can't be written") from error
