"""The paths of this surface."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from signalbox.http import swagger
from signalbox.http.sms_proxy import wire, wire_statistics
from signalbox.http.sms_proxy.addresses import AllowedAddresses
from signalbox.http.sms_proxy.auth import AdminGate, OpenGate, SmsGate, TokenGate, no_limit
from signalbox.http.sms_proxy.license import ShowLicense, UploadLicense
from signalbox.http.sms_proxy.openapi import TITLE, document
from signalbox.http.sms_proxy.operators import ToggleLink
from signalbox.http.sms_proxy.settings import ShowServerConfig, SmppConfig
from signalbox.http.sms_proxy.sms import CheckEsme, Info, Send
from signalbox.http.sms_proxy.statistics import CampaignMetrics, Dashboard
from signalbox.http.sms_proxy.users import (
    Delete,
    LogIn,
    ProxyUsers,
    Register,
    RegisterUser,
    RemoveProxyUser,
    ToggleAdmin,
    Validate,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from signalbox.http.body import BodyReader
    from signalbox.http.peer import Peers
    from signalbox.http.sms_proxy.auth import Gate
    from signalbox.http.sms_proxy.ports import (
        Accounts,
        Licenses,
        Links,
        PoolRow,
        Reads,
        Sending,
        SystemLoad,
        Users,
    )
    from signalbox.http.sms_proxy.wire_settings import ServerConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsProxy:
    """What the surface is made of.

    `stats_auth` "admin" closes `/dashboard/stats`, `user_api_auth` "none" opens registration,
    validation and deletion of users. With `jwt_admin_mutations` a token's user must be an
    administrator to change how the gateway runs.
    `limiter` is told the application of each request about messages, `allowed_ips` are the networks
    the configuration gives to applications.
    """

    accounts: Accounts
    users: Users
    sending: Sending
    links: Links
    licenses: Licenses
    reads: Reads
    system: Callable[[], SystemLoad]
    server_config: Callable[[], ServerConfig]
    pools: Sequence[PoolRow] = ()
    body: BodyReader
    peers: Peers
    admin_api_key: str
    stats_auth: str = "none"
    user_api_auth: str = "admin"
    jwt_admin_mutations: bool = False
    limiter: Callable[[int], None] = no_limit
    allowed_ips: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    def routes(self) -> dict[str, object]:
        """Return the resource of each path."""
        user, admin = TokenGate(self.accounts), AdminGate(self.admin_api_key)
        addresses = AllowedAddresses(self.accounts, self.peers, self.allowed_ips)
        sms = SmsGate(user, self.limiter, addresses)
        changing = TokenGate(self.accounts, admins_only=self.jwt_admin_mutations)
        return {
            **swagger.routes("/sms-proxy", TITLE, self._document()),
            "/api/v1/user/login": LogIn(self.accounts, self.body, self.peers),
            "/api/v1/sms/send": Send(sms, self.sending, self.body),
            "/api/v1/sms/check-esme": CheckEsme(sms, self.reads, self.body),
            "/api/v1/sms/info": Info(sms, self.reads, self.body),
            "/api/v1/smpp/{link_id}/toggle": ToggleLink(changing, self.links, self.body),
            "/api/v1/admin/metrics/campaigns": CampaignMetrics(admin, self.reads),
            "/api/v1/admin/smpp/{link_id}/toggle": ToggleLink(admin, self.links, self.body),
            **self._dashboard(user, admin),
            **self._users(admin),
            **self._license(user, changing, admin),
            **self._configuration(user, admin),
        }

    def _dashboard(self, user: Gate, admin: AdminGate) -> dict[str, object]:
        reads, failed = self.reads, "failed to get top campaigns"

        def stats(gate: Gate) -> Dashboard:
            return Dashboard(
                gate, lambda: wire_statistics.stats(reads.statistics(), self.system()), failed
            )

        def shown(gate: Gate) -> dict[str, object]:
            return {
                "metrics": Dashboard(gate, lambda: wire.metrics(reads.figures(), reads.links())),
                "stats": stats(gate),
                "smpp-links": Dashboard(gate, lambda: wire.links(reads.links())),
                "load-balancers": Dashboard(
                    gate, lambda: wire_statistics.load_balancers(self.pools, reads.links())
                ),
            }

        return {
            "/dashboard/stats": stats(admin if self.stats_auth == "admin" else OpenGate(admin)),
            **{f"/api/v1/dashboard/{name}": one for name, one in shown(user).items()},
            **{f"/api/v1/admin/dashboard/{name}": one for name, one in shown(admin).items()},
        }

    def _license(self, user: Gate, changing: Gate, admin: Gate) -> dict[str, object]:
        shown, upload = "settings/license", "settings/license/upload"
        return {
            f"/api/v1/{shown}": ShowLicense(user, self.licenses),
            f"/api/v1/{upload}": UploadLicense(changing, self.licenses, self.body),
            f"/api/v1/admin/{shown}": ShowLicense(admin, self.licenses),
            f"/api/v1/admin/{upload}": UploadLicense(admin, self.licenses, self.body),
        }

    def _configuration(self, user: Gate, admin: Gate) -> dict[str, object]:
        return {
            "/api/v1/settings/smpp-config": SmppConfig(user, self.links),
            "/api/v1/admin/settings/smpp-config": SmppConfig(admin, self.links),
            "/api/v1/admin/settings/server-config": ShowServerConfig(admin, self.server_config),
        }

    def _document(self) -> Callable[[], bytes]:
        return partial(document, stats_auth=self.stats_auth, user_api_auth=self.user_api_auth)

    def _users(self, admin: AdminGate) -> dict[str, object]:
        user_api = OpenGate(admin) if self.user_api_auth == "none" else admin
        proxy_users = "/api/v1/admin/proxy-users"
        return {
            "/api/v1/user/register": RegisterUser(user_api, self.users, self.body),
            "/api/v1/user/validate": Validate(user_api, self.users, self.body),
            "/api/v1/user/delete": Delete(user_api, self.users, self.body),
            proxy_users: ProxyUsers(admin, self.reads),
            f"{proxy_users}/register": Register(admin, self.users, self.body),
            f"{proxy_users}/{{user_id}}": RemoveProxyUser(admin, self.users),
            f"{proxy_users}/{{user_id}}/toggle-admin": ToggleAdmin(admin, self.users),
        }
