"""Every operation of this surface.

The schemas are those of the structs that requests are read as and answers written from.
"""

from __future__ import annotations

from typing import Final

from signalbox.http.mail_proxy import query, wire, wire_messages
from signalbox.http.mail_proxy import wire_answers as answers
from signalbox.http.mail_proxy import wire_mails as mails
from signalbox.http.mail_proxy import wire_tenants as shown
from signalbox.http.mail_proxy.command_log import JSON_LINES
from signalbox.http.mail_proxy.operations import (
    ACCOUNTS,
    ADMIN,
    ADMINS,
    ANY,
    BODY,
    MAILS,
    MONITORING,
    QUERY,
    TENANTS,
    Row,
)

TENANT_ROWS: Final = (
    Row(
        route=("POST", "/tenant"),
        tag=TENANTS,
        summary="Create a tenant, or configure it all anew",
        description="What is not given is forgotten. The key of a new one is shown this once.",
        good=answers.Key,
        refusals=ADMINS | BODY,
        body=wire.TenantBody,
    ),
    Row(
        route=("GET", "/tenants"),
        tag=TENANTS,
        summary="List all tenants",
        good=shown.Tenants,
        refusals=ADMINS | {422},
        query=query.TenantsQuery,
    ),
    Row(
        route=("GET", "/tenants/sync-status"),
        tag=TENANTS,
        summary="Tell when tenants' servers were told",
        good=shown.SyncStatuses,
        refusals=ADMINS,
    ),
    Row(
        route=("GET", "/tenant/{tenant_id}"),
        tag=TENANTS,
        summary="Show a tenant",
        good=shown.TenantShown,
        refusals=ANY | {404},
    ),
    Row(
        route=("PUT", "/tenant/{tenant_id}"),
        tag=TENANTS,
        summary="Configure some of a tenant anew",
        good=answers.Done,
        refusals=ANY | BODY | {404},
        body=wire.TenantChange,
    ),
    Row(
        route=("DELETE", "/tenant/{tenant_id}"),
        tag=TENANTS,
        summary="Delete a tenant with its accounts and mails",
        good=answers.Done,
        refusals=ADMINS | {404, 422},
    ),
    Row(
        route=("POST", "/tenant/{tenant_id}/api-key"),
        tag=TENANTS,
        summary="Give a tenant another key",
        good=answers.NewKey,
        refusals=ADMINS | {404, 422},
    ),
    Row(
        route=("DELETE", "/tenant/{tenant_id}/api-key"),
        tag=TENANTS,
        summary="Make a tenant's key worthless",
        good=answers.Done,
        refusals=ADMINS | {404, 422},
    ),
)
ACCOUNT_ROWS: Final = (
    Row(
        route=("POST", "/account"),
        tag=ACCOUNTS,
        summary="Set a mail account",
        good=answers.Done,
        refusals=ANY | BODY,
        body=wire.AccountBody,
    ),
    Row(
        route=("GET", "/accounts"),
        tag=ACCOUNTS,
        summary="List a tenant's mail accounts",
        good=shown.Accounts,
        refusals=ANY | QUERY,
        query=query.OfTenant,
    ),
    Row(
        route=("DELETE", "/account/{account_id}"),
        tag=ACCOUNTS,
        summary="Remove a mail account",
        good=answers.Done,
        refusals=ANY | QUERY,
        query=query.OfTenant,
    ),
)
MAIL_ROWS: Final = (
    Row(
        route=("POST", "/commands/add-messages"),
        tag=MAILS,
        summary="Queue mails",
        description=(
            "None is queued if the form of one is wrong. An id that still waits is replaced, one "
            "that was sent or failed is not queued again."
        ),
        good=mails.AddedMails,
        refusals=ANY | BODY,
        body=wire_messages.AddMessages,
    ),
    Row(
        route=("GET", "/messages"),
        tag=MAILS,
        summary="List a tenant's mails",
        good=mails.Mails,
        refusals=ANY | QUERY,
        query=query.MessagesQuery,
    ),
    Row(
        route=("POST", "/commands/delete-messages"),
        tag=MAILS,
        summary="Forget mails",
        good=mails.Deleted,
        refusals=ANY | BODY,
        body=wire_messages.DeleteMessages,
        query=query.OfTenant,
    ),
    Row(
        route=("POST", "/commands/cleanup-messages"),
        tag=MAILS,
        summary="Forget mails that were reported long ago",
        good=mails.CleanedUp,
        refusals=ANY | BODY,
        body=wire_messages.CleanupMessages,
        query=query.OfTenant,
    ),
    Row(
        route=("POST", "/commands/suspend"),
        tag=MAILS,
        summary="Hold a batch of a tenant's mails, or all",
        good=answers.Suspended,
        refusals=ANY | QUERY,
        query=query.Batch,
    ),
    Row(
        route=("POST", "/commands/activate"),
        tag=MAILS,
        summary="Let a batch of a tenant's mails go on, or all",
        good=answers.Suspended,
        refusals=ANY | QUERY,
        query=query.Batch,
    ),
    Row(
        route=("POST", "/commands/run-now"),
        tag=MAILS,
        summary="Send what is due and report what is not reported yet, at once",
        good=answers.Done,
    ),
)
ADMIN_ROWS: Final = (
    Row(
        route=("GET", "/instance"),
        tag=ADMIN,
        summary="Show the installation",
        good=answers.InstanceShown,
        refusals=ADMINS,
    ),
    Row(
        route=("PUT", "/instance"),
        tag=ADMIN,
        summary="Configure some of the installation anew",
        good=answers.Done,
        refusals=ADMINS | BODY,
        body=wire.InstanceBody,
    ),
    Row(
        route=("POST", "/instance/reload-bounce"),
        tag=ADMIN,
        summary="Look for bounces anew, by the rules as they are now",
        good=answers.Reloaded,
        refusals=ADMINS | {400},
    ),
    Row(
        route=("GET", "/command-log"),
        tag=ADMIN,
        summary="List what was done, oldest first",
        good=answers.Commands,
        refusals=ADMINS | {422},
        query=query.LogQuery,
    ),
    Row(
        route=("GET", "/command-log/export"),
        tag=ADMIN,
        summary="Export what was done, a JSON object in each line",
        good=answers.Exported,
        lines=JSON_LINES,
        refusals=ADMINS | {422},
        query=query.ExportQuery,
    ),
)
MONITORING_ROWS: Final = (
    Row(
        route=("GET", "/health"),
        tag=MONITORING,
        summary="Tell that the process runs",
        security=(),
        good=answers.Healthy,
        refusals=frozenset(),
    ),
    Row(
        route=("GET", "/status"),
        tag=MONITORING,
        summary="Tell that mail is sent",
        good=answers.Status,
    ),
)
ROWS: Final = (*MONITORING_ROWS, *TENANT_ROWS, *ACCOUNT_ROWS, *MAIL_ROWS, *ADMIN_ROWS)
