"""`signalbox up --demo`: one SMS through the public API to a demo SMSC, and its timeline.

With `--phone` a second one goes through a demo phone, which also gets a text.

home/demo/signalbox.toml   one link, to the demo SMSC on a free loopback port
home/demo/account.json     the demo's user, application and organisation, made once, found again
"""

import os
import secrets
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import msgspec

from signalbox.ops.demo_client import ORG_SECRET, DemoClient, DemoError, say
from signalbox.ops.keys import ADMIN_API_KEY_FILE
from signalbox.ops.phone import SECRET_VARIABLE
from signalbox.ops.preflight import free_port
from signalbox.ops.settings import Settings, SettingsError

TIMELINE_TIMEOUT_S: Final = 60
REGISTERED: Final = ("email", "password", "app_name", "app_secret")
PHONE_SIM: Final = "0:+15550001111:SIM1:Demo"
PHONE_TEXT: Final = "+15559876543=Is the line clear?"
READ_SECRET: Final = """python3 -c 'import json,sys; print(json.load(sys.stdin)["secret_key"])'"""  # noqa: S105

CONFIG: Final = """\
# Written anew by every `signalbox up --demo`.
[[links]]
id = 1
name = "demo"
host = "127.0.0.1"
port = {port}
system_id = "demo"
password = "demo"
"""


class Account(msgspec.Struct, frozen=True):
    """The demo's user and application; `app_id` is 0 until it is registered."""

    email: str
    password: str
    app_name: str
    app_secret: str
    app_id: int = 0
    org_id: str = ""
    secret_key: str = ""


@dataclass(frozen=True, slots=True)
class Demo:
    """A folder below SIGNALBOX_HOME, the port for the demo SMSC, and whether there is a phone."""

    folder: Path
    port: int
    with_phone: bool = False

    @classmethod
    def prepare(cls, home: Path, *, with_phone: bool = False) -> Self:
        """Choose a port and write the demo's configuration below `home`.

        Raises:
            SettingsError: it cannot be written.
        """
        demo = cls(home / "demo", free_port(), with_phone)
        try:
            demo.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            demo.config_path.write_text(CONFIG.format(port=demo.port), encoding="utf-8")
        except OSError as error:
            raise SettingsError(f"SIGNALBOX_HOME: {demo.folder}: {error.strerror}") from None
        return demo

    @property
    def config_path(self) -> Path:
        """The configuration to load instead of the operator's."""
        return self.folder / "signalbox.toml"

    def show(
        self, settings: Settings, timeline: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        """Send one SMS, print every call, then what the command `timeline` prints about it."""
        client = DemoClient(settings.server.url)
        try:
            client.wait_until_ready()
            account = self._registered(client, _admin_key(settings))
            headers = client.log_in(account.email, account.password, account.app_id)
            message_id = client.send(headers)
            client.wait_until_delivered(headers, message_id)
        except DemoError as error:
            say(f"signalbox: demo: {error}")
            return
        _run([*timeline, message_id], environment)
        if self.with_phone:
            self._show_phone(client, account, timeline, environment)
        say("signalbox: the demo is done and still serves; Ctrl-C stops it")

    def phone(self, url: str) -> tuple[Sequence[str], dict[str, str]]:
        """Return the arguments and the environment of the demo's phone."""
        account = self._account()
        arguments = ("phone", "--surface", "trucopilot", "--url", url, "--org", account.org_id)
        told = ("--sim", PHONE_SIM, "--inbound", PHONE_TEXT)
        return (*arguments, *told), {SECRET_VARIABLE: account.secret_key}

    def _show_phone(
        self,
        client: DemoClient,
        account: Account,
        timeline: Sequence[str],
        environment: Mapping[str, str],
    ) -> None:
        """Send one SMS through the phone, and print what went through it both ways."""
        say(f"$ {ORG_SECRET}=$({READ_SECRET} < {shlex.quote(str(self._account_path))})")
        try:
            client.wait_until_claimed(account.org_id, account.secret_key)
            number = client.send_by_phone(account.org_id, account.secret_key)
            client.wait_until_sent(account.org_id, account.secret_key, number)
        except DemoError as error:
            say(f"signalbox: demo: {error}")
            return
        _run([*timeline, f"sms-org_{account.org_id}-{number}"], environment)

    def _registered(self, client: DemoClient, admin_key: tuple[str, str]) -> Account:
        """Register the account; a database that has it already answers 400, and we know its id."""
        account = self._account()
        fields = {name: getattr(account, name) for name in REGISTERED}
        app_id = client.register(fields, admin_key)
        if app_id is None:
            app_id = account.app_id
            if not app_id:
                raise DemoError(f"{account.email} exists already: remove {self._account_path}")
            say("signalbox: demo: that is as it should be, an earlier start made the user")
        account = msgspec.structs.replace(account, app_id=app_id)
        self._keep(account)
        return account

    @property
    def _account_path(self) -> Path:
        return self.folder / "account.json"

    def _account(self) -> Account:
        if self._account_path.exists():
            account = msgspec.json.decode(self._account_path.read_bytes(), type=Account)
        else:
            email = f"demo-{secrets.token_hex(4)}@example.com"
            account = Account(email, secrets.token_urlsafe(12), "demo", secrets.token_urlsafe(24))
        if not account.org_id:  # Kept by a version without phones, or not at all.
            org_id, secret_key = f"demo-{secrets.token_hex(4)}", secrets.token_urlsafe(24)
            account = msgspec.structs.replace(account, org_id=org_id, secret_key=secret_key)
        self._keep(account)
        return account

    def _keep(self, account: Account) -> None:
        unfinished = self._account_path.with_suffix(".unfinished")
        unfinished.touch(mode=0o600)
        unfinished.write_bytes(msgspec.json.encode(account))
        unfinished.replace(self._account_path)


def _admin_key(settings: Settings) -> tuple[str, str]:
    """Return the admin key, and how a shell gets at it."""
    if os.environ.get("ADMIN_API_KEY"):
        return settings.admin_api_key, "$ADMIN_API_KEY"
    return settings.admin_api_key, f"$(cat {settings.home / ADMIN_API_KEY_FILE})"


def _run(command: Sequence[str], environment: Mapping[str, str]) -> None:
    try:
        # Our own command, in a process of its own: it patches what blocks, and we must not.
        subprocess.run(command, env=environment, timeout=TIMELINE_TIMEOUT_S, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        say(f"signalbox: demo: no timeline within {TIMELINE_TIMEOUT_S} s")
