"""The command `signalbox mail`: what operators of the mail proxy do, over its HTTP API.

Only what it can be told is here; `mail_calls` does it.
"""

# ruff: noqa: PLC0415  # it is imported by what runs it

from __future__ import annotations

import argparse
from typing import Final

URL: Final = "http://127.0.0.1:8088"
TOKEN_VARIABLE: Final = "MAIL_API_TOKEN"  # noqa: S105  its name

# Options and the keys of the body they fill; text unless a type says otherwise.
TENANT_TEXTS: Final = (
    ("--name", "name"),
    ("--base-url", "client_base_url"),
    ("--sync-path", "client_sync_path"),
    ("--attachment-path", "client_attachment_path"),
)
ACCOUNT_TEXTS: Final = (
    ("--user", "user"),
    ("--imap-host", "imap_host"),
    ("--imap-user", "imap_user"),
    ("--source-ip", "source_ip"),
    ("--ip-pool", "ip_pool"),
    ("--dkim-domain", "dkim_domain"),
    ("--dkim-selector", "dkim_selector"),
)
ACCOUNT_NUMBERS: Final = (
    ("--ttl-s", "ttl"),
    ("--per-minute", "limit_per_minute"),
    ("--per-hour", "limit_per_hour"),
    ("--per-day", "limit_per_day"),
    ("--batch-size", "batch_size"),
    ("--imap-port", "imap_port"),
)
INSTANCE_TEXTS: Final = (
    ("--name", "name"),
    ("--imap-host", "bounce_imap_host"),
    ("--imap-user", "bounce_imap_user"),
    ("--imap-folder", "bounce_imap_folder"),
    ("--return-path", "bounce_return_path"),
)
INSTANCE_NUMBERS: Final = (
    ("--imap-port", "bounce_imap_port"),
    ("--poll-interval-s", "bounce_poll_interval"),
)
TENANT_KEYS: Final = (
    *(key for _, key in TENANT_TEXTS),
    "retention_days",
    "report_format",
    "in_doubt",
    "active",
)
ACCOUNT_KEYS: Final = (
    "host",
    "port",
    *(key for _, key in (*ACCOUNT_TEXTS, *ACCOUNT_NUMBERS)),
    "limit_behavior",
    "use_tls",
    "is_pec_account",
    "imap_ssl",
)
INSTANCE_KEYS: Final = (
    *(key for _, key in (*INSTANCE_TEXTS, *INSTANCE_NUMBERS)),
    "bounce_enabled",
    "bounce_imap_ssl",
)


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked for."""
    from signalbox.ops import mail_calls

    return mail_calls.run(arguments)


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command with everything below it."""
    mail = commands.add_parser("mail", help="operate the mail proxy").add_subparsers(required=True)
    _Below(mail, "").add_all()


class _Below:
    """Commands below another one."""

    def __init__(
        self, parsers: argparse._SubParsersAction[argparse.ArgumentParser], prefix: str
    ) -> None:
        self._parsers = parsers
        self._prefix = prefix

    def add_all(self) -> None:
        """Add everything below `mail`."""
        _add_tenants(self._group("tenants", "those who have mails sent"))
        _add_accounts(self._group("accounts", "the SMTP servers of a tenant"))
        _add_messages(self._group("messages", "what is sent, was sent and failed"))
        _add_instance(self._group("instance", "what is common to all tenants"))
        _add_commands(self)

    def add(self, name: str, text: str) -> argparse.ArgumentParser:
        """Add a command; `mail_calls` knows it by its words."""
        parser = self._parsers.add_parser(name, help=text)
        parser.set_defaults(command=run, call=f"{self._prefix} {name}".strip())
        parser.add_argument(
            "--url", default=URL, help=f"of the gateway ({URL}); with a path, of the API itself"
        )
        parser.add_argument(
            "--token-env", default=TOKEN_VARIABLE, metavar="NAME",
            help=f"variable with the token ({TOKEN_VARIABLE})",
        )  # fmt: skip
        parser.add_argument("--json", action="store_true", help="the answer as it came")
        return parser

    def of_tenant(self, name: str, text: str) -> argparse.ArgumentParser:
        """Add a command for a tenant."""
        parser = self.add(name, text)
        parser.add_argument("tenant", metavar="TENANT")
        return parser

    def _group(self, name: str, text: str) -> _Below:
        group = self._parsers.add_parser(name, help=text)
        return _Below(group.add_subparsers(required=True), name)


def _add_tenants(tenants: _Below) -> None:
    every = tenants.add("list", "all of them")
    every.add_argument("--active", action="store_true", help="those that are active")
    tenants.add("sync-status", "when their servers were told last")
    tenants.of_tenant("show", "one of them")
    _add_tenant_options(tenants.of_tenant("add", "a new one; prints its key"))
    _add_tenant_options(tenants.of_tenant("update", "change what is given, and nothing else"))
    gone = tenants.of_tenant("delete", "with its accounts and mails")
    gone.add_argument("--yes", action="store_true", help="do not ask")
    tenants.of_tenant("key", "print a new key; the one before is worthless")
    tenants.of_tenant("revoke-key", "make its key worthless")


