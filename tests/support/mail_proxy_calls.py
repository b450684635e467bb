"""Calls of the mail proxy's surface by the admin, about the tenant `acme`.

assert add(surface, message("m-1")).json["queued"] == 1
(mail,) = shown(surface)
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from support.mail_proxy import ADMIN

if TYPE_CHECKING:
    import falcon.testing
    from support.mail_proxy import Surface

ADD: Final = "/commands/add-messages"


def ask(surface: Surface, method: str, path: str, body: object = None) -> falcon.testing.Result:
    """Return the answer."""
    octets = b"" if body is None else json.dumps(body).encode()
    return surface.client().simulate_request(method, path, headers=ADMIN, body=octets)


def add(surface: Surface, *messages: dict[str, object], **more: object) -> falcon.testing.Result:
    """Hand mails over."""
    return ask(surface, "POST", ADD, {"messages": list(messages), **more})


def shown(surface: Surface, query: str = "") -> list[Any]:
    """Return the mails."""
    answer = ask(surface, "GET", f"/messages?tenant_id=acme{query}")
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.json["messages"]
    return found
