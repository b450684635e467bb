"""A web process that serves the Signalhouse surface alone, above the real gateway, in this process.

with Web(database_url) as web:
    account = web.account()
    with web.phone(account) as phone:
        sent = web.call("POST", "/sms/send", {"to": "+15551234567", "message": "hi"}, account)
        assert phone.hear()["sms_id"] == sent["message_id"]
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import websocket
from support.phone_accounts import CountingPasswords
from support.phone_sockets import TIMEOUT_S, code_of, hear, say
from support.websocket import serving

from signalbox.actors.invites import Invites
from signalbox.actors.phone_directory import PhoneDirectory
from signalbox.eventstore.journal import Journal
from signalbox.eventstore.log import EventLog
from signalbox.eventstore.mapper import utc_now
from signalbox.http.app import create_app
from signalbox.http.body import BodyReader
from signalbox.ops.parts import follow
from signalbox.ops.phones import Phones
from signalbox.ops.reads import PhoneReads
from signalbox.ops.settings import Settings
from signalbox.projections.readers import ReadModels

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

SECRET_KEY: Final = "a secret key for tests, long enough"
PASSWORD: Final = "a strong password"
BODY_OCTETS_MAX: Final = 1_048_576
READ_WAIT_S: Final = 3.0
_emails = count(1)

Headers = dict[str, str]


class Phone:
    """The app on a phone, connected."""

    def __init__(self, url: str, device_id: str, api_key: str) -> None:
        self.device_id = device_id
        self._socket = websocket.create_connection(
            f"{url}/ws/device/{device_id}?api_key={api_key}", timeout=TIMEOUT_S
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()

    def say(self, **frame: object) -> None:
        """Send a frame."""
        say(self._socket, **frame)

    def hear(self) -> Any:  # noqa: ANN401  (JSON)
        """Return the next frame."""
        return hear(self._socket)

    def closed_with(self) -> int:
        """Return the code of the close that comes next."""
        return code_of(self._socket)

    def hang_up(self) -> None:
        """Be gone, without a word."""
        self._socket.shutdown()


class Web:
    """The process. A projector runs elsewhere. Several share a database."""

    def __init__(self, database_url: str) -> None:
        self._closing = ExitStack()
        settings = Settings(home=Path(), secret_key=SECRET_KEY)
        self.log = EventLog(database_url, SECRET_KEY)
        self._closing.callback(self.log.close)
        self.journal = Journal(self.log)
        self._closing.callback(self.journal.close)
        models = ReadModels(self.log)
        self.phones = Phones(settings, self.log, self.journal, models, CountingPasswords())
        self.invites = Invites(PhoneDirectory(self.log, self.journal), utc_now)
        follower = follow(self.log, self.phones.told, self.phones.lines.work_waits)
        self._closing.callback(follower.close)
        self._closing.callback(self.phones.close)
        assert follower.listening.wait(TIMEOUT_S)
        reads = PhoneReads(
            models, lambda: max(self.journal.last_position, follower.position), READ_WAIT_S
        )
        surface = self.phones.signalhouse(reads, BodyReader(BODY_OCTETS_MAX), lambda _: None)
        app = create_app(surface.routes(), {}, None, [surface.guard(alone=True)])
        server = self._closing.enter_context(serving(app))
        self._place = f"127.0.0.1:{server.server_port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing.close()

    def account(self, email: str = "") -> Headers:
        """Register somebody and log in; return the header with the account's key."""
        body = {
            "email": email or f"you{next(_emails)}@example.com",
            "password": PASSWORD,
            "name": "Your Name",
            "invite_code": self.invites.make(uses_max=1, days=1, by="test"),
        }
        assert self.call("POST", "/auth/register", body)["success"]
        session = self.call("POST", "/auth/token", body)
        token = {"Authorization": f"Bearer {session['access_token']}"}
        key = self.call("GET", "/sms/qr-code", headers=token)["api_key"]
        return {"Authorization": f"Bearer {key}"}

    def call(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Any:  # noqa: ANN401  (JSON)
        """Return the answer, which must be a good one."""
        status, answer = self.ask(method, path, body, headers)
        assert status in {200, 201}, (status, answer)
        return answer

    def ask(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Return the status and the answer."""
        request = urllib.request.Request(
            f"http://{self._place}/api/v1{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers=dict(headers or {}),
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def pair(self, account: Headers, name: str = "Pixel 6a") -> str:
        """Register a gateway device; return its id."""
        body = {"device_name": name}
        return str(self.call("POST", "/sms/gateway/devices", body, account)["id"])

    def phone(self, account: Headers, device_id: str = "") -> Phone:
        """Connect a phone, paired now unless it is one that was."""
        key = account["Authorization"].removeprefix("Bearer ")
        return Phone(f"ws://{self._place}", device_id or self.pair(account), key)
