"""One call to a tenant's server: what of its answer counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gevent
import pytest
from support.receiver import Receiver

from signalbox.actors.transports import callbacks
from signalbox.actors.transports.callbacks import Poster
from signalbox.actors.transports.outside import Outside

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def poster() -> Poster:
    return Poster(Outside(["127.0.0.0/8"]), timeout_s=5.0, answer_octets_max=100)


def test_an_answer_is_read(poster: Poster, receiver: Receiver) -> None:
    receiver.answer = (200, {}, (b'{"ok"', b": true}"))
    answer = poster.post(receiver.url, b"{}", {})
    assert (answer.status, answer.body) == (200, b'{"ok": true}')


def test_an_answer_that_is_too_long_is_none_and_counts_as_well(
    poster: Poster, receiver: Receiver
) -> None:
    receiver.answer = (200, {}, (b"x" * 101,))
    answer = poster.post(receiver.url, b"{}", {})
    assert (answer.status, answer.body) == (200, b"")


def test_an_answer_that_never_ends_counts_as_well(
    poster: Poster, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trickle() -> Iterator[bytes]:
        while True:
            yield b"x"
            gevent.sleep(0.05)

    monkeypatch.setattr(callbacks, "READ_S", 0.2)
    receiver.answer = lambda _: (200, {}, trickle())
    answer = poster.post(receiver.url, b"{}", {})
    assert (answer.status, answer.body) == (200, b"")


def test_a_server_says_how_long_to_wait(poster: Poster, receiver: Receiver) -> None:
    receiver.answer = (503, {"Retry-After": "7"}, ())
    assert poster.post(receiver.url, b"{}", {}).retry_after == "7"


def test_a_redirection_is_not_followed(poster: Poster, receiver: Receiver) -> None:
    receiver.answer = (307, {"Location": "http://10.0.0.1/"}, ())
    assert poster.post(receiver.url, b"{}", {}).status == 307
    assert len(receiver.calls) == 1