def _add_tenant_options(parser: argparse.ArgumentParser) -> None:
    _add_options(parser, TENANT_TEXTS)
    parser.add_argument("--auth", choices=("none", "bearer", "basic"), help="to its server")
    parser.add_argument("--auth-user", metavar="USER", help="basic")
    parser.add_argument("--auth-secret-env", metavar="NAME", help="variable with its secret")
    parser.add_argument("--large-files", choices=("off", "warn", "reject", "rewrite"))
    parser.add_argument("--large-files-mb", type=float, metavar="MB", help="what is large")
    parser.add_argument("--large-files-store", metavar="URL", help="rewrite: where they go")
    parser.add_argument("--large-files-url", metavar="URL", help="rewrite: where they are fetched")
    parser.add_argument("--large-files-days", type=int, metavar="D", help="rewrite: how long")
    parser.add_argument("--retention-days", type=int, metavar="D", help="mails are kept so long")
    parser.add_argument("--report-format", choices=("reports", "delivery_report"))
    parser.add_argument("--in-doubt", choices=("resend", "hold"), help="mails perhaps sent")
    parser.add_argument("--active", action=argparse.BooleanOptionalAction)


def _add_accounts(accounts: _Below) -> None:
    accounts.of_tenant("list", "all of a tenant's")
    gone = accounts.of_tenant("delete", "one of them")
    gone.add_argument("account", metavar="ACCOUNT")
    one = accounts.of_tenant("add", "a new one, or the whole of one anew")
    one.add_argument("account", metavar="ACCOUNT")
    one.add_argument("--host", required=True)
    one.add_argument("--port", required=True, type=int)
    _add_options(one, ACCOUNT_TEXTS)
    _add_options(one, ACCOUNT_NUMBERS, int)
    one.add_argument(
        "--over-limit", dest="limit_behavior", choices=("defer", "reject"), help="(defer)"
    )
    one.add_argument("--tls", dest="use_tls", action=argparse.BooleanOptionalAction)
    one.add_argument("--pec", dest="is_pec_account", action="store_const", const=True)
    one.add_argument("--imap-ssl", dest="imap_ssl", action=argparse.BooleanOptionalAction)
    one.add_argument("--password-env", metavar="NAME", help="variable with --user's; or it asks")
    one.add_argument("--imap-password-env", metavar="NAME", help="with --imap-user's")
    one.add_argument("--dkim-key", metavar="FILE", help="private key in PEM")


def _add_messages(messages: _Below) -> None:
    every = messages.of_tenant("list", "all of a tenant's")
    every.add_argument("--active", action="store_true", help="those that wait")
    every.add_argument("--history", action="store_true", help="with what became of them")
    every.add_argument("--limit", type=int, metavar="N", help="(all)")
    every.add_argument("--offset", type=int, metavar="N", help="so many are passed over")
    gone = messages.of_tenant("delete", "forget them, sent or not")
    gone.add_argument("ids", nargs="+", metavar="ID")
    old = messages.of_tenant("cleanup", "forget those that were reported long ago")
    old.add_argument("--older-than-s", type=int, metavar="S", help="(7 days)")


def _add_instance(instance: _Below) -> None:
    instance.add("show", "how it is configured")
    instance.add("reload-bounce", "look for bounces anew")
    one = instance.add("set", "change what is given, and nothing else")
    _add_options(one, INSTANCE_TEXTS)
    _add_options(one, INSTANCE_NUMBERS, int)
    one.add_argument("--bounces", dest="bounce_enabled", action=argparse.BooleanOptionalAction)
    one.add_argument("--imap-ssl", dest="bounce_imap_ssl", action=argparse.BooleanOptionalAction)
    one.add_argument("--imap-password-env", metavar="NAME", help="variable with the password")


def _add_commands(mail: _Below) -> None:
    one = mail.add("send", "queue a mail that is in a file")
    one.description = (
        "Queue a mail that is in a file. Of a text in HTML and plain the HTML is sent alone, and "
        "pictures within it become attachments; what is left out is told."
    )
    one.add_argument("file", metavar="FILE.eml", help="- is standard input")
    one.add_argument("--tenant", required=True)
    one.add_argument("--account", required=True)
    one.add_argument("--id", help="(one by which the same file is the same mail)")
    one.add_argument("--priority", choices=("immediate", "high", "medium", "low"))
    one.add_argument("--not-before", metavar="TIME", help="Unix seconds or ISO 8601")
    one.add_argument("--batch", metavar="CODE")
    mail.add("run-now", "send and report what is due at once")
    for name, text in (("suspend", "hold mails back"), ("activate", "let them go on")):
        mail.of_tenant(name, text).add_argument("--batch", metavar="CODE", help="(all)")
    mail.add("status", "whether it runs")
    log = mail.add("command-log", "what was done by whom: the newest, in order")
    log.add_argument("--tenant")
    for option in ("since", "until"):
        log.add_argument(f"--{option}", metavar="TIME", help="Unix seconds or ISO 8601")
    log.add_argument("--endpoint", metavar="TEXT", help="what is in the command's name")
    log.add_argument(
        "--limit", type=int, default=100, metavar="N", help="the newest N (100); -1: all"
    )
    log.add_argument("--export", action="store_true", help="JSON Lines, all of them")


def _add_options(
    parser: argparse.ArgumentParser,
    options: tuple[tuple[str, str], ...],
    kind: type[str | int] = str,
) -> None:
    for option, key in options:
        parser.add_argument(option, dest=key, type=kind, metavar=option[2:].upper())
