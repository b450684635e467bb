"""Links over TLS."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.certificates import self_signed
from support.gateway import StartGateway, eventually, eventually_equal, handset
from support.smsc import NodeSmsc

from signalbox.domain.session import LinkBound, LinkLost


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return self_signed(tmp_path_factory.mktemp("right"))


@pytest.fixture(scope="module")
def smsc(certificate: tuple[Path, Path]) -> Iterator[NodeSmsc]:
    path, key = certificate
    with NodeSmsc(TLS_CERT=str(path), TLS_KEY=str(key), DLR_DELAY_MS=5) as smsc:
        yield smsc


def test_a_link_over_tls_delivers(
    smsc: NodeSmsc, certificate: tuple[Path, Path], start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port, tls=True, tls_ca_file=str(certificate[0]))
    message_ids = gateway.send_all([handset() for _ in range(30)], "x" * 400)
    eventually(lambda: all(gateway.statuses(one) == ["delivered"] * 3 for one in message_ids))


def test_a_certificate_of_a_stranger_is_refused_before_anything_is_said(
    smsc: NodeSmsc, tmp_path: Path, start_gateway: StartGateway
) -> None:
    stranger, _ = self_signed(tmp_path)
    gateway = start_gateway(
        smsc.port, tls=True, tls_ca_file=str(stranger), send_wait_s=0.2
    )  # fmt: skip
    message_id = gateway.send(handset()).message_id
    eventually(lambda: gateway.events(LinkLost))
    assert "certificate verify failed" in gateway.events(LinkLost)[0].reason
    assert gateway.events(LinkBound) == []
    assert gateway.names(message_id) == ["MessageAccepted"]


def test_a_certificate_for_another_host_is_refused(
    smsc: NodeSmsc, certificate: tuple[Path, Path], start_gateway: StartGateway
) -> None:
    gateway = start_gateway(
        smsc.port, host="localhost", tls=True, tls_ca_file=str(certificate[0])
    )  # fmt: skip
    eventually(lambda: gateway.events(LinkLost))
    assert "certificate is not valid for 'localhost'" in gateway.events(LinkLost)[0].reason


def test_a_link_may_be_told_to_trust_anybody(smsc: NodeSmsc, start_gateway: StartGateway) -> None:
    gateway = start_gateway(smsc.port, tls=True, tls_verify=False)
    message_id = gateway.send(handset()).message_id
    eventually_equal(lambda: gateway.statuses(message_id), ["delivered"])


def test_a_plain_link_to_a_tls_port_never_binds(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port)
    eventually(lambda: gateway.events(LinkLost))
    assert gateway.events(LinkBound) == []
