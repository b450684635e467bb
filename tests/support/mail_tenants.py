"""Tenants of the mail proxy, seen from outside: over HTTP alone."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, Self

from support.processes import Client
from support.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Sequence

    from support.receiver import Answer, Call

PREFIX: Final = "/mailproxy/v1"
TOKEN: Final = "a token of the mail proxy's admin, for tests"
ENVIRONMENT: Final = {"MAIL_API_TOKEN": TOKEN}


class Admin:
    """Whoever has the token; each call is on a connection of its own."""

    def __init__(self, port: int, token: str = TOKEN) -> None:
        self.port = port
        self._token = token

    def call(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401
        """Call below the prefix; return the answer, which must be a good one."""
        client = Client(self.port)
        try:
            status, answer = client.call(
                method, f"{PREFIX}{path}", body, {"X-API-Token": self._token}
            )
        finally:
            client.close()
        assert status == 200, (status, answer)
        return answer


class Tenant(Admin):
    """A tenant with its own key."""

    def __init__(self, port: int, tenant_id: str, url: str, **config: object) -> None:
        body = {"id": tenant_id, "client_base_url": url, **config}
        key = Admin(port).call("POST", "/tenant", body)["api_key"]
        super().__init__(port, key)
        self.id = tenant_id
        self.key = key

    def add_account(self, account_id: str, port: int, **fields: object) -> None:
        """Set an SMTP account on this machine, without TLS."""
        server = {"host": "127.0.0.1", "port": port, "use_tls": False}
        body = {"id": account_id, "tenant_id": self.id, **server, **fields}
        self.call("POST", "/account", body)

    def mail(self, client_id: str, account_id: str, **fields: object) -> dict[str, object]:
        """Return a mail for `add`."""
        return {
            "id": client_id,
            "tenant_id": self.id,
            "account_id": account_id,
            "from": "sender@example.com",
            "to": [f"{client_id}@example.net"],
            "subject": f"mail {client_id}",
            "body": "hello",
            **fields,
        }

    def add(self, mails: Sequence[dict[str, object]]) -> Any:  # noqa: ANN401
        """Queue mails."""
        return self.call("POST", "/commands/add-messages", {"messages": mails})

    def messages(self, *, history: bool = False) -> list[dict[str, Any]]:
        """Return all mails as they are shown."""
        path = f"/messages?tenant_id={self.id}&include_history={str(history).lower()}"
        shown: list[dict[str, Any]] = self.call("GET", path)["messages"]
        return shown


class TenantServer:
    """The tenant's own server: keeps what it is told of each mail; while `down`, it answers 503."""

    def __init__(self) -> None:
        self.down = False
        self.told: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self.sent = 0
        self.refused = 0
        self._receiver = Receiver()
        self._receiver.answer = self._answer
        self.url = self._receiver.url.rpartition("/")[0]

    def __enter__(self) -> Self:
        self._receiver.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._receiver.__exit__()

    def _answer(self, call: Call) -> Answer:
        self._receiver.calls.clear()
        if self.down:
            self.refused += 1
            return 503
        for report in call.json["reports"]:
            self.told[report["id"]].append(report)
            self.sent += "sent_ts" in report
        return 200, {"Content-Type": "application/json"}, (b'{"ok": true}',)
