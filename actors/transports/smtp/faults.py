"""What went wrong with a mail, and whether trying again is any use.

    a reply 4xx ─▶ temporary        5xx ─▶ permanent        anything else ─▶ temporary
    no reply after the final dot ─▶ in doubt: the server may have taken the mail
    no reply before it, no connection ─▶ temporary
    a certificate nobody vouches for, no TLS at the other end ─▶ permanent
    no code at all ─▶ what the words say; else temporary

The words and their order are those of the gateway this replaces, so that retries stay the same.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from enum import IntEnum
from smtplib import SMTPException
from typing import TYPE_CHECKING, Final

from signalbox.actors.transports.outside import NotOutside

if TYPE_CHECKING:
    from collections.abc import Mapping

    from signalbox.actors.transports.smtp.job import Result

REPLY_MAX: Final = 500  # characters of a reply that are kept

TEMPORARY_WORDS: Final = (
    "421", "450", "451", "452", "timeout", "timed out", "connection refused", "connection reset",
    "temporarily unavailable", "try again", "throttl",
)  # fmt: skip
PERMANENT_WORDS: Final = ("auth", "535", "534", "530", "certificate", "ssl", "wrong version number")


class Stage(IntEnum):
    """How far a mail has come; `ACCEPT` is after the final dot."""

    CONNECT = 0
    HELLO = 1
    LOGIN = 2
    MAIL = 3
    RCPT = 4
    DATA = 5
    CONTENT = 6
    ACCEPT = 7


@dataclass(eq=False)
class Fault(Exception):  # noqa: N818  named after what was found
    """A mail was not accepted, or nobody knows. `code` is 0 when no server said it.

    `over` tells that the connection is of no use any more.
    """

    result: Result
    stage: Stage
    code: int = 0
    reason: str = ""
    refused: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    over: bool = True

    def __str__(self) -> str:
        return self.reason


class Stopped(Fault):
    """Whoever sent the mail was stopped by ourselves."""


def refused(stage: Stage, code: int, text: str) -> Fault:
    """Return the fault of a reply that is not the one hoped for."""
    over = code not in range(400, 600) or code == 421  # noqa: PLR2004  RFC 5321, 3.8
    return Fault(_of_code(code), stage, code, reason_of(code, text), over=over)


def all_refused(replies: Mapping[str, tuple[int, str]]) -> Fault:
    """Return the fault of a mail that no recipient may have.

    Unless every refusal is for good, one of the others speaks for all.
    """
    first = min(replies.values(), key=lambda reply: _of_code(reply[0]) != "temporary")
    fault = refused(Stage.RCPT, *first)
    fault.refused = dict(replies)
    fault.over = any(code == 421 for code, _ in replies.values())  # noqa: PLR2004  same
    return fault


def lost(stage: Stage, error: Exception) -> Fault:
    """Return the fault of a connection that came to nothing, or to an end."""
    text = sentence(str(error)) or type(error).__name__
    if stage == Stage.ACCEPT:
        return Fault("in_doubt", stage, reason=text)
    return Fault(_of_error(error, text), stage, reason=text)


def reason_of(code: int, text: str) -> str:
    """Return a reply as clients of the gateway know it."""
    return f"({code}, {sentence(text)!r}) (SMTP {code})"


def text_of(reply: bytes | str) -> str:
    """Return the words of a reply."""
    return reply if isinstance(reply, str) else reply.decode("utf-8", "replace")


def sentence(text: str) -> str:
    """Return a text on one line, and no longer than anybody reads."""
    return " ".join(text.split())[:REPLY_MAX]


def is_temporary(code: int) -> bool:
    """Tell whether whoever answered so may answer otherwise later."""
    return _of_code(code) == "temporary"


def _of_code(code: int) -> Result:
    return "permanent" if code in range(500, 600) else "temporary"


def _of_error(error: Exception, text: str) -> Result:
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "temporary"
    if isinstance(error, ssl.SSLError):
        return "permanent"
    if isinstance(error, OSError) and not isinstance(error, SMTPException):
        return "temporary"
    # A host or port that can't be, or must not be.
    if isinstance(error, ValueError | OverflowError | NotOutside):
        return "permanent"
    return by_words(text)


def by_words(text: str) -> Result:
    """Judge a fault without a code by its words."""
    small = text.lower()
    if any(word in small for word in TEMPORARY_WORDS):
        return "temporary"
    return "permanent" if any(word in small for word in PERMANENT_WORDS) else "temporary"
