"""`signalbox up --demo`: one SMS through the public API to a demo SMSC, and its timeline.

home/demo/signalbox.toml   one link, to the demo SMSC on a free loopback port
home/demo/account.json     the demo's user and application, made once and found again
"""

import os
import secrets
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import msgspec

from signalbox.ops.demo_client import DemoClient, DemoError, say
from signalbox.ops.keys import ADMIN_API_KEY_FILE
from signalbox.ops.preflight import free_port
from signalbox.ops.settings import Settings, SettingsError

TIMELINE_TIMEOUT_S: Final = 60

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


@dataclass(frozen=True, slots=True)
class Demo:
    """A folder below SIGNALBOX_HOME, and the port for the demo SMSC."""

    folder: Path
    port: int

    @classmethod
    def prepare(cls, home: Path) -> Self:
        """Choose a port and write the demo's configuration below `home`.

        Raises:
            SettingsError: it cannot be written.
        """
        demo = cls(home / "demo", free_port())
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
        say("signalbox: the demo is done and still serves; Ctrl-C stops it")

    def _registered(self, client: DemoClient, admin_key: tuple[str, str]) -> Account:
        """Register the account; a database that has it already answers 400, and we know its id."""
        account = self._account()
        fields = {name: str(value) for name, value in msgspec.structs.asdict(account).items()}
        del fields["app_id"]
        app_id = client.register(fields, admin_key) or account.app_id
        if not app_id:
            raise DemoError(f"{account.email} exists already: remove {self._account_path}")
        account = msgspec.structs.replace(account, app_id=app_id)
        self._keep(account)
        return account

    @property
    def _account_path(self) -> Path:
        return self.folder / "account.json"

    def _account(self) -> Account:
        if self._account_path.exists():
            return msgspec.json.decode(self._account_path.read_bytes(), type=Account)
        email = f"demo-{secrets.token_hex(4)}@example.com"
        account = Account(email, secrets.token_urlsafe(12), "demo", secrets.token_urlsafe(24))
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
