"""What this surface offers, in the words of its callers: the table that `openapi` is made from.

The schemas are those of the structs in `wire*.py`. What is there twice, behind a user's token and
behind the admin key, is one row here, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from spectree import Tag

from signalbox.http.sms_proxy import wire
from signalbox.http.sms_proxy import wire_accounts as accounts
from signalbox.http.sms_proxy import wire_license as licence
from signalbox.http.sms_proxy import wire_settings as config
from signalbox.http.sms_proxy import wire_statistics as statistics
from signalbox.http.sms_proxy.described import Gate, Row, behind
from signalbox.http.sms_proxy.wire_errors import Denied, Failed, NotSent

if TYPE_CHECKING:
    from signalbox.http.openapi import Operations

MONITORING: Final = Tag("Monitoring", "For probes, for Prometheus, and for everybody.")
USERS: Final = Tag("Users", "Accounts and tokens.")
DASHBOARD: Final = Tag("Dashboard", "Totals, links and pools.")
SETTINGS: Final = Tag("Settings", "Licence and configuration.")
LINKS: Final = Tag("SMPP control", "Links, on and off.")
SMS: Final = Tag("SMS gateway", "Messages of an application.")
ADMIN: Final = Tag("Admin panel", "For whoever has the admin key.")


IdempotencyKey = Annotated[
    str, Meta(extra_json_schema={"pattern": f"^{wire.IDEMPOTENCY_KEY.pattern}$"})
]


class Alive(msgspec.Struct):
    """The process runs."""

    status: Literal["ok"]


class SendHeaders(msgspec.Struct):
    """A key under which a repeated request finds the message of the first."""

    idempotency_key: IdempotencyKey | UnsetType = msgspec.field(
        name="Idempotency-Key", default=UNSET
    )


class LicenseForm(msgspec.Struct):
    """`POST …/settings/license/upload`."""

    license: Annotated[str, Meta(extra_json_schema={"format": "binary"})]


PUBLIC: Final = Gate("", (), {})
ANYBODY: Final = Gate("/api/v1", (), {})
USER: Final = Gate("/api/v1", [{"token": [], "app_id": []}], {400: (Denied,), 401: (Denied,)})
CHANGING_USER: Final = Gate(USER.prefix, USER.security, {**USER.denied, 403: (Denied,)})
SENDING_USER: Final = Gate(
    USER.prefix, USER.security, {**USER.denied, 403: (Failed,), 429: (Failed,)}
)
OPERATOR: Final = Gate("/api/v1", [{"admin_key": []}], {401: (Denied,), 503: (Denied,)})
ONLOOKING_OPERATOR: Final = Gate("", OPERATOR.security, OPERATOR.denied)
ADMIN_PANEL: Final = Gate("/api/v1/admin", OPERATOR.security, OPERATOR.denied, ADMIN)
ANYBODY_OR_OPERATOR: Final = Gate("/api/v1", [{}, *OPERATOR.security], {})


MONITORING_ROWS: Final = (
    Row(
        route=("GET", "/healthy"),
        tag=MONITORING,
        summary="Tell that the process runs",
        good={200: (Alive,)},
        failed=(),
    ),
    Row(
        route=("GET", "/metrics"),
        tag=MONITORING,
        summary="Tell what is counted, for Prometheus",
        good={200: ()},
        failed=(),
    ),
)

STATS: Final = Row(
    route=("GET", "/dashboard/stats"),
    tag=DASHBOARD,
    summary="Tell the rates of the last hour, the busiest campaigns and the machine's load",
    good={200: (wire.Data[statistics.Stats],)},
    away=500,
)

LOG_IN: Final = Row(
    route=("POST", "/user/login"),
    tag=USERS,
    summary="Log in to an application",
    good={200: (accounts.LoggedIn,)},
    failed=(accounts.LoggedIn,),
    refusals=(401, 429),
    body=accounts.LogIn,
)

USER_ROWS: Final = (
    Row(
        route=("POST", "/user/register"),
        tag=USERS,
        summary="Register a user without an application",
        good={201: (accounts.UserMade,)},
        failed=(accounts.UserMade,),
        body=accounts.RegisterUser,
    ),
    Row(
        route=("POST", "/user/validate"),
        tag=USERS,
        summary="Tell whether a user is an administrator",
        good={200: (accounts.Validated,)},
        failed=(accounts.Validated,),
        body=accounts.UserId,
    ),
    Row(
        route=("POST", "/user/delete"),
        tag=USERS,
        summary="Delete a user who is no administrator",
        good={200: (accounts.Deleted,)},
        failed=(accounts.Deleted,),
        refusals=(404,),
        body=accounts.UserId,
    ),
)

SMS_ROWS: Final = (
    Row(
        route=("POST", "/sms/send"),
        tag=SMS,
        summary="Send a message and answer with what the SMSC said, or that it waits",
        good={200: (wire.SendAnswer,)},
        failed=(Failed, NotSent),
        refusals=(403, 409),
        more={500: (wire.SendAnswer,)},
        body=wire.Send,
        headers=SendHeaders,
    ),
    Row(
        route=("POST", "/sms/check-esme"),
        tag=SMS,
        summary="Tell whether a link is bound",
        good={200: (wire.EsmeAnswer,)},
        body=wire.Esme,
    ),
    Row(
        route=("POST", "/sms/info"),
        tag=SMS,
        summary="Tell what became of a message",
        good={200: (wire.InfoAnswer,)},
        refusals=(404,),
        body=wire.Info,
    ),
)
TWINS: Final = (
    STATS,
    Row(
        route=("GET", "/dashboard/metrics"),
        tag=DASHBOARD,
        summary="Tell the totals",
        good={200: (wire.Data[wire.Totals],)},
        away=500,
    ),
    Row(
        route=("GET", "/dashboard/smpp-links"),
        tag=DASHBOARD,
        summary="List the links and how they are",
        good={200: (wire.Data[list[wire.SmppLink]],)},
        away=500,
    ),
    Row(
        route=("GET", "/dashboard/load-balancers"),
        tag=DASHBOARD,
        summary="List the pools and what they may submit",
        good={200: (wire.Data[list[statistics.LoadBalancer]],)},
        away=500,
    ),
    Row(
        route=("GET", "/settings/license"),
        tag=SETTINGS,
        summary="Tell what the licence allows",
        good={200: (licence.LicenseAnswer,)},
    ),
    Row(
        route=("GET", "/settings/smpp-config"),
        tag=SETTINGS,
        summary="Tell how the links connect",
        good={200: (wire.Data[list[config.SmppAccount]],)},
    ),
)

CHANGING_TWINS: Final = (
    Row(
        route=("PUT", "/smpp/{link_id}/toggle"),
        tag=LINKS,
        summary="Switch a link on or off, for good; an unknown one is a 500",
        good={200: (wire.Data[wire.LinkSwitch],)},
        body=wire.Toggle,
    ),
    Row(
        route=("POST", "/settings/license/upload"),
        tag=SETTINGS,
        summary="Put another licence into force",
        good={200: (licence.LicenseUploaded,)},
        form=LicenseForm,
    ),
)

PANEL_ROWS: Final = (
    Row(
        route=("GET", "/settings/server-config"),
        tag=ADMIN,
        summary="Tell the configuration in force, secrets left out",
        good={200: (wire.Data[config.ServerConfig],)},
    ),
    Row(
        route=("GET", "/metrics/campaigns"),
        tag=ADMIN,
        summary="List what became of campaigns, those that changed last first",
        good={200: (statistics.CampaignPage,)},
        query=statistics.CampaignQuery,
    ),
    Row(
        route=("GET", "/proxy-users"),
        tag=ADMIN,
        summary="List all users with their applications",
        good={200: (wire.Data[list[accounts.ProxyUser]],)},
    ),
    Row(
        route=("POST", "/proxy-users/register"),
        tag=ADMIN,
        summary="Register a user with an application",
        good={201: (wire.Data[accounts.Registered],)},
        body=accounts.Register,
    ),
    Row(
        route=("DELETE", "/proxy-users/{user_id}"),
        tag=ADMIN,
        summary="Delete a user, an administrator, too; an unknown one is a 400",
        good={200: (accounts.Removed,)},
    ),
    Row(
        route=("PUT", "/proxy-users/{user_id}/toggle-admin"),
        tag=ADMIN,
        summary="Make a user an administrator, or no longer one; an unknown one is a 500",
        good={200: (wire.Data[accounts.Role],)},
    ),
)


def operations(*, stats_auth: str, user_api_auth: str) -> Operations:
    """Return the whole table; who may call some of it is `SmsProxy`'s to say."""
    onlookers = ONLOOKING_OPERATOR if stats_auth == "admin" else PUBLIC
    users = ANYBODY_OR_OPERATOR if user_api_auth == "none" else OPERATOR
    return {
        **behind(PUBLIC, MONITORING_ROWS),
        **behind(onlookers, [STATS]),
        **behind(ANYBODY, [LOG_IN]),
        **behind(users, USER_ROWS),
        **behind(USER, TWINS),
        **behind(CHANGING_USER, CHANGING_TWINS),
        **behind(SENDING_USER, SMS_ROWS),
        **behind(ADMIN_PANEL, [*TWINS, *CHANGING_TWINS, *PANEL_ROWS]),
    }
