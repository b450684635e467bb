"""One request to a receiver: signed, to the address that was judged, and bounded on all sides."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep
from typing import Final

import pytest
from support.certificates import self_signed
from support.receiver import Call, Receiver

from signalbox.actors.callback_topics import Told
from signalbox.actors.transports import callbacks
from signalbox.actors.transports.callbacks import Answer, Poster, body_of, signed
from signalbox.actors.transports.outside import NoThread, Outside
from signalbox.actors.transports.trust import trusting
from signalbox.eventstore.errors import Unavailable

LOOPBACK: Final = ["127.0.0.0/8"]
SECRET: Final = "whsec_0123456789abcdefghijklmnopqrstuv"
AT: Final = datetime(2026, 11, 21, 9, 30, 5, 250_000, tzinfo=UTC)
BODY: Final = body_of("5b0c-1", Told("message.received", {"text": "grüß", "sim": None}), AT)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def poster(timeout_s: float = 5.0, tls_ca_file: str = "", outside: Outside | None = None) -> Poster:
    return Poster(
        outside or Outside(LOOPBACK),
        connect_timeout_s=1.0,
        timeout_s=timeout_s,
        tls=trusting(tls_ca_file),
    )


def post(url: str, by: Poster | None = None) -> Answer:
    return (by or poster()).post(url, BODY, signed("5b0c-1", BODY, SECRET.encode(), 1_795_253_405))


def test_the_body_tells_what_happened_and_when() -> None:
    assert BODY.decode() == (
        '{"id":"5b0c-1","type":"message.received","created_at":"2026-11-21T09:30:05Z",'
        '"data":{"text":"grüß","sim":null}}'
    )


def test_a_receiver_can_check_who_posts(receiver: Receiver) -> None:
    assert post(f"{receiver.url}?a=b") == Answer(200)
    (call,) = receiver.calls
    assert (call.method, call.target, call.body) == ("POST", "/hook?a=b", BODY)
    assert call.headers["Host"] == f"127.0.0.1:{receiver.port}"
    assert call.headers["Content-Type"] == "application/json"
    assert call.headers["User-Agent"] == "Signalbox-Callbacks/1"
    assert call.headers["X-Signalbox-Event-Id"] == "5b0c-1"
    assert call.headers["X-Signalbox-Timestamp"] == "1795253405"
    assert call.is_signed_with(SECRET)
    assert not call.is_signed_with("whsec_another")


def test_a_signature_is_for_its_time_and_its_body_alone() -> None:
    signature = signed("1", b"{}", b"secret", 1)["X-Signalbox-Signature"]
    others = [signed("1", b"{ }", b"secret", 1), signed("1", b"{}", b"secret", 2)]
    assert all(other["X-Signalbox-Signature"] != signature for other in others)


@pytest.mark.parametrize("status", [200, 204, 404, 410, 429, 500])
def test_the_status_is_what_counts(receiver: Receiver, status: int) -> None:
    receiver.answer = status
    assert post(receiver.url) == Answer(status)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer_and_is_not_followed(receiver: Receiver, status: int) -> None:
    receiver.answer = (status, {"Location": f"{receiver.url}/elsewhere"}, ())
    assert post(receiver.url) == Answer(status)
    assert [call.target for call in receiver.calls] == ["/hook"]


def test_silence_is_not_waited_for_longer_than_allowed(receiver: Receiver) -> None:
    receiver.hanging = True
    began_s = monotonic()
    assert post(receiver.url, poster(timeout_s=0.3)) == Answer(0, "no answer in time")
    assert monotonic() - began_s < 2


def test_a_head_that_drips_is_not_waited_for_either(receiver: Receiver) -> None:
    def drip(_call: Call) -> tuple[int, dict[str, str], Sequence[bytes]]:
        sleep(10)
        return 200, {}, ()

    receiver.answer = drip
    assert post(receiver.url, poster(timeout_s=0.3)) == Answer(0, "no answer in time")


def test_a_body_that_drips_does_not_hide_the_answer(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks, "DISCARD_S", 0.2)

    def drip() -> Iterator[bytes]:
        while True:
            yield b"."
            sleep(0.05)

    receiver.answer = (200, {}, drip())
    began_s = monotonic()
    assert post(receiver.url) == Answer(200)
    assert monotonic() - began_s < 2


def test_a_body_without_end_is_read_for_a_while_only(receiver: Receiver) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while True:
            sent += 65_536
            yield b"x" * 65_536

    receiver.answer = (200, {}, endless())
    assert post(receiver.url) == Answer(200)
    assert sent < 50_000_000  # what the kernel's buffers take, and no more


def test_an_unreadable_answer_is_none(receiver: Receiver) -> None:
    receiver.answer = (99_999, {}, ())
    assert post(receiver.url) == Answer(0, "no proper answer")


def test_nobody_listening_is_told_apart(receiver: Receiver) -> None:
    with Receiver() as gone:
        url = gone.url
    assert post(url) == Answer(0, "no connection")
    assert not receiver.calls


def test_an_address_inside_is_never_connected_to(receiver: Receiver) -> None:
    answer = post(receiver.url, poster(outside=Outside()))
    assert answer == Answer(0, "address not allowed")
    assert not receiver.calls


def test_a_name_that_changes_its_address_in_between_gains_nothing(receiver: Receiver) -> None:
    answers = [["8.8.8.8"], ["127.0.0.1"]]
    asked: list[str] = []

    def rebinding(host: str, _port: int) -> list[str]:
        asked.append(host)
        return answers[min(len(asked), 2) - 1]

    by = poster(timeout_s=1.0, outside=Outside(resolve=rebinding))
    url = f"http://rebind.example:{receiver.port}/hook"
    assert post(url, by).status == 0  # Nobody is there at 8.8.8.8, and nowhere else is asked.
    assert asked == ["rebind.example"]
    assert post(url, by) == Answer(0, "address not allowed")
    assert not receiver.calls


def test_the_next_address_is_tried_when_one_does_not_answer(receiver: Receiver) -> None:
    def two(_host: str, _port: int) -> list[str]:
        return ["127.0.0.99", "127.0.0.1"]

    by = poster(outside=Outside(LOOPBACK, resolve=two))
    assert post(f"http://two.example:{receiver.port}/hook", by) == Answer(200)
    assert receiver.calls[0].headers["Host"] == f"two.example:{receiver.port}"


def test_a_name_nobody_knows_is_told_apart() -> None:
    by = poster(outside=Outside(resolve=lambda _host, _port: []))
    assert post("http://nowhere.example/", by) == Answer(0, "host not found: no address")


def test_what_nobody_had_the_time_to_look_up_is_no_answer_of_the_receiver() -> None:
    def busy(_host: str, _port: int) -> list[str]:
        raise NoThread

    with pytest.raises(Unavailable, match="too many look-ups"):
        post("http://example.com/", poster(outside=Outside(resolve=busy)))


def test_proxies_of_the_environment_are_not_used(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Receiver() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert post(receiver.url) == Answer(200)
        assert not proxy.calls


def test_certificates_are_trusted_besides_the_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates = {}
    for host in ("system.example", "own.example", "stranger.example"):
        (tmp_path / host).mkdir()
        certificates[host] = self_signed(tmp_path / host, host)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates["system.example"][0]))
    here = Outside(LOOPBACK, resolve=lambda _host, _port: ["127.0.0.1"])
    by = poster(tls_ca_file=str(certificates["own.example"][0]), outside=here)
    for (host, certificate), status in zip(certificates.items(), (200, 200, 0), strict=True):
        with Receiver(certificate) as receiver:
            assert post(f"https://{host}:{receiver.port}/hook", by).status == status


def test_tls_is_for_the_name_although_the_address_is_connected_to(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path, "hooks.example")
    here = Outside(LOOPBACK, resolve=lambda _host, _port: ["127.0.0.1"])
    by = poster(tls_ca_file=str(certificate[0]), outside=here)
    with Receiver(certificate) as receiver:
        url = f"https://hooks.example:{receiver.port}/hook"
        assert post(url, by) == Answer(200)
        assert receiver.calls[0].headers["Host"] == f"hooks.example:{receiver.port}"
        other = f"https://other.example:{receiver.port}/hook"
        assert post(other, by) == Answer(0, "certificate not accepted")
        stranger = poster(outside=here)
        assert post(url, stranger) == Answer(0, "certificate not accepted")
        assert len(receiver.calls) == 1
