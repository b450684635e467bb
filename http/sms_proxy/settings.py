"""What is configured, for whoever operates the gateway; never a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signalbox.http.context import encode
from signalbox.http.sms_proxy import wire
from signalbox.http.sms_proxy import wire_settings as wire_config

if TYPE_CHECKING:
    from collections.abc import Callable

    import falcon

    from signalbox.http.context import Request
    from signalbox.http.sms_proxy.auth import Gate
    from signalbox.http.sms_proxy.ports import Links
    from signalbox.http.sms_proxy.wire_settings import ServerConfig


class SmppConfig:
    """`GET …/settings/smpp-config`."""

    def __init__(self, gate: Gate, links: Links) -> None:
        self._gate = gate
        self._links = links

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Answer with every configured link's account, by the links' numbers."""
        self._gate(req)
        accounts = [wire_config.smpp_account(link) for link in self._links.configured]
        resp.data = encode(wire.data(accounts))


class ShowServerConfig:
    """`GET …/admin/settings/server-config`."""

    def __init__(self, gate: Gate, config: Callable[[], ServerConfig]) -> None:
        self._gate = gate
        self._config = config

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Answer with the configuration in force."""
        self._gate(req)
        resp.data = encode(wire.data(self._config()))
