"""Large files on an S3-compatible server: put, linked to, removed, and what becomes of failures."""

from __future__ import annotations

import io
import logging
import re
import sys
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

import gevent
import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from minio import Minio
from support.certificates import self_signed
from support.gateway import eventually
from support.receiver import Receiver
from support.s3 import Keys, S3Peer

from signalbox.actors.large_files import LargeFileStore
from signalbox.actors.object_files import Place, place_of
from signalbox.actors.transports.s3 import S3Access, S3Server
from signalbox.actors.transports.smtp.message import File
from signalbox.actors.transports.smtp.transport import Unattached
from signalbox.actors.transports.trust import trusting
from signalbox.domain.mail_content import MailContent
from signalbox.domain.tenant_config import LargeFiles
from signalbox.eventstore.errors import Unavailable
from signalbox.ops.mail_objects import NO_CLIENT, NO_CREDENTIALS, NO_SERVER, objects_of
from signalbox.ops.mail_sections import Mail
from signalbox.ops.settings import Settings, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MB: Final = 1_048_576
CONTENT: Final = bytes(range(256)) * 4_096 * 2
MAIL: Final = MailContent(sender="me@acme.test", to=("you@x.test",), body="Hello")
LARGE: Final = File("../\u00e4 b.bin", CONTENT)
SMALL: Final = File("small", b"hi")
TODAY: Final = datetime.now(UTC).date


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Peer]:
    with S3Peer(tmp_path_factory.mktemp("s3")) as peer:
        yield peer


@pytest.fixture(scope="module")
def keys(peer: S3Peer) -> Keys:
    return peer.made_keys()


@pytest.fixture(scope="module")
def there(peer: S3Peer, keys: Keys) -> Minio:
    """The server, seen by somebody else."""
    host = urlsplit(peer.endpoint).netloc
    return Minio(host, keys.access_key, keys.secret_key, secure=False, region="us-east-1")


@pytest.fixture
def bucket(there: Minio, request: pytest.FixtureRequest) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[-60:].strip("-")
    there.make_bucket(name)
    return name


def server(endpoint: str, keys: Keys | None = None, **given: Any) -> S3Server:  # noqa: ANN401
    keys = keys or Keys("me", "secret")
    access = S3Access(
        endpoint=endpoint,
        region="us-east-1",
        access_key=keys.access_key,
        secret_key=keys.secret_key,
        **given,
    )
    return S3Server(access, trusting())


def wanted(storage_url: str, **given: Any) -> LargeFiles:  # noqa: ANN401
    return LargeFiles(
        enabled=True, max_size_mb=1.0, action="rewrite", storage_url=storage_url, **given
    )


def put(objects: S3Server | str, wish: LargeFiles, *files: File) -> str:
    """Return the text of a mail whose large files were put somewhere."""
    store = LargeFileStore(None, objects)
    try:
        mail, kept = store.placed(MAIL, files or (LARGE, SMALL), wish)
        assert kept == [SMALL] or files
        return mail.body
    finally:
        store.close()


def refusal(objects: S3Server | str, storage_url: str = "s3://files/acme") -> Unattached:
    with pytest.raises(Unattached) as found:
        put(objects, wanted(storage_url))
    return found.value


def link_in(body: str) -> str:
    return body.rsplit(": ", maxsplit=1)[-1].strip()


def opened(url: str) -> bytes:
    with urlopen(url, timeout=10) as answer:  # noqa: S310
        assert answer.headers["Content-Type"] == "application/octet-stream"
        content: bytes = answer.read()
    return content


def status_of(url: str) -> int:
    with pytest.raises(HTTPError) as found:
        opened(url)
    found.value.close()
    return found.value.code


def names(there: Minio, bucket: str) -> list[str]:
    found = there.list_objects(bucket, recursive=True)
    return [str(one.object_name) for one in found]


def given_object(there: Minio, bucket: str, key: str) -> None:
    there.put_object(bucket, key, io.BytesIO(b"x"), 1)


# there


