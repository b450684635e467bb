"""Checks before anything is started, so that a mistake is one line and not a traceback."""

import errno
import socket
from typing import Any, Final

import psycopg

from signalbox.ops.sections import Database, Server
from signalbox.ops.settings import Settings, SettingsError

REASON_CHARACTERS_MAX: Final = 300


def refuse_taken_ports(settings: Settings) -> None:
    """Refuse addresses that cannot be listened on.

    Raises:
        SettingsError: a port is in use, or the host is not an address of this machine.
    """
    server = settings.server
    _refuse_taken_port("PORT (server.port)", server, server.port)
    for name, port in settings.listeners.ports.items():
        if port == server.port:
            raise SettingsError(f"listeners.{name}: {port} is the port of all surfaces")
        _refuse_taken_port(f"listeners.{name}", server, port)


def _refuse_taken_port(setting: str, server: Server, port: int) -> None:
    family, kind, _, _, address = _resolved(server.host, port)
    with socket.socket(family, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            where = server.endpoint_at(port)
            raise SettingsError(f"{setting}: {_listen_error(where, error)}") from None


def refuse_unreachable_database(database: Database) -> None:
    """Refuse a database that does not answer within its `connect_timeout_s`.

    Raises:
        SettingsError: it cannot be reached, or it refuses the user.
    """
    try:
        psycopg.connect(database.url, connect_timeout=database.connect_timeout_s).close()
    except psycopg.Error as error:
        reason = " ".join(str(error).split())[:REASON_CHARACTERS_MAX]
        raise SettingsError(f"DATABASE_URL (database.url): {reason}") from None


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _resolved(host: str, port: int) -> tuple[int, int, int, str, Any]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise SettingsError(f"server.host: {host}: {error.strerror}") from None


def _listen_error(where: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{where} is in use"
    return f"cannot listen on {where}: {error.strerror}"
