"""`signalbox phone` where there is no gateway: it says why, waits, and is never stuck."""

from __future__ import annotations

import os
import re
import select
import socket
import subprocess
import sys
import threading
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Final

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PHONE: Final = (sys.executable, "-m", "signalbox.ops.main", "phone")
SURFACES: Final = ("signalhouse", "trucopilot")
ORG: Final = ("--surface", "trucopilot", "--org", "acme")
NOWHERE: Final = "http://127.0.0.1:1"
LINE_TIMEOUT_S: Final = 20.0

# The first process of a session on a terminal, and in its background a phone.
SHELL: Final = """
import fcntl, subprocess, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
subprocess.run(sys.argv[1:], process_group=0, stdout=sys.stderr)
"""

# A gateway that closes every socket at once with a code, or after it said something, or only cuts.
CLOSING: Final = """
import sys
from websockets.sync.server import serve
def close(peer):
    peer.recv()
    if code == "cut":
        peer.socket.shutdown(2)
        return
    if code == "heard":
        peer.send('{"type": "connected"}')
    peer.close(1013 if code == "heard" else int(code), "as told")
code = sys.argv[1]
with serve(close, "127.0.0.1", 0) as server:
    print(server.socket.getsockname()[1], flush=True)
    server.serve_forever()
"""


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:1", "foo", "ftp://127.0.0.1", "http://", "http://127.0.0.1:99999",
        "http://127.0.0.1:x", "http://127.0.0.1:0", "http://a b", "http://" + "a" * 64,
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_is_refused(surface: str, url: str) -> None:
    line = refusal("--surface", surface, "--org", "acme", "--url", url)
    assert line == f"signalbox: phone: --url: expected http[s]://HOST[:PORT], got {url!r}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--answer-after-s", "-1"), "--answer-after-s: expected 0 to 86400, got -1"),
        (("--answer-after-s", "nan"), "--answer-after-s: expected 0 to 86400, got nan"),
        (("--inbound", "hello"), "--inbound is FROM=TEXT"),
        (("--inbound", "=hello"), "--inbound is FROM=TEXT"),
    ],
)
def test_a_mistake_in_how_to_answer_is_refused(arguments: tuple[str, str], said: str) -> None:
    assert refusal(*ORG, "--url", NOWHERE, *arguments) == f"signalbox: phone: {said}\n"


@pytest.mark.parametrize("surface", SURFACES)
def test_it_says_why_there_is_no_connection_and_tries_again(surface: str) -> None:
    with phone("--surface", surface, "--org", "acme", "--url", NOWHERE) as lines:
        for pause_s in ("0.5", "1"):
            said = next(lines)
            assert said.startswith("phone: not connected: [Errno ")
            assert said.endswith(f" Connection refused; again in {pause_s} s\n")


@pytest.mark.parametrize("surface", SURFACES)
def test_it_says_what_another_server_answered(surface: str) -> None:
    with mail_server() as port:
        url = f"http://127.0.0.1:{port}"
        with phone("--surface", surface, "--org", "acme", "--url", url) as lines:
            assert "220 mail ESMTP" in next(lines)
            assert next(lines).endswith("; again in 1 s\n")


def test_it_says_that_a_server_does_not_speak_tls() -> None:
    with mail_server() as port:
        url = f"https://127.0.0.1:{port}"
        with phone("--surface", "signalhouse", "--url", url) as lines:
            assert "phone: not connected: [SSL: " in next(lines)


def test_a_locked_organisation_is_left_alone_for_a_while() -> None:
    with closing_gateway("4429") as url, phone(*ORG, "--url", url) as lines:
        assert next(lines).startswith("phone: connected to ")
        assert next(lines) == "phone: not connected: 4429 as told; again in 60 s\n"


def test_it_waits_longer_for_a_gateway_that_hangs_up_every_time() -> None:
    with closing_gateway("1013") as url, phone(*ORG, "--url", url) as lines:
        for pause_s in ("0.5", "1"):
            assert next(lines).startswith("phone: connected to ")
            assert next(lines) == f"phone: not connected: 1013 as told; again in {pause_s} s\n"


