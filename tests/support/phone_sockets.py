"""The phone's side of its WebSocket, with two libraries that know nothing of us.

with connect(url) as peer:
    say(peer, type="ping")
    assert hear(peer) == {"type": "pong"}
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest
import websocket
from support.gateway import eventually
from support.websocket import TEXT, frame

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from support import signalhouse, trucopilot
    from support.phone_surfaces import FakeLiveLine

TIMEOUT_S: Final = 5.0

# Another library, in a process of its own: it does not get along with patched threads.
STRICT: Final = """
import json, sys
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
url, *frames = sys.argv[1:]
seen = []
try:
    with connect(url, open_timeout=5) as peer:
        for frame in frames:
            peer.send(frame)
        while True:
            seen.append(json.loads(peer.recv(timeout=5)))
except ConnectionClosed as closed:
    seen.append([closed.rcvd.code, closed.rcvd.reason])
except InvalidStatus as refusal:
    seen.append([refusal.response.status_code, json.loads(refusal.response.body)])
print(json.dumps(seen))
"""


@contextmanager
def connect(
    url: str, headers: dict[str, str] | None = None, *, timeout_s: float = TIMEOUT_S
) -> Iterator[websocket.WebSocket]:
    """Open a socket and say nothing; hang up without a word."""
    peer = websocket.create_connection(url, header=headers or {}, timeout=timeout_s)
    try:
        yield peer
    finally:
        peer.shutdown()


def say(peer: websocket.WebSocket, **frame: object) -> None:
    """Send a frame."""
    peer.send(json.dumps(frame))


def say_at_once(peer: websocket.WebSocket, times: int, **member: object) -> None:
    """Send a frame several times, as one piece."""
    peer.sock.sendall(frame(TEXT, json.dumps(member).encode()) * times)


def hear(peer: websocket.WebSocket) -> Any:  # noqa: ANN401  (JSON)
    """Return the next frame; it must be one of text."""
    opcode, data = peer.recv_data()
    assert opcode == websocket.ABNF.OPCODE_TEXT, (opcode, data)
    return json.loads(data)


def code_of(peer: websocket.WebSocket) -> int:
    """Return the code of the close that comes next."""
    opcode, data = peer.recv_data()
    assert opcode == websocket.ABNF.OPCODE_CLOSE, data
    return int.from_bytes(data[:2])


def refused(url: str, headers: dict[str, str] | None = None) -> tuple[int, str, Any]:
    """Be refused before the handshake; return status, Retry-After and body."""
    with (
        pytest.raises(websocket.WebSocketBadStatusException) as refusal,
        connect(url, headers),
    ):
        pytest.fail("was let in")
    answer = refusal.value
    assert "sec-websocket-accept" not in answer.resp_headers
    retry_after = answer.resp_headers.get("retry-after", "")
    return answer.status_code, retry_after, json.loads(answer.resp_body)


def live(surface: signalhouse.Surface | trucopilot.Surface, count: int = 1) -> FakeLiveLine:
    """Return the line of the phone that connected as the `count`-th, once it is ready."""
    eventually(lambda: len(surface.lines.lines) >= count)
    line = surface.lines.lines[count - 1]
    eventually(lambda: "ready" in line.said)
    return line


def strict(url: str, *frames: Mapping[str, object]) -> subprocess.Popen[str]:
    """Have a client that judges strictly send frames, and hear what comes until the end."""
    command = [sys.executable, "-c", STRICT, url, *map(json.dumps, frames)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def seen_by(client: subprocess.Popen[str]) -> Any:  # noqa: ANN401  (JSON)
    """Return the frames that client heard, and code and reason of the end or the refusal."""
    seen, _ = client.communicate(timeout=TIMEOUT_S)
    return json.loads(seen)
