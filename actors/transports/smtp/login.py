"""How to tell an SMTP server who we are (RFC 4954), in UTF-8: PLAIN, LOGIN, CRAM-MD5."""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode, b64encode
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

GO_ON: Final = 334  # RFC 4954, 4

Reply = tuple[int, bytes]
Ask = Callable[[str], Reply]
Way = Callable[[Ask], Reply]


def way_in(offered: str, user: str, password: str, *, in_clear: bool) -> Way | None:
    """Return how to log in, by what the server offers; None if nothing of it is known here.

    In clear a password is only told if there is no other way.
    """
    known = user.encode(), password.encode()
    ways: dict[str, Way] = {
        "PLAIN": partial(_plain, *known),
        "LOGIN": partial(_answer, known),
        "CRAM-MD5": partial(_challenge, *known),
    }
    order = ("CRAM-MD5", "PLAIN", "LOGIN") if in_clear else tuple(ways)
    names = offered.upper().split()
    return next((ways[name] for name in order if name in names), None)


def _plain(user: bytes, password: bytes, ask: Ask) -> Reply:
    """Log in by RFC 4616."""
    known = _base64(b"\0%b\0%b" % (user, password))
    return ask(f"AUTH PLAIN {known}")


def _answer(answers: Sequence[bytes], ask: Ask) -> Reply:
    """Give one answer after the other for as long as more is asked."""
    reply = ask("AUTH LOGIN")
    for answer in answers:
        if reply[0] != GO_ON:
            break
        reply = ask(_base64(answer))
    return reply


def _challenge(user: bytes, password: bytes, ask: Ask) -> Reply:
    """Log in by RFC 2195: the password itself is not sent. Raises: `ConnectionError`."""
    code, text = ask("AUTH CRAM-MD5")
    if code != GO_ON:
        return code, text
    digest = hmac.new(password, _challenged(text), "md5").hexdigest()
    return ask(_base64(b"%b %b" % (user, digest.encode("ascii"))))


def _challenged(text: bytes) -> bytes:
    try:
        return b64decode(text)
    except binascii.Error as error:
        raise ConnectionError("the server's challenge can't be read") from error


def _base64(secret: bytes) -> str:
    return b64encode(secret).decode("ascii")
