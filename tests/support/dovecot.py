"""A real IMAP server on a free port of the loopback: Dovecot, as Debian packages it."""

from __future__ import annotations

import imaplib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final

import gevent

from signalbox.actors.transports import imap

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

DOVECOT: Final = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
MISSING: Final = "needs an IMAP server: apt-get install dovecot-imapd"
PASSWORD: Final = "pässword"
START_S: Final = 10.0

_CONFIG: Final = """\
base_dir = {home}/run
state_dir = {home}/state
log_path = {home}/log
protocols = imap
listen = 127.0.0.1
mail_location = maildir:{home}/mail/%u
default_internal_user = {internal}
default_internal_group = {group}
default_login_user = {login}
first_valid_uid = 1
ssl = {ssl}
{certificate}
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={mail} gid={mail_group} home={home}/mail/%u
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""


class Inbox:
    """The mailbox of one user, with whatever folders are delivered to."""

    def __init__(self, server: Dovecot, user: str) -> None:
        self.user = user
        self.port = server.port
        self._home = server.home

    def deliver(self, *texts: str, folder: str = "INBOX") -> None:
        """Put messages into a folder."""
        with self._client() as client:
            client.create(f'"{folder}"')
            for text in texts:
                octets = text.replace("\n", "\r\n").encode()
                status, _ = client.append(f'"{folder}"', "", "", octets)
                assert status == "OK"

    def unread(self) -> int:
        """Return how many messages nobody has seen."""
        with self._client() as client:
            client.select("INBOX", readonly=True)
            _, (found,) = client.search(None, "UNSEEN")
            return len(found.split())

    def recreate(self) -> None:
        """Replace the inbox: its UIDs begin anew under another UIDVALIDITY."""
        time.sleep(1.1)  # UIDVALIDITY is in seconds.
        shutil.rmtree(self._home / "mail" / self.user)

    @contextmanager
    def _client(self) -> Iterator[imaplib.IMAP4]:
        with imaplib.IMAP4("127.0.0.1", self.port, timeout=5) as client:
            client.authenticate("PLAIN", lambda _: f"\0{self.user}\0{PASSWORD}".encode())
            yield client


class Dovecot:
    """One server; every user there may be has the same password and a mailbox."""

    def __init__(self, home: Path, port: int, tls_port: int) -> None:
        self.home = home
        self.port = port
        self.tls_port = tls_port
        self._numbers = count(1)

    def inbox(self) -> Inbox:
        """Return a mailbox that nobody has used."""
        return Inbox(self, f"bounces{next(self._numbers)}@example.com")


def give_one_uidvalidity(monkeypatch: pytest.MonkeyPatch, uidvalidity: int) -> None:
    """Let the mailboxes of all servers have the same UIDVALIDITY."""
    number = imap.Mailbox._number  # noqa: SLF001  what the server says

    def told(mailbox: imap.Mailbox, name: str) -> int:
        return uidvalidity if name == "UIDVALIDITY" else number(mailbox, name)

    monkeypatch.setattr(imap.Mailbox, "_number", told)


@contextmanager
def running_dovecot(certificate: tuple[Path, Path] | None = None) -> Iterator[Dovecot]:
    """Start a server that forgets everything in the end."""
    assert DOVECOT is not None, MISSING
    home = Path(tempfile.mkdtemp(prefix="signalbox-imap-", dir="/tmp"))
    port, tls_port = _free_port(), _free_port()
    config = home / "dovecot.conf"
    config.write_text(_config(home, port, tls_port, certificate), encoding="utf-8")
    process = subprocess.Popen([DOVECOT, "-F", "-c", str(config)])
    try:
        _wait_for(port, process, home / "log")
        yield Dovecot(home, port, tls_port)
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(home, ignore_errors=True)


def _config(home: Path, port: int, tls_port: int, certificate: tuple[Path, Path] | None) -> str:
    me = pwd.getpwuid(os.getuid())
    is_root = me.pw_uid == 0
    mail = pwd.getpwnam("nobody") if is_root else me
    for folder in ("run", "state", "mail"):
        (home / folder).mkdir()
    home.chmod(0o755)
    if is_root:
        os.chown(home / "mail", mail.pw_uid, mail.pw_gid)
    chain, key = certificate or ("", "")
    return _CONFIG.format(
        home=home,
        port=port,
        tls_port=tls_port,
        internal="dovecot" if is_root else me.pw_name,
        group="dovecot" if is_root else "",
        login="dovenull" if is_root else me.pw_name,
        mail=mail.pw_uid,
        mail_group=mail.pw_gid,
        ssl="yes" if certificate else "no",
        certificate=f"ssl_cert = <{chain}\nssl_key = <{key}" if certificate else "",
        password=PASSWORD,
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline_s = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            said = log.read_text() if log.exists() else ""
            assert process.poll() is None, said
            assert time.monotonic() < deadline_s, said
            gevent.sleep(0.05)
        else:
            return
