"""Autobahn's fuzzing client (some 250 cases) against our WebSockets: `make autobahn`.

It needs Python 2.7 with virtualenv, the only one Autobahn's test suite runs on: PYTHON2 names its
interpreter.
Everything it installs and reports goes to build/autobahn. Binary messages are taken here, and long
and fast ones, because it sends such; of its cases only those on limits of performance (9) and on
compression (12, 13), which we don't offer, are left out.
"""

# ruff: noqa: I001  what patches comes first
import signalbox.ops.patched

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

from signalbox.http.app import create_app
from signalbox.http.channel import Channel, ChannelLimits
from signalbox.http.frames import Incoming, frame
from support.websocket import Echo, serving

assert signalbox.ops.patched

FOLDER: Final = Path("build/autobahn").absolute()
EXCLUDED: Final = ("9.*", "12.*", "13.*")
LIMITS: Final = ChannelLimits(message_octets_max=2**24, frames_per_s=1e6, frames_burst=1_000_000)
FINE: Final = ("OK", "NON-STRICT", "INFORMATIONAL")


class AnyIncoming(Incoming):
    """Takes binary messages, too, and returns their octets."""

    __slots__ = ()

    @override
    def _check_kind(self, opcode: int) -> None:
        if opcode != self.OPCODE_BINARY:
            super()._check_kind(opcode)


class AnyChannel(Channel):
    """Sends back binary messages as such."""

    incoming = AnyIncoming

    @override
    def send(self, text: str | bytes) -> None:
        if isinstance(text, str):
            super().send(text)
        else:
            self._put(frame(AnyIncoming.OPCODE_BINARY, bytes(text)))


def installed() -> Path:
    """Return Autobahn's command, after installing it if need be."""
    wstest = FOLDER / "venv" / "bin" / "wstest"
    if not wstest.exists():
        python2 = os.environ.get("PYTHON2", "python2.7")
        make = [python2, "-m", "virtualenv", "--quiet", str(FOLDER / "venv")]
        subprocess.run(make, check=True)
        install = [str(wstest.parent / "pip"), "install", "--quiet", "autobahntestsuite"]
        subprocess.run(install, check=True)
    return wstest


def fuzz(port: int) -> dict[str, Any]:
    """Return the report by case."""
    spec = FOLDER / "fuzzingclient.json"
    reports = FOLDER / "reports"
    server = {"agent": "signalbox", "url": f"ws://127.0.0.1:{port}/echo"}
    spec.write_text(
        json.dumps(
            {
                "outdir": str(reports),
                "servers": [server],
                "cases": ["*"],
                "exclude-cases": EXCLUDED,
                "exclude-agent-cases": {},
            }
        )
    )
    with (FOLDER / "output").open("wb") as output:
        command = [str(installed()), "-m", "fuzzingclient", "-s", str(spec)]
        subprocess.run(command, cwd=FOLDER, stdout=output, stderr=output, check=True)
    report: dict[str, Any] = json.loads((reports / "index.json").read_text())["signalbox"]
    return report


def main() -> int:
    """Print what failed; return 1 if anything did."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    installed()
    with serving(
        create_app({"/echo": Echo()}, {}), channel_limits=LIMITS, channel=AnyChannel
    ) as server:
        report = fuzz(server.server_port)
    failed = [case for case, found in report.items() if found["behavior"] not in FINE]
    unclean = [case for case, found in report.items() if found["behaviorClose"] not in FINE]
    print(f"{len(report)} cases, {len(failed)} failed, {len(unclean)} closed uncleanly")  # noqa: T201
    for case in sorted({*failed, *unclean}):
        print(case, report[case]["behavior"], report[case]["behaviorClose"])  # noqa: T201
    return min(1, len(failed) + len(unclean) + (not report))


if __name__ == "__main__":
    sys.exit(main())
