"""A web process as it is in service, but with nothing behind it than a WebSocket that echoes.

python websocket_server.py PORT
"""

# ruff: noqa: I001  what patches comes first
import signalbox.ops.patched

import sys
from pathlib import Path

from typing_extensions import override

from support.websocket import Echo
from signalbox.http.app import create_app
from signalbox.http.listeners import Listeners
from signalbox.ops.sections import Server
from signalbox.ops.settings import Settings
from signalbox.ops.web import Gateway

assert signalbox.ops.patched


class EchoGateway(Gateway):
    """The web process with another application."""

    @override
    def load(self) -> Listeners:
        return Listeners(create_app({"/echo": Echo()}, {}), {})


if __name__ == "__main__":
    EchoGateway(Settings(server=Server(port=int(sys.argv[1])), home=Path.cwd())).run()
