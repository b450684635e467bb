"""The paths of this surface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from signalbox.http.sms_proxy.auth import AdminGate, TokenGate
from signalbox.http.sms_proxy.operators import DashboardMetrics, SmppLinks, ToggleLink
from signalbox.http.sms_proxy.sms import CheckEsme, Info, Send
from signalbox.http.sms_proxy.users import LogIn, Register

if TYPE_CHECKING:
    from signalbox.http.body import BodyReader
    from signalbox.http.peer import Peers
    from signalbox.http.sms_proxy.ports import Accounts, Links, Reads, Sending


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsProxy:
    """What the surface is made of."""

    accounts: Accounts
    sending: Sending
    links: Links
    reads: Reads
    body: BodyReader
    peers: Peers
    admin_api_key: str

    def routes(self) -> dict[str, object]:
        """Return the resource of each path."""
        user, admin = TokenGate(self.accounts), AdminGate(self.admin_api_key)
        return {
            "/api/v1/user/login": LogIn(self.accounts, self.body, self.peers),
            "/api/v1/sms/send": Send(user, self.sending, self.body),
            "/api/v1/sms/check-esme": CheckEsme(user, self.reads, self.body),
            "/api/v1/sms/info": Info(user, self.reads, self.body),
            "/api/v1/dashboard/metrics": DashboardMetrics(user, self.reads),
            "/api/v1/dashboard/smpp-links": SmppLinks(user, self.reads),
            "/api/v1/smpp/{link_id}/toggle": ToggleLink(user, self.links, self.body),
            "/api/v1/admin/dashboard/metrics": DashboardMetrics(admin, self.reads),
            "/api/v1/admin/dashboard/smpp-links": SmppLinks(admin, self.reads),
            "/api/v1/admin/smpp/{link_id}/toggle": ToggleLink(admin, self.links, self.body),
            "/api/v1/admin/proxy-users/register": Register(admin, self.accounts, self.body),
        }
