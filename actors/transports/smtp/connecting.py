"""Where a mail server is, who connects to it, and by what means."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from signalbox.actors.transports.outside import Outside
    from signalbox.domain.mail_account import Security


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Whose connection it is, where to, and as whom; nobody else may use it."""

    tenant_id: str
    account_id: str
    host: str
    port: int
    security: Security
    user: str = ""
    password: str = field(default="", repr=False)
    source_ip: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait (seconds): for a connection, a reply, the content to leave, its reply."""

    connect_s: float = 10.0
    reply_s: float = 30.0
    content_s: float = 120.0
    accept_s: float = 300.0


def connect(where: Endpoint) -> socket.socket:
    """Return a connection, from the endpoint's own address if it has one. Raises: `OSError`."""
    source = (where.source_ip, 0) if where.source_ip else None
    connection = socket.create_connection((where.host, where.port), source_address=source)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def only_to(outside: Outside) -> Callable[[Endpoint], socket.socket]:
    """Return how to connect to what is outside, or in a network that the operator allows.

    The certificate is still asked of the name. Raises: `NotOutside`, `Unresolved`, `OSError`.
    """

    def connected(where: Endpoint) -> socket.socket:
        trouble: OSError | None = None
        for address in outside.addresses(where.host, where.port):
            try:
                return connect(replace(where, host=address))
            except OSError as error:
                trouble = error
        assert trouble is not None, where
        raise trouble

    return connected


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What all connections of a process have in common; `our_name` is what servers are told."""

    tls: ssl.SSLContext
    our_name: str
    patience: Patience = field(default_factory=Patience)
    connect: Callable[[Endpoint], socket.socket] = connect
