"""The server below the application: gunicorn's worker around gevent's pywsgi, hardened.

When it stops, answers under way are finished, connections that wait for a next request are closed,
and WebSockets are told that it goes away.
"""

from __future__ import annotations

import gc
import socket
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from gevent import monkey, pywsgi
from gevent import socket as gevent_socket
from gunicorn.workers.ggevent import GeventPyWSGIWorker
from typing_extensions import override

from signalbox.http.channel import ChannelLimits
from signalbox.http.channels import Channels
from signalbox.http.connections import Connections
from signalbox.http.handler import Handler
from signalbox.http.websocket import ALLOWED_ORIGINS

__all__ = ["Handler", "Limits", "Server", "Worker"]

COLLECTED: Final = (5_000, 20, 50)
"""When Python looks for garbage in cycles: new objects, young collections, middle collections."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may take: time and length for the head of a request, connections.

    0 connections set no limit, and there is none for the networks in `trusted_proxies`.
    """

    header_timeout_s: float = 5.0
    header_line_octets_max: int = 8_192
    connections_per_ip_max: int = 0
    trusted_proxies: tuple[str, ...] = ()


class Server(pywsgi.WSGIServer):  # type: ignore[misc]
    """The connections of one worker."""

    @override
    def __init__(
        self,
        *args: Any,
        limits: Limits,
        channel_limits: ChannelLimits = ChannelLimits(),  # noqa: B008  immutable
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.environ[ALLOWED_ORIGINS] = channel_limits.allowed_origins
        self.limits = limits
        self.channels = Channels(channel_limits)
        self.connections = Connections(limits.connections_per_ip_max, limits.trusted_proxies)
        self.waiting: set[Handler] = set()
        self.stopping = False

    @override
    def close(self) -> None:
        """Accept nothing more; close what only waits, and WebSockets; finish answers."""
        self.stopping = True
        super().close()
        self.channels.close_all()
        for handler in self.waiting:
            with suppress(OSError):  # It has gone by itself.
                handler.socket.shutdown(socket.SHUT_RD)


class Worker(GeventPyWSGIWorker):  # type: ignore[misc]
    """A worker process. Its gunicorn application has `limits` and `channel_limits`."""

    wsgi_handler = Handler
    sockets: list[Any]

    @override
    def patch(self) -> None:
        # `queue` stays the standard library's: see signalbox.ops.patched.
        monkey.patch_all(queue=False)
        self.sockets = [
            gevent_socket.socket(s.FAMILY, socket.SOCK_STREAM, fileno=s.sock.detach())
            for s in self.sockets
        ]

    @override
    def run(self) -> None:
        self.server_class = partial(
            Server, limits=self.app.limits, channel_limits=self.app.channel_limits
        )
        # A full collection stops everybody for 0.2 s where 5,000 sockets are: it is to be rare, and
        # need not look through what is there by now. What is young is collected as ever.
        gc.freeze()
        gc.set_threshold(*COLLECTED)
        super().run()
