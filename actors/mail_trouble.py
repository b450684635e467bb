"""What went wrong with a mail, for the log of operators: in words of ours.

What a server says, or a client wrote, may hold addresses: it goes into no log.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from signalbox.domain.mail_account import MailAccount

REFUSED: Final = "refused by the server"
OTHER: Final = "other"
# By the beginning of a reason, which is ours; then by what is anywhere in it, in small letters.
BEGINNINGS: Final = (
    ("Attachment", "attachment"),
    ("Delivery in doubt", "in doubt"),
    ("warmup:", "warm-up"),
    ("rate_limit", "limit"),
    ("header ", "header"),
)
WORDS: Final = (
    (("connection refused",), "connection refused"),
    (("timed out", "timeout"), "no answer in time"),
    (("reset by peer", "broken pipe", "closed"), "connection lost"),
    (("host not found", "not known", "no address associated"), "host not found"),
    (("unreachable", "no route"), "host unreachable"),
    (("address not allowed",), "address not allowed"),
    (("certificate", "ssl", "tls"), "TLS"),
    (("auth",), "login"),
    (("recipient",), "recipient"),
    (("sender",), "sender"),
)
_HOST: Final = re.compile(r"[A-Za-z0-9.:_-]{1,253}")


def kind_of(code: int, reason: str) -> str:
    """Return a class of failure; `code` is the server's, 0 if it said nothing.

    >>> kind_of(0, "[Errno 111] Connection refused"), kind_of(550, "(550, 'no ann@example.org')")
    ('connection refused', 'refused by the server')
    """
    if code:
        return REFUSED
    for beginning, kind in BEGINNINGS:
        if reason.startswith(beginning):
            return kind
    small = reason.lower()
    return next((kind for words, kind in WORDS if any(word in small for word in words)), OTHER)


def server_of(account: MailAccount | None) -> str:
    """Return host and port; nothing of a host that can't be one: clients write what they like.

    >>> server_of(None)
    ''
    """
    if account is None or _HOST.fullmatch(account.host) is None:
        return ""
    return f"{account.host}:{account.port}"
