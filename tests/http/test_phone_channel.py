"""Why a phone's socket is closed, as its owner is told."""

from dataclasses import dataclass
from typing import Any

import pytest

from signalbox.actors.phone_line import LineEnd
from signalbox.http.phone_channel import CODES, ChannelLine
from signalbox.http.websocket import Close


@dataclass
class FakeChannel:
    """What is known of a socket."""

    closed_with: int = 0
    reason: str = ""
    is_quiet: bool = False

    @property
    def is_open(self) -> bool:
        return not self.closed_with

    def close(self, code: int, reason: str) -> None:
        self.closed_with, self.reason = code, reason


def line_of(*channel: Any) -> tuple[ChannelLine, FakeChannel]:  # noqa: ANN401  its fields
    fake = FakeChannel(*channel)
    return ChannelLine(fake), fake  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "reason", "lost"),
    [
        (Close.NORMAL, "by the peer", "closed"),
        (Close.GOING_AWAY, "by the peer", "closed"),
        (Close.NO_CODE, "by the peer", "closed"),
        (Close.NO_CLOSE, "by the peer", "closed"),
        (Close.NO_CLOSE, "gone", "closed"),
        (Close.NO_CLOSE, "silent", "silent"),
        (Close.NO_CLOSE, "too slow", "slow"),
        (Close.NO_CLOSE, "too slow or gone", "slow"),
        (Close.GOING_AWAY, "going away", "shutdown"),
        (Close.TOO_BIG, "too long", "refused"),
        (Close.BAD_FRAMES, "too many bad frames", "refused"),
        (Close.BAD_CREDENTIAL, "authenticated as another one", "refused"),
        (Close.TOO_MANY, "too many frames", "refused"),
    ],
)
def test_a_line_ends_as_its_socket_did(code: Close, reason: str, lost: str) -> None:
    line, _ = line_of(code, reason)
    assert line.lost == lost


@pytest.mark.parametrize("reason", LineEnd)
def test_the_gateway_ends_a_line_once_and_says_why(reason: LineEnd) -> None:
    line, channel = line_of()
    line.end(reason)
    line.end(LineEnd.SHUTDOWN)
    assert (channel.closed_with, channel.reason) == CODES[reason]
    expected = {
        LineEnd.REPLACED: "replaced",
        LineEnd.REVOKED: "revoked",
        LineEnd.UNKNOWN_PHONE: "revoked",
        LineEnd.SHUTDOWN: "shutdown",
        LineEnd.OVERLOAD: "failed",
    }
    assert line.lost == expected[reason]


@pytest.mark.parametrize("is_quiet", [True, False])
def test_a_line_is_as_quiet_as_its_socket(*, is_quiet: bool) -> None:
    line, _ = line_of(0, "", is_quiet)
    assert line.is_quiet == is_quiet


def test_a_line_that_is_over_keeps_its_reason() -> None:
    line, channel = line_of(Close.NORMAL, "by the peer")
    line.end(LineEnd.REPLACED)
    assert (line.lost, channel.closed_with) == ("closed", Close.NORMAL)
