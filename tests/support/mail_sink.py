"""An SMTP server for tests: a real one (aiosmtpd), in a process of its own, that keeps every mail.

What it does with a mail is told by addresses. A recipient's or sender's local part that begins with

    refuse-<code>    gets this reply, at RCPT or MAIL
    greylist         gets 451 once, and then is welcome
    hang             gets no reply
    later-<code>     is taken, but the mail gets this reply after the final dot
    later-hang       is taken, but there is no reply after the final dot

    with MailSink(auth=("user", "password"), tls="starttls", certificate=pair) as sink:
        send_to("127.0.0.1", sink.port)
        assert sink.mails[0].recipients == ["a@example.com"]

As a program it is the server itself; its one argument is its configuration in JSON.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import tempfile
from dataclasses import dataclass
from email import message_from_bytes
from email.policy import SMTPUTF8
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from support.peers import CountingPeer, count_for_parent

if TYPE_CHECKING:
    from email.message import EmailMessage

Tls = Literal["", "implicit", "starttls"]
HANG: Final = "hang"


@dataclass(frozen=True)
class Mail:
    """A mail as the server got it, and what it knows of the connection."""

    sender: str
    recipients: list[str]
    options: list[str]
    data: bytes
    user: str
    tls: bool
    session: int
    peer: str
    greeting: str

    @property
    def message(self) -> EmailMessage:
        return cast("EmailMessage", message_from_bytes(self.data, policy=SMTPUTF8))


class MailSink(CountingPeer):
    """The process; without `keep` it only counts."""

    def __init__(  # noqa: PLR0913  what servers differ in
        self,
        *,
        tls: Tls = "",
        certificate: tuple[Path, Path] | None = None,
        auth: tuple[str, str] | None = None,
        smtputf8: bool = True,
        size_max: int = 33_554_432,
        keep: bool = True,
        host: str = "127.0.0.1",
    ) -> None:
        self.host = host
        self._folder = tempfile.TemporaryDirectory(prefix="mail-sink-")
        self._kept = Path(self._folder.name) / "mails"
        self._kept.touch()
        configuration = {
            "host": host,
            "tls": tls,
            "certificate": [str(path) for path in certificate or ()],
            "auth": auth,
            "smtputf8": smtputf8,
            "size_max": size_max,
            "kept": str(self._kept) if keep else "",
        }
        super().__init__(__name__, json.dumps(configuration))

    def __exit__(self, *exception: object) -> None:
        super().__exit__(*exception)
        self._folder.cleanup()

    @property
    def mails(self) -> list[Mail]:
        """All mails that were accepted, in their order."""
        lines = self._kept.read_text(encoding="utf-8").split("\n")[:-1]
        return [_mail(json.loads(line)) for line in lines]


def _mail(kept: dict[str, Any]) -> Mail:
    return Mail(**{**kept, "data": kept["data"].encode("latin-1")})


class _Handler:
    """What aiosmtpd asks at each step."""

    def __init__(self, kept: str, *, tls: bool) -> None:
        self._tls = tls
        self._kept = Path(kept).open("a", encoding="utf-8") if kept else None  # noqa: SIM115
        self._seen: set[str] = set()
        self.count = 0

    async def handle_MAIL(  # noqa: N802  named by aiosmtpd
        self,
        _server: Any,  # noqa: ANN401  aiosmtpd has no types
        _session: Any,  # noqa: ANN401  same
        envelope: Any,  # noqa: ANN401  same
        address: str,
        options: list[str],
    ) -> str:
        reply = await self._reply(address)
        if reply.startswith("2"):
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return reply

    async def handle_RCPT(  # noqa: N802  same
        self,
        _server: Any,  # noqa: ANN401  same
        _session: Any,  # noqa: ANN401  same
        envelope: Any,  # noqa: ANN401  same
        address: str,
        options: list[str],
    ) -> str:
        reply = await self._reply(address)
        if reply.startswith("2"):
            envelope.rcpt_tos.append(address)
            envelope.rcpt_options.extend(options)
        return reply

    async def handle_DATA(  # noqa: N802  same
        self,
        _server: Any,  # noqa: ANN401  same
        session: Any,  # noqa: ANN401  same
        envelope: Any,  # noqa: ANN401  same
    ) -> str:
        for address in envelope.rcpt_tos:
            later = address.partition("@")[0].removeprefix("later-")
            if later == HANG:
                await asyncio.Event().wait()
            if later != address.partition("@")[0]:
                return f"{later} told later"
        self._keep(session, envelope)
        return f"250 kept as {self.count}"

    def _keep(self, session: Any, envelope: Any) -> None:  # noqa: ANN401  same
        self.count += 1
        if self._kept is None:
            return
        kept = {
            "sender": envelope.mail_from,
            "recipients": envelope.rcpt_tos,
            "options": envelope.mail_options,
            "data": envelope.original_content.decode("latin-1"),
            "user": session.auth_data.decode() if session.authenticated else "",
            "tls": self._tls or session.ssl is not None,
            "session": id(session),
            "peer": session.peer[0],
            "greeting": session.host_name,
        }
        print(json.dumps(kept), file=self._kept, flush=True)

    async def _reply(self, address: str) -> str:
        local = address.partition("@")[0]
        if local.startswith("refuse-"):
            return f"{local.removeprefix('refuse-')} refused here"
        if local.startswith("greylist") and address not in self._seen:
            self._seen.add(address)
            return "451 come back later"
        if local == HANG:
            await asyncio.Event().wait()
        return "250 OK"


async def _serve(configuration: dict[str, Any]) -> None:
    handler = _Handler(configuration["kept"], tls=configuration["tls"] == "implicit")
    tls = _context(configuration)
    implicit = tls if configuration["tls"] == "implicit" else None
    server = await asyncio.get_running_loop().create_server(
        lambda: _protocol(handler, configuration, None if implicit else tls),
        configuration["host"],
        0,
        ssl=implicit,
        backlog=512,
    )
    await count_for_parent(server, lambda: handler.count)


def _context(configuration: dict[str, Any]) -> ssl.SSLContext | None:
    if not configuration["tls"]:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*configuration["certificate"])
    return context


def _protocol(
    handler: _Handler, configuration: dict[str, Any], tls: ssl.SSLContext | None
) -> asyncio.Protocol:
    from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword  # noqa: PLC0415  only the process

    def authenticate(*given: Any) -> Any:  # noqa: ANN401  aiosmtpd has no types
        data: LoginPassword = given[-1]
        user, password = (part.encode() for part in configuration["auth"])
        right = (data.login, data.password) == (user, password)
        return AuthResult(success=right, handled=False, auth_data=data.login)

    auth = configuration["auth"] is not None
    protocol: asyncio.Protocol = SMTP(
        handler,
        data_size_limit=configuration["size_max"],
        enable_SMTPUTF8=configuration["smtputf8"],
        tls_context=tls,
        require_starttls=tls is not None,
        auth_required=auth,
        auth_require_tls=False,
        auth_exclude_mechanism=[] if auth else ["LOGIN", "PLAIN"],
        authenticator=authenticate if auth else None,
    )
    return protocol


if __name__ == "__main__":
    import logging
    import warnings

    logging.getLogger("mail.log").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")  # about log-ins without TLS, which is what some tests are about
    asyncio.run(_serve(json.loads(sys.argv[1])))