def test_a_large_file_is_put_on_the_server_and_anybody_with_the_link_gets_it(
    peer: S3Peer, keys: Keys, there: Minio, bucket: str
) -> None:
    body = put(server(peer.endpoint, keys), wanted(f"s3://{bucket}/mails/acme/", file_ttl_days=2))
    (key,) = names(there, bucket)
    day = TODAY() + timedelta(days=2)
    assert re.fullmatch(rf"mails/acme/{day:%Y%m%d}/[\w-]{{32}}/_\u00e4 b\.bin", key)
    assert opened(link_in(body)) == CONTENT
    assert status_of(link_in(body).partition("?")[0]) == 403
    assert body.startswith("Hello\n\nAttachments to download:\n- ../\u00e4 b.bin (2.0 MB, until ")


def test_a_link_is_signed_as_another_client_would_sign_it(
    peer: S3Peer, keys: Keys, bucket: str
) -> None:
    url = link_in(put(server(peer.endpoint, keys), wanted(f"s3://{bucket}/a b")))
    unsigned, _, signature = url.rpartition("&X-Amz-Signature=")
    request = AWSRequest("GET", unsigned)
    request.context["timestamp"] = parse_qs(urlsplit(url).query)["X-Amz-Date"][0]
    signer = S3SigV4QueryAuth(Credentials(keys.access_key, keys.secret_key), "s3", "us-east-1")
    to_sign = signer.string_to_sign(request, signer.canonical_request(request))
    assert signer.signature(to_sign, request) == signature


