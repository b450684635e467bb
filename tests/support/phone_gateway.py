"""A gateway for phones in this process: the real surface above all that is below it, and a server.

with PhoneGateway(database_url) as gateway:
    gateway.call("GET", "/messages/acme", headers={"X-Secret-Key": "…"})
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec
from support.phone_sockets import connect, hear
from support.projecting import projecting
from support.websocket import serving

from signalbox.actors.passwords import Passwords
from signalbox.eventstore.journal import Journal
from signalbox.eventstore.log import EventLog
from signalbox.http.app import create_app
from signalbox.http.body import BodyReader
from signalbox.ops.parts import follow
from signalbox.ops.phone_sections import Trucopilot
from signalbox.ops.phones import Phones
from signalbox.ops.reads import PhoneReads
from signalbox.ops.settings import Settings
from signalbox.projections.readers import ReadModels

if TYPE_CHECKING:
    from collections.abc import Iterator

    import websocket

SECRET_KEY: Final = "a secret key for tests, long enough"
TIMEOUT_S: Final = 10.0


class PhoneGateway:
    """What a web process serves organisations with; keyword arguments are of `[trucopilot]`.

    With `projects` it keeps the read models, too; one gateway of a database has to.
    """

    def __init__(self, url: str, *, projects: bool = True, **given: Any) -> None:  # noqa: ANN401
        settings = Settings(home=Path("/nowhere"), secret_key=SECRET_KEY)
        section = msgspec.structs.replace(Trucopilot(), **given)
        self._settings = msgspec.structs.replace(settings, trucopilot=section)
        self._url = url
        self._projects = projects
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        with self._closing as closing:
            self._open(closing)
            self._closing = closing.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Send a request; return status and body."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://{self.host}{path}", data=data, method=method, headers=headers or {}
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    @contextmanager
    def phone(self, org_id: str, secret: str, query: str = "") -> Iterator[websocket.WebSocket]:
        """Connect a phone, up to its greeting."""
        url = f"ws://{self.host}/websocket?org_id={org_id}&secret_key={secret}{query}"
        with connect(url, timeout_s=TIMEOUT_S) as peer:
            assert hear(peer) == {"type": "connected", "org_id": org_id}
            yield peer

    def _open(self, closing: ExitStack) -> None:
        self.log = EventLog(self._url, SECRET_KEY)
        closing.callback(self.log.close)
        self.journal = Journal(self.log)
        closing.callback(self.journal.close)
        passwords = Passwords(threads=2, queue_max=16, octets_max=128)
        closing.callback(passwords.close)
        read_models = ReadModels(self.log)
        self.phones = Phones(self._settings, self.log, self.journal, read_models, passwords)
        follower = follow(self.log, self.phones.told, self.phones.lines.work_waits)
        closing.callback(follower.close)
        closing.callback(self.phones.close)
        assert follower.listening.wait(TIMEOUT_S)
        if self._projects:
            closing.enter_context(projecting(self._url))

        def seen() -> int:
            return max(self.journal.last_position, follower.position)

        reads = PhoneReads(read_models, seen, TIMEOUT_S)
        surface = self.phones.trucopilot(reads, BodyReader(1_048_576))
        app = create_app(surface.routes(alone=True), {}, shapes=[surface.guard(alone=True)])
        server = closing.enter_context(serving(app))
        self.host = f"127.0.0.1:{server.server_port}"
