"""The gateway's real processes, on a caller's database and SMSCs: to be killed, paused, watched.

with Installation(database_url, links=[smsc.port]) as gateway:
    gateway.start("web"), gateway.start("relay"), gateway.start("projector")
    gateway.wait_until_ready()
    client = gateway.client()
    client.send("491700000001", "hello")
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from signalbox.ops.children import ends_with_parent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ADMIN_KEY: Final = "an admin key for tests"
SECRET_KEY: Final = "a secret key for tests, long enough"
READY_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 30.0

CONFIG: Final = """\
[server]
port = {port}
{extra}
"""
LINK: Final = {
    "host": "127.0.0.1",
    "password": "secret",
    "tps": 0,
    "reconnect_initial_s": 0.2,
    "reconnect_max_s": 2,
}


class Client:
    """An application on one keep-alive connection."""

    def __init__(self, port: int, app_id: int = 0, token: str = "") -> None:
        self.port = port
        self.app_id = app_id
        self.headers = {"Content-Type": "application/json"}
        if token:
            self.headers |= {"Authorization": f"Bearer {token}", "X-App-ID": str(app_id)}
        self._connection: HTTPConnection | None = None

    def call(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Return status and decoded body; raises OSError when the server goes away meanwhile.

        A body of bytes goes as it is, any other as JSON.
        """
        if self._connection is None:
            self._connection = HTTPConnection("127.0.0.1", self.port, timeout=15)
        data = body if body is None or isinstance(body, bytes) else json.dumps(body)
        try:
            self._connection.request(method, path, data, self.headers | (headers or {}))
            answer = self._connection.getresponse()
            content = answer.read()
        except Exception:
            self._connection.close()
            self._connection = None
            raise
        is_json = "json" in answer.headers.get("Content-Type", "")
        return answer.status, json.loads(content) if is_json else content.decode()

    def at(self, port: int) -> Client:
        """Return the same application on a connection of its own, to this web process."""
        client = Client(port, self.app_id)
        client.headers = self.headers
        return client

    def close(self) -> None:
        """Hang up; the next call connects anew."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def send(self, destination: str, message: str, **fields: object) -> tuple[int, Any]:
        """POST /api/v1/sms/send over link 1."""
        body = {
            "esme": 1,
            "source": "Signalbox",
            "destination": destination,
            "message": message,
            **fields,
        }
        return self.call("POST", "/api/v1/sms/send", body)

    def info(self, message_id: str, esme: int = 1) -> tuple[int, Any]:
        """POST /api/v1/sms/info."""
        body = {"esme": esme, "message_id": message_id}
        return self.call("POST", "/api/v1/sms/info", body)


class Installation:
    """One configuration and the processes that run it; all of them end with the context.

    A link is the port of its SMSC, or all of its settings that are not `LINK`'s.
    """

    def __init__(
        self,
        database_url: str,
        links: Sequence[int | Mapping[str, object]],
        *,
        window: int = 50,
        extra: str = "",
        environment: dict[str, str] | None = None,
    ) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="signalbox-test-"))
        self.port = free_port()
        self.config = self.home / "signalbox.toml"
        self._head = CONFIG.format(port=self.port, extra=extra)
        self._window = window
        self.configure(dict(enumerate(links, start=1)))
        self.environment = os.environ | {
            "DATABASE_URL": database_url,
            "SECRET_KEY": SECRET_KEY,
            "ADMIN_API_KEY": ADMIN_KEY,
            "SIGNALBOX_HOME": str(self.home),
            "PROMETHEUS_MULTIPROC_DIR": str(self.home / "metrics"),
            **(environment or {}),
        }
        self.environment.pop("PORT", None)
        self.home.chmod(0o755)  # the embedded database's own user has to get in
        self.processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def configure(self, links: Mapping[int, int | Mapping[str, object]]) -> None:
        """Write the configuration file, with these links by number."""
        shared: dict[str, object] = {"window": self._window}
        given = {n: {"port": one} if isinstance(one, int) else one for n, one in links.items()}
        tables = [_link(number, shared | link) for number, link in given.items()]
        self.config.write_text("".join([self._head, *tables]))

    def start(
        self,
        command: str,
        *,
        config: bool = True,
        port: int | None = None,
        stdin: int = subprocess.DEVNULL,
    ) -> subprocess.Popen[bytes]:
        """Start `signalbox <command>`; its output goes to home/<command>.log.

        A web process on a `port` of its own (`free_port`) listens there.
        """
        arguments = [*command.split(), *(["--config", str(self.config)] if config else [])]
        with (self.home / f"{command}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "signalbox.ops.main", *arguments],
                env=self.environment | ({"PORT": str(port)} if port else {}),
                stdin=stdin,
                stdout=log,
                stderr=log,
                preexec_fn=ends_with_parent(signal.SIGKILL, os.getpid()),  # noqa: PLW1509
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def start_all(self) -> None:
        """Start one web, one relay and one projector process, and wait until they are ready."""
        for command in ("web", "relay", "projector"):
            self.start(command)
        self.wait_until_ready()

    def wait_until_ready(self, timeout_s: float = READY_TIMEOUT_S, port: int | None = None) -> None:
        """Wait until /readyz of a web process says 200."""
        deadline_s = time.monotonic() + timeout_s
        last: object = None
        while time.monotonic() < deadline_s:
            try:
                status, last = Client(port or self.port).call("GET", "/readyz")
            except OSError as error:
                last = error
            else:
                if status == 200:
                    return
            time.sleep(0.1)
        raise AssertionError(f"not ready after {timeout_s} s: {last!r}\n{self.output()}")

    def wait_until_bound(self, link_id: int = 1, timeout_s: float = 15) -> None:
        """Wait until the read model shows the link as LOADED."""
        deadline_s = time.monotonic() + timeout_s
        admin = {"X-Admin-Key": ADMIN_KEY}
        answer: Any = None
        while time.monotonic() < deadline_s:
            _, answer = Client(self.port).call(
                "GET", "/api/v1/admin/dashboard/smpp-links", headers=admin
            )
            links = {link["id"]: link["status"] for link in answer["data"]}
            if links.get(link_id) == "LOADED":
                return
            time.sleep(0.1)
        raise AssertionError(f"link {link_id} is not bound: {answer!r}\n{self.output()}")

    def client(self, name: str = "app") -> Client:
        """Register an application with a user, log in, and return its client."""
        account = {"email": f"{name}@example.com", "password": "password of a test"}
        status, answer = Client(self.port).call(
            "POST",
            "/api/v1/admin/proxy-users/register",
            {**account, "app_name": name, "app_secret": f"secret of {name}, long enough"},
            {"X-Admin-Key": ADMIN_KEY},
        )
        assert status == 201, (status, answer)
        return self.log_in(name, answer["data"]["app_id"])

    def log_in(self, name: str, app_id: int) -> Client:
        """Return a client of an application that is registered already."""
        login = {"email": f"{name}@example.com", "password": "password of a test"}
        anyone = Client(self.port)
        status, answer = anyone.call("POST", "/api/v1/user/login", {**login, "app_id": app_id})
        assert status == 200, (status, answer)
        return Client(self.port, app_id, answer["token"])

    def output(self) -> str:
        """Return what the processes have printed, for messages of failed tests."""
        files = sorted(self.home.glob("*.log"))
        return "\n".join(f"== {file.name}\n{file.read_text()[-3000:]}" for file in files)

    def close(self) -> None:
        """Stop everything: politely first."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self.processes:
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                kill(process)
        shutil.rmtree(self.home, ignore_errors=True)


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL a process and its children (gunicorn's workers), and wait for its end."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.poll()
    process.wait()


def _link(number: int, given: Mapping[str, object]) -> str:
    names = {"id": number, "name": f"link-{number}", "system_id": f"test{number}"}
    settings = names | LINK | given
    # JSON's numbers, strings and booleans are TOML's, too.
    return "\n[[links]]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in settings.items())


def free_port() -> int:
    """Return a TCP port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
