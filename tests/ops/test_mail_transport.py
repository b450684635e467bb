"""The transport as the settings make it: what is configured is what happens."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import pytest
from minio import Minio
from support.certificates import self_signed
from support.gateway import eventually
from support.mail_sink import MailSink
from support.receiver import Receiver
from support.s3 import S3Peer

from signalbox.actors.attachment_cache import md5_of
from signalbox.actors.tenants import Tenants
from signalbox.actors.transports.smtp.job import SmtpJob, SmtpOutcome
from signalbox.domain.mail_account import MailAccount
from signalbox.domain.mail_content import Attachment, MailContent
from signalbox.domain.tenant_config import LargeFiles, TenantConfig
from signalbox.ops.mail_sections import Mail
from signalbox.ops.mail_transport import name_of_this_machine, transport_of

if TYPE_CHECKING:
    from pathlib import Path

    from signalbox.actors.transports.smtp.transport import SmtpTransport
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog


@pytest.fixture
def tenants(event_log: EventLog, journal: Journal) -> Tenants:
    return Tenants(event_log, journal)


def sent(transport: SmtpTransport, port: int, *attached: str, **account: Any) -> SmtpOutcome:  # noqa: ANN401
    told: list[SmtpOutcome] = []
    md5 = md5_of(b"content")
    job = SmtpJob(
        key=1,
        tenant_id="acme",
        account=MailAccount(**{"account_id": "a", "host": "127.0.0.1", "port": port, **account}),
        password="",
        mail=MailContent(
            sender="me@acme.test",
            to=("you@x.test",),
            subject="Hi",
            attachments=tuple(
                Attachment(filename="f", storage_path=path, content_md5=md5) for path in attached
            ),
        ),
        client_id="m",
        pk="pk",
    )
    transport.send(job, told.append)
    eventually(lambda: told)
    return told[0]


def test_a_ca_of_ones_own_is_trusted_besides_the_systems(tenants: Tenants, tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    with MailSink(tls="starttls", certificate=certificate) as sink:
        for ca_file, result in ((str(certificate[0]), "sent"), ("", "permanent")):
            transport = transport_of(Mail(tls_ca_file=ca_file), tenants)
            assert sent(transport, sink.port, use_tls=True).result == result
            transport.close(0)


def test_the_server_is_told_a_name(tenants: Tenants) -> None:
    name = name_of_this_machine()
    assert re.fullmatch(r"[A-Za-z0-9.-]+|\[127\.0\.0\.1\]", name)
    assert "." in name
    with MailSink() as sink:
        transport = transport_of(Mail(our_name="mail.acme.test"), tenants)
        assert sent(transport, sink.port).result == "sent"
        assert sink.mails[0].greeting == "mail.acme.test"
        transport.close(0)


def test_a_mail_server_inside_is_only_used_where_the_settings_allow(tenants: Tenants) -> None:
    here = ("127.0.0.0/8",)
    with MailSink() as sink:
        for settings, result in (
            (Mail(), "sent"),
            (Mail(mail_servers_inside=False), "permanent"),
            (Mail(mail_servers_inside=False, allowed_networks=here), "sent"),
        ):
            transport = transport_of(settings, tenants)
            found = sent(transport, sink.port)
            assert found.result == result
            assert (found.reason == "address not allowed") == (result == "permanent")
            transport.close(0)
        assert sink.count == 2


def test_a_mail_server_nobody_finds_or_that_is_down_is_tried_again(tenants: Tenants) -> None:
    settings = Mail(mail_servers_inside=False, allowed_networks=("127.0.0.0/8",))
    transport = transport_of(settings, tenants)
    assert sent(transport, 1).result == "temporary"
    assert sent(transport, 25, host="nowhere.invalid").result == "temporary"
    transport.close(0)


def test_attachments_come_from_where_the_settings_allow(tenants: Tenants, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    with MailSink() as sink, Receiver() as receiver:
        receiver.answer = (200, {}, [b"content"])
        for settings, result in (
            (Mail(), "permanent"),
            (Mail(allowed_networks=("127.0.0.0/8",), attachment_root=str(tmp_path)), "sent"),
        ):
            transport = transport_of(settings, tenants)
            for path in (receiver.url, f"{tmp_path}/a"):
                assert sent(transport, sink.port, path).result == result
            transport.close(0)
        assert len(receiver.calls) == 1


def test_large_files_go_to_the_s3_server_of_the_settings_and_from_it_in_the_end(
    tenants: Tenants, tmp_path: Path
) -> None:
    wish = LargeFiles(
        enabled=True, max_size_mb=0.000_001, action="rewrite", storage_url="s3://files/acme"
    )
    tenants.put("acme", TenantConfig(large_files=wish), by="test")
    with S3Peer(tmp_path) as peer, MailSink() as sink:
        there = Minio(peer.endpoint.removeprefix("http://"), "me", "secret", secure=False)
        there.make_bucket("files")
        past = f"acme/20200101/{'t' * 32}/x"
        there.put_object("files", past, io.BytesIO(b"x"), 1)
        settings = Mail(s3_endpoint=peer.endpoint, s3_access_key="me", s3_secret_key="secret")
        transport = transport_of(settings, tenants, lambda: ["acme"])
        assert sent(transport, sink.port, "base64:Y29udGVudA==").result == "sent"

        def names() -> list[str]:
            return [str(one.object_name) for one in there.list_objects("files", recursive=True)]

        eventually(lambda: len(names()) == 1)
        assert past not in names()
        assert b"X-Amz-Signature" in sink.mails[0].data
        transport.close(0)


def test_what_is_kept_of_a_tenant_goes_with_it(
    event_log: EventLog, tenants: Tenants, tmp_path: Path
) -> None:
    settings = Mail(allowed_networks=("127.0.0.0/8",), cache_folder=str(tmp_path))
    tenants.put("acme", TenantConfig(), by="test")
    transport = transport_of(settings, tenants)
    with MailSink() as sink, Receiver() as receiver:
        receiver.answer = (200, {}, [b"content"])
        for _ in range(2):
            assert sent(transport, sink.port, receiver.url).result == "sent"
        assert len(receiver.calls) == 1
        assert list(tmp_path.glob("*/*"))
        tenants.delete("acme", by="test")
        for recorded in event_log.read("tenant-acme"):
            tenants.follow(recorded)
        eventually(lambda: not list(tmp_path.glob("*/*")))
        assert sent(transport, sink.port, receiver.url).result == "sent"
        assert len(receiver.calls) == 2
    transport.close(0)