@pytest.mark.parametrize(("ttl_days", "linked_days"), [(2, 2), (7, 7), (30, 7), (0, 1)])
def test_a_link_lasts_as_long_as_the_file_or_says_when_it_ends(
    peer: S3Peer, keys: Keys, bucket: str, ttl_days: int, linked_days: int
) -> None:
    wish = wanted(f"s3://{bucket}", file_ttl_days=ttl_days)
    began = datetime.now(UTC)
    body = put(server(peer.endpoint, keys), wish)
    query = parse_qs(urlsplit(link_in(body)).query)
    assert query["X-Amz-Expires"] == [str(linked_days * 86_400)]
    until = re.search(r"until (\S+ \S+) UTC\)", body)
    assert until
    told = datetime.strptime(until[1], "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
    assert abs(told - began - timedelta(days=linked_days)) < timedelta(minutes=2)


def test_with_a_public_url_links_lead_there_and_have_no_end(
    peer: S3Peer, keys: Keys, there: Minio, bucket: str
) -> None:
    wish = wanted(f"s3://{bucket}/acme", public_base_url="https://dl.test/f/", file_ttl_days=30)
    body = put(server(peer.endpoint, keys), wish)
    (key,) = names(there, bucket)
    path = key.removeprefix("acme/").replace("\u00e4 b", "%C3%A4%20b")
    assert link_in(body) == f"https://dl.test/f/{path}"
    assert "until" not in body


def test_many_are_put_at_once(peer: S3Peer, keys: Keys, there: Minio, bucket: str) -> None:
    by, wish = server(peer.endpoint, keys), wanted(f"s3://{bucket}/acme")
    putting = [gevent.spawn(put, by, wish, LARGE) for _ in range(12)]
    gevent.joinall(putting, raise_error=True)
    assert len(set(names(there, bucket))) == 12


# gone


def test_files_go_when_their_day_is_over_and_no_others(
    peer: S3Peer, keys: Keys, there: Minio, bucket: str
) -> None:
    by = server(peer.endpoint, keys)
    store = LargeFileStore(None, by)
    token = "t" * 32
    strangers = ["20200101/short/x", f"20200101/{token}/deep/x", "2020010/notes", "acme/notes",
                 f"20200101/{token}", "acmes/20200101/x", f"other/20200101/{token}/x"]  # fmt: skip
    for key in strangers:
        given_object(there, bucket, f"{key}")
        given_object(there, bucket, f"acme/{key}")
    body = store.placed(MAIL, [LARGE], wanted(f"s3://{bucket}/acme", file_ttl_days=2))[0].body
    given_object(there, bucket, f"acme/20200101/{token}/x")
    before = set(names(there, bucket))
    assert store.remove_past_objects(TODAY() + timedelta(days=2)) == 1
    assert before - set(names(there, bucket)) == {f"acme/20200101/{token}/x"}
    assert opened(link_in(body)) == CONTENT
    assert store.remove_past_objects(TODAY() + timedelta(days=3)) == 1
    assert status_of(link_in(body)) == 404
    assert len(names(there, bucket)) == 2 * len(strangers)
    store.close()


def test_tenants_files_lie_and_go_apart(
    peer: S3Peer, keys: Keys, there: Minio, bucket: str
) -> None:
    by = server(peer.endpoint, keys)
    stores = {name: LargeFileStore(None, by) for name in ("a", "b")}
    for name, store in stores.items():
        store.placed(MAIL, [LARGE], wanted(f"s3://{bucket}/{name}", file_ttl_days=1))
    assert [key[:2] for key in names(there, bucket)] == ["a/", "b/"]
    assert stores["a"].remove_past_objects(date(2999, 1, 1)) == 1
    assert [key[:2] for key in names(there, bucket)] == ["b/"]
    for store in stores.values():
        store.close()


def test_what_past_processes_put_goes_once_this_one_starts(
    peer: S3Peer, keys: Keys, there: Minio, bucket: str
) -> None:
    for prefix in ("a", "b"):
        given_object(there, bucket, f"{prefix}/20200101/{'t' * 32}/x")
    wishes = [wanted("s3://no.such.bucket/a"), wanted(f"s3://{bucket}/a"), LargeFiles(),
              wanted(f"s3://{bucket}/b")]  # fmt: skip
    store = LargeFileStore(None, server(peer.endpoint, keys), lambda: wishes)
    eventually(lambda: not names(there, bucket))
    store.close()


def test_a_database_that_is_away_does_not_end_the_sweeping(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def away() -> list[LargeFiles]:
        raise Unavailable("away")

    store = LargeFileStore(None, server("http://127.0.0.1:1"), away)
    assert store.remove_past_objects(TODAY()) == 0
    assert [record.message for record in caplog.records] == ["old large files wait"]
    store.close()


# not there


def test_a_server_that_is_away_is_tried_again_later() -> None:
    found = refusal(server("http://127.0.0.1:1"))
    assert (found.temporary, "no proper answer" in str(found)) == (True, True)


def test_a_server_that_does_not_answer_is_not_waited_for() -> None:
    with Receiver() as receiver:
        receiver.hanging = True
        with gevent.Timeout(5):
            assert refusal(server(receiver.url.removesuffix("/hook"), timeout_s=0.2)).temporary


@pytest.mark.parametrize(
    ("status", "temporary"),
    [(500, True), (503, True), (429, True), (403, False), (400, False), (302, False)],
)
def test_a_status_decides_whether_to_try_again(status: int, *, temporary: bool) -> None:
    with Receiver() as receiver:
        receiver.answer = (status, {"Location": "http://127.0.0.1:1/"}, [b"no XML"])
        found = refusal(server(receiver.url.removesuffix("/hook")))
        assert (found.temporary, len(receiver.calls)) == (temporary, 1)


@pytest.fixture
def strict(peer: S3Peer) -> Iterator[S3Peer]:
    peer.refuse_strangers(refused=True)
    yield peer
    peer.refuse_strangers(refused=False)


def test_credentials_that_are_wrong_are_no_use_later_and_are_not_told(
    bucket: str, keys: Keys, strict: S3Peer
) -> None:
    put(server(strict.endpoint, keys), wanted(f"s3://{bucket}"))
    for wrong, code in (
        (Keys(keys.access_key, "hunter2"), "SignatureDoesNotMatch"),
        (Keys("AKIAHUNTER2HUNTER222", keys.secret_key), "InvalidAccessKeyId"),
    ):
        found = refusal(server(strict.endpoint, wrong), f"s3://{bucket}")
        said = f"large files can't be stored on the S3 server: {code}"
        assert (str(found), found.temporary) == (said, False)


def test_a_bucket_that_is_not_there_is_no_use_later(peer: S3Peer, keys: Keys) -> None:
    found = refusal(server(peer.endpoint, keys), "s3://no-such-bucket/acme")
    assert (str(found).endswith("NoSuchBucket"), found.temporary) == (True, False)


def test_the_server_has_to_prove_who_it_is(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    with Receiver(certificate) as receiver:
        endpoint = receiver.url.removesuffix("/hook")
        found = refusal(server(endpoint))
        assert ("certificate not accepted" in str(found), found.temporary) == (True, False)
        settings = Mail(s3_endpoint=endpoint, s3_access_key="a", s3_secret_key="s")
        trusted = objects_of(settings, trusting(str(certificate[0])))
        assert isinstance(trusted, S3Server)
        receiver.answer = (200, {"ETag": '"x"'}, [b""])
        assert endpoint in put(trusted, wanted("s3://files/acme"))
        assert [call.method for call in receiver.calls] == ["PUT"]


def test_proxies_of_the_environment_are_not_used(
    peer: S3Peer, keys: Keys, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    put(server(peer.endpoint, keys), wanted(f"s3://{bucket}"))


# not configured


@pytest.mark.parametrize(
    ("storage_url", "place"),
    [
        ("s3://files", Place("files", "")),
        ("s3://files/", Place("files", "")),
        ("s3://my.files-1//a/b c//", Place("my.files-1", "a/b c/")),
    ],
)
def test_a_url_says_bucket_and_prefix(storage_url: str, place: Place) -> None:
    assert place_of(storage_url) == place


@pytest.mark.parametrize(
    "storage_url",
    ["s3://", "s3:///a", "s3://a", "s3://Files/a", "s3://key:hunter2@files/a", "s3://files/../b",
     "s3://files/./b", "s3://files/a?x=y", "s3://files/a#b", "s3://files/a\0", "s3://files/a\n",
     "s3://files:80/a", "S3://files/a", "s3://files/a%2fb"],
)  # fmt: skip
def test_any_other_url_is_refused_and_not_told(storage_url: str) -> None:
    found = refusal(server("http://127.0.0.1:1"), storage_url)
    assert not found.temporary
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    ("given", "reason"),
    [({}, NO_SERVER), ({"s3_endpoint": "https://s3.test"}, NO_CREDENTIALS),
     ({"s3_endpoint": "https://s3.test", "s3_access_key": "a"}, NO_CREDENTIALS)],
)  # fmt: skip
def test_without_settings_mail_is_told_what_is_missing(given: Any, reason: str) -> None:  # noqa: ANN401
    found = refusal(objects_of(Mail(**given), trusting()))  # type: ignore[arg-type]  a reason
    assert (str(found), found.temporary) == (reason, False)


def test_without_the_extra_mail_is_told_so_and_the_operator_at_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delitem(sys.modules, "signalbox.actors.transports.s3")
    monkeypatch.setitem(sys.modules, "minio", None)
    settings = Mail(s3_endpoint="https://s3.test", s3_access_key="a", s3_secret_key="s")
    assert objects_of(settings, trusting()) == NO_CLIENT
    (record,) = caplog.records
    assert (record.levelno, record.__dict__["reason"]) == (logging.WARNING, NO_CLIENT)


def test_the_operator_is_told_at_start_that_tenants_want_what_there_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = LargeFileStore(None, NO_SERVER, lambda: [wanted("s3://files/a"), LargeFiles()])
    eventually(lambda: [one.__dict__.get("reason") for one in caplog.records] == [NO_SERVER])
    store.close()


def test_secrets_come_from_the_environment_and_are_hidden() -> None:
    environ = {"MAIL_S3_ACCESS_KEY": "AKIAHUNTER2", "MAIL_S3_SECRET_KEY": "hunter2"}
    settings = Settings.load(None, environ)
    assert (settings.mail.s3_access_key, settings.mail.s3_secret_key) == tuple(environ.values())
    assert "hunter2" not in repr(settings).lower()
    access = S3Access(endpoint="", region="", access_key="hunter2", secret_key="hunter2")
    assert "hunter2" not in repr(access)


@pytest.mark.parametrize(
    "endpoint", ["s3.test", "ftp://s3.test", "https://s3.test/path", "https://k:s@s3.test"]
)
def test_an_endpoint_is_a_url_without_path_or_secrets(tmp_path: Path, endpoint: str) -> None:
    path = tmp_path / "signalbox.toml"
    path.write_text(f'[mail]\ns3_endpoint = "{endpoint}"\n')
    with pytest.raises(SettingsError, match="s3_endpoint"):
        Settings.load(path, {})
