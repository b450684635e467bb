"""What `signalbox mail` does: one call of the mail proxy's API each, and what is shown of it."""

from __future__ import annotations

import json
import os
import sys
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from signalbox.ops import mail_bodies as bodies
from signalbox.ops import mail_shown as shown
from signalbox.ops import tables
from signalbox.ops.mail_client import MailClient, MailRefused
from signalbox.ops.mail_shown import Told
from signalbox.ops.settings import SettingsError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    Call = Callable[[MailClient, argparse.Namespace], Told]


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked for, and show what came of it.

    Raises:
        SettingsError: it was refused, or nobody was there to refuse it.
    """
    token = os.environ.get(arguments.token_env, "")
    try:
        told = CALLS[arguments.call](MailClient(arguments.url, token), arguments)
    except MailRefused as refused:
        raise SettingsError(f"mail: {refused}") from None
    for warning in told.warnings:
        sys.stderr.write(f"signalbox: {warning}\n")
    if arguments.json:
        sys.stdout.write(f"{json.dumps(told.answer, ensure_ascii=False)}\n")
    else:
        _show(told)
    return 0


def _show(told: Told) -> None:
    console = tables.standard_output()
    for title, table in told.titled:
        tables.show(console, title, table)
    if told.alone:
        sys.stdout.write(f"{told.alone}\n")
    if told.line:
        sys.stderr.write(f"signalbox: {told.line}\n")


def _tenants(client: MailClient, given: argparse.Namespace) -> Told:
    answer = client.get("tenants", active_only=given.active)
    return shown.listed(answer, "Tenants", shown.TENANTS, answer["tenants"])


def _sync_status(client: MailClient, _: argparse.Namespace) -> Told:
    answer = client.get("tenants", "sync-status")
    title = f"Reports; everybody is called each {answer['sync_interval_seconds']} s"
    return shown.listed(answer, title, shown.SYNCS, answer["tenants"])


def _tenant(client: MailClient, given: argparse.Namespace) -> Told:
    return shown.one(client.get("tenant", given.tenant), f"Tenant {given.tenant}")


def _add_tenant(client: MailClient, given: argparse.Namespace) -> Told:
    body = {"id": given.tenant, **bodies.tenant(given)}
    if _is_there(client, given.tenant):
        # The call would forget what is not given now, without a word.
        raise MailRefused(f"tenant {given.tenant!r} is there already: `tenants update` changes it")
    answer = client.post("tenant", body=body)
    return Told(answer, "tenant added; its key is shown this once", answer.get("api_key", ""))


def _is_there(client: MailClient, tenant: str) -> bool:
    try:
        client.get("tenant", tenant)
    except MailRefused as refused:
        if refused.status != HTTPStatus.NOT_FOUND:
            raise
        return False
    return True


def _require_tenant(client: MailClient, tenant: str) -> None:
    """Raise `MailRefused` if there is none, as far as whoever asks may know."""
    try:
        client.get("tenant", tenant)
    except MailRefused as refused:
        if refused.status == HTTPStatus.NOT_FOUND:
            raise


def _update_tenant(client: MailClient, given: argparse.Namespace) -> Told:
    body = bodies.changes(bodies.tenant(given))
    answer = client.put("tenant", given.tenant, body=body)
    return Told(answer, "tenant changed")


def _delete_tenant(client: MailClient, given: argparse.Namespace) -> Told:
    if not given.yes:
        _confirm(given.tenant)
    return Told(client.delete("tenant", given.tenant), "tenant deleted, with accounts and mails")


def _confirm(tenant: str) -> None:
    if not sys.stdin.isatty():
        raise SettingsError("mail: needs --yes: accounts and mails go, too")
    sys.stderr.write(f"all of {tenant!r} goes, accounts and mails too; its name again: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != tenant:
        raise SettingsError("mail: nothing deleted")


def _issue_key(client: MailClient, given: argparse.Namespace) -> Told:
    answer = client.post("tenant", given.tenant, "api-key")
    return Told(answer, "the key before is worthless; this one is shown once", answer["api_key"])


def _revoke_key(client: MailClient, given: argparse.Namespace) -> Told:
    return Told(client.delete("tenant", given.tenant, "api-key"), "key revoked")


def _accounts(client: MailClient, given: argparse.Namespace) -> Told:
    answer = client.get("accounts", tenant_id=given.tenant)
    if not answer["accounts"]:
        _require_tenant(client, given.tenant)
    title = f"Mail accounts of {given.tenant}"
    return shown.listed(answer, title, shown.ACCOUNTS, answer["accounts"])


def _put_account(client: MailClient, given: argparse.Namespace) -> Told:
    answer = client.post("account", body=bodies.account(given))
    try:
        _require_tenant(client, given.tenant)
    except MailRefused:
        warning = f"there is no tenant {given.tenant!r} yet: nothing is sent before there is"
        return Told(answer, "account set", warnings=(warning,))
    return Told(answer, "account set")


def _delete_account(client: MailClient, given: argparse.Namespace) -> Told:
    answer = client.delete("account", given.account, tenant_id=given.tenant)
    return Told(answer, "account removed")


def _messages(client: MailClient, given: argparse.Namespace) -> Told:
    answer = client.get(
        "messages",
        tenant_id=given.tenant,
        active_only=given.active,
        include_history=given.history,
        limit=given.limit,
        offset=given.offset,
    )
    if not answer["messages"]:
        _require_tenant(client, given.tenant)
    return shown.mails(answer, f"Mails of {given.tenant}")


def _delete_messages(client: MailClient, given: argparse.Namespace) -> Told:
    body = {"ids": given.ids}
    answer = client.post("commands", "delete-messages", body=body, tenant_id=given.tenant)
    strangers = [*answer["not_found"], *answer["unauthorized"]]
    unknown = f"; unknown: {', '.join(strangers)}" if strangers else ""
    return Told(answer, f"{answer['removed']} removed{unknown}")


def _clean_up(client: MailClient, given: argparse.Namespace) -> Told:
    body = bodies.age(given)
    answer = client.post("commands", "cleanup-messages", body=body, tenant_id=given.tenant)
    if not answer["removed"]:
        _require_tenant(client, given.tenant)
    return Told(answer, f"{answer['removed']} removed")


def _send(client: MailClient, given: argparse.Namespace) -> Told:
    item, left_out = bodies.mail(given)
    try:
        answer = client.post("commands", "add-messages", body={"messages": [item]})
    except MailRefused as refused:
        if refused.status == HTTPStatus.BAD_REQUEST:
            _require_tenant(client, given.tenant)  # It knows no account of a tenant that is none.
        raise
    if not answer["queued"]:
        (rejected,) = answer["rejected"]
        raise MailRefused(f"{item['id']}: {rejected['reason']}")
    return Told(answer, "queued", item["id"], warnings=left_out)


def _run_now(client: MailClient, _: argparse.Namespace) -> Told:
    return Told(client.post("commands", "run-now"), "what is due is sent and reported now")


def _suspend(client: MailClient, given: argparse.Namespace) -> Told:
    return _switched(client, given, "suspend")


def _activate(client: MailClient, given: argparse.Namespace) -> Told:
    return _switched(client, given, "activate")


def _switched(client: MailClient, given: argparse.Namespace, command: str) -> Told:
    answer = client.post("commands", command, tenant_id=given.tenant, batch_code=given.batch)
    return Told(answer, _suspended(answer, given.batch))


def _suspended(answer: Mapping[str, Any], batch: str | None) -> str:
    """Say what is held, and how many mails wait of what was asked for."""
    batches = answer["suspended_batches"]
    what = "everything" if batches == ["*"] else ", ".join(batches) or "nothing"
    of = f"in batch {batch}" if batch else "in all, held or not"
    return f"suspended: {what}; mails that wait {of}: {answer['pending_messages']}"


def _instance(client: MailClient, _: argparse.Namespace) -> Told:
    return shown.one(client.get("instance"), "Installation")


def _set_instance(client: MailClient, given: argparse.Namespace) -> Told:
    body = bodies.changes(bodies.instance(given))
    return Told(client.put("instance", body=body), "changed")


def _reload_bounce(client: MailClient, _: argparse.Namespace) -> Told:
    return Told(client.post("instance", "reload-bounce"), "bounces are looked for anew")


def _status(client: MailClient, _: argparse.Namespace) -> Told:
    answer = client.get("status")
    return Told(answer, f"the mail proxy is {'active' if answer['active'] else 'not active'}")


def _command_log(client: MailClient, given: argparse.Namespace) -> Told:
    query = {
        "tenant_id": given.tenant,
        "since_ts": bodies.moment("--since", given.since),
        "until_ts": bodies.moment("--until", given.until),
    }
    if given.export:
        return _exported(client, query, as_lines=not given.json)
    newest = True if given.limit > 0 else None
    answer = client.get(
        "command-log", **query, endpoint_filter=given.endpoint, limit=given.limit, newest=newest
    )
    is_full = len(answer["commands"]) == given.limit
    title = "Commands, oldest first" + (f"; the newest {given.limit} of them" if is_full else "")
    return shown.listed(answer, title, shown.COMMANDS, answer["commands"])


def _exported(client: MailClient, query: Mapping[str, object], *, as_lines: bool) -> Told:
    """Print what may be more than fits into memory while it comes."""
    if not as_lines:
        return Told(client.get("command-log", "export", format="json", **query))
    sys.stdout.flush()
    client.copy(sys.stdout.buffer, "command-log", "export", **query)
    sys.stdout.buffer.flush()
    return Told(None)


CALLS: Final[Mapping[str, Call]] = {
    "tenants list": _tenants,
    "tenants sync-status": _sync_status,
    "tenants show": _tenant,
    "tenants add": _add_tenant,
    "tenants update": _update_tenant,
    "tenants delete": _delete_tenant,
    "tenants key": _issue_key,
    "tenants revoke-key": _revoke_key,
    "accounts list": _accounts,
    "accounts add": _put_account,
    "accounts delete": _delete_account,
    "messages list": _messages,
    "messages delete": _delete_messages,
    "messages cleanup": _clean_up,
    "instance show": _instance,
    "instance set": _set_instance,
    "instance reload-bounce": _reload_bounce,
    "send": _send,
    "run-now": _run_now,
    "suspend": _suspend,
    "activate": _activate,
    "status": _status,
    "command-log": _command_log,
}