def test_it_says_that_a_connection_was_cut() -> None:
    with closing_gateway("cut") as url, phone(*ORG, "--url", url) as lines:
        assert next(lines).startswith("phone: connected to ")
        said = next(lines)
    assert re.fullmatch(r"phone: not connected: .*[Cc]onnection.*; again in 0\.5 s\n", said), said


def test_it_comes_back_soon_to_a_gateway_that_let_it_in() -> None:
    inbound = ("--inbound", "+15559876543=hi")
    with closing_gateway("heard") as url, phone(*ORG, "--url", url, *inbound) as lines:
        said = [next(lines) for _ in range(7)]
    assert said.count("phone: not connected: 1013 as told; again in 0.5 s\n") == 2
    assert said.count("phone: received a text from +15559876543\n") == 1


def test_a_text_waits_for_a_gateway_that_lets_the_phone_in() -> None:
    inbound = ("--inbound", "+15559876543=hi")
    with closing_gateway("1013") as url, phone(*ORG, "--url", url, *inbound) as lines:
        said = [next(lines) for _ in range(6)]
    assert said.count("phone: received a text from +15559876543\n") == 2


def test_in_the_background_of_a_terminal_it_goes_on() -> None:
    ours, terminal = os.openpty()
    try:
        command = [sys.executable, "-c", SHELL, *PHONE, *ORG, "--url", NOWHERE]
        with started(command, stdin=terminal, start_new_session=True) as lines:
            assert next(lines).endswith("again in 0.5 s\n")
            assert next(lines).endswith("again in 1 s\n")
    finally:
        os.close(ours)
        os.close(terminal)


def test_a_polite_end_is_none_by_mistake() -> None:
    process = subprocess.Popen(
        [*PHONE, *ORG, "--url", NOWHERE],
        env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert "again in" in process.stdout.readline()
    process.terminate()
    process.communicate(timeout=10)
    assert process.returncode == 0


def environment() -> dict[str, str]:
    return os.environ | {"SIGNALBOX_PHONE_SECRET": "a secret of a test"}


def refusal(*arguments: str) -> str:
    done = subprocess.run(
        [*PHONE, *arguments], env=environment(), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr


@contextmanager
def phone(*arguments: str) -> Iterator[Iterator[str]]:
    """Start the command, and lend the lines that it says."""
    with started([*PHONE, *arguments], stdin=subprocess.DEVNULL) as lines:
        yield lines


@contextmanager
def started(
    command: list[str], *, stdin: int, start_new_session: bool = False
) -> Iterator[Iterator[str]]:
    process = subprocess.Popen(
        command, env=environment(), stdin=stdin, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, bufsize=0, start_new_session=start_new_session,
    )  # fmt: skip
    try:
        yield lines_of(process)
    finally:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
        process.communicate()


def lines_of(process: subprocess.Popen[bytes]) -> Iterator[str]:
    assert process.stdout is not None
    while select.select([process.stdout], [], [], LINE_TIMEOUT_S)[0]:
        yield process.stdout.readline().decode()
    pytest.fail(f"nothing said for {LINE_TIMEOUT_S:g} s")


@contextmanager
def mail_server() -> Iterator[int]:
    """Greet as a mail server does whoever comes; lend the port."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        threading.Thread(target=greet_all, args=(server,), daemon=True).start()
        yield server.getsockname()[1]


def greet_all(server: socket.socket) -> None:
    with suppress(OSError):
        while True:
            peer, _ = server.accept()
            with peer, suppress(OSError):
                peer.sendall(b"220 mail ESMTP\r\n\r\n")
                peer.shutdown(socket.SHUT_WR)
                while peer.recv(65_536):
                    pass


@contextmanager
def closing_gateway(code: str) -> Iterator[str]:
    """Run a gateway that closes what it accepts; lend its address."""
    command = [sys.executable, "-c", CLOSING, code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()
