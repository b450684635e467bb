"""Attachments: from everywhere they may come from, and from nowhere else."""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import ssl
import time
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import gevent
import pytest
from support.certificates import self_signed
from support.gateway import eventually
from support.receiver import Receiver

from signalbox.actors.attachment_cache import AttachmentCache, CacheLimits, md5_of
from signalbox.actors.attachments import AttachmentLimits, Attachments, mode_of, named
from signalbox.actors.large_files import LargeFileStore, Link, with_links
from signalbox.actors.transports.fetching import Fetcher
from signalbox.actors.transports.outside import Outside
from signalbox.actors.transports.smtp.message import File
from signalbox.actors.transports.smtp.transport import Unattached
from signalbox.domain.mail_account import Sealed
from signalbox.domain.mail_content import Attachment, AttachmentAuth, MailContent
from signalbox.domain.tenant import Tenant
from signalbox.domain.tenant_config import ClientAuth, LargeFiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

LOOPBACK: Final = ["127.0.0.0/8"]
MB: Final = 1_048_576
TOKEN: Final = "abc-_DEF" * 4


class Known:
    """One tenant, whose secrets are sealed by a letter."""

    def __init__(self, **config: Any) -> None:  # noqa: ANN401
        self.tenant = Tenant(tenant_id="acme", exists=True, **config)

    def known(self, _tenant_id: str) -> Tenant:
        return self.tenant

    def open_secret(self, sealed: Sealed) -> str:
        return sealed.removeprefix("~")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        receiver.answer = (200, {}, [b"content"])
        yield receiver


def attachments(
    known: Known | None = None,
    *,
    cache: CacheLimits | None = None,
    files_root: Path | None = None,
    outside: Outside | None = None,
    timeout_s: float = 5.0,
    tls: ssl.SSLContext | None = None,
    **limits: Any,  # noqa: ANN401
) -> Attachments:
    given = AttachmentLimits(**{"octets_max": 1_000, "mail_octets_max": 3_000, **limits})
    fetcher = Fetcher(
        outside or Outside(LOOPBACK), octets_max=given.octets_max, timeout_s=timeout_s, tls=tls
    )
    return Attachments(
        known or Known(),  # type: ignore[arg-type]  all that is asked of it
        fetcher,
        AttachmentCache(cache or CacheLimits()),
        LargeFileStore(files_root),
        given,
    )


def mail(*files: Attachment, **changes: Any) -> MailContent:  # noqa: ANN401
    return MailContent(sender="me@acme.test", to=("you@x.test",), attachments=files, **changes)


def one(path: str, name: str = "f.txt", **changes: Any) -> Attachment:  # noqa: ANN401
    return Attachment(filename=name, storage_path=path, **changes)


def files_of(by: Attachments, *wanted: Attachment) -> Sequence[File]:
    return by.attached("acme", mail(*wanted))[1]


def refusal(by: Attachments, *wanted: Attachment) -> Unattached:
    with pytest.raises(Unattached) as found:
        by.attached("acme", mail(*wanted))
    return found.value


@pytest.mark.parametrize(
    ("path", "given", "mode"),
    [
        ("base64:aGk=", "", "base64"),
        ("http://x.test/a", "", "http_url"),
        ("https://x.test/a", "", "http_url"),
        ("/srv/a.pdf", "", "filesystem"),
        ("store@volume:path", "", "endpoint"),
        ("doc_id=7&v=2", "", "endpoint"),
        ("/srv/a.pdf", "endpoint", "endpoint"),
        ("aGk=", "base64", "base64"),
        ("HTTP://x.test", "", "endpoint"),
    ],
)
def test_where_it_comes_from_is_said_or_seen(path: str, given: Any, mode: str) -> None:  # noqa: ANN401
    assert mode_of(one(path, fetch_mode=given)) == mode


MD5: Final = hashlib.md5(b"content", usedforsecurity=False).hexdigest()


@pytest.mark.parametrize(
    ("name", "content_md5", "expected"),
    [
        ("a.bin", "", ("a.bin", "")),
        (f"b_{{MD5:{MD5}}}.bin", "", ("b.bin", MD5)),
        (f"b{{MD5:{MD5.upper()}}}.bin", "", ("b.bin", MD5)),
        ("a.bin", MD5.upper(), ("a.bin", MD5)),
        ("a{MD5:123}.bin", "", ("a{MD5:123}.bin", "")),
    ],
)
def test_a_name_may_tell_the_md5(name: str, content_md5: str, expected: tuple[str, str]) -> None:
    assert named(one("x", name, content_md5=content_md5)) == expected


# in the mail itself


@pytest.mark.parametrize("path", ["base64:aGVsbG8=", "base64:aGVsbG8", "aGVsbG8="])
def test_base64_with_or_without_prefix_and_padding(path: str) -> None:
    assert files_of(attachments(), one(path, fetch_mode="base64", mime_type="text/x-odd")) == [
        File("f.txt", b"hello", "text/x-odd")
    ]


@pytest.mark.parametrize(
    "path", ["base64:aGVs bG8=", "base64:aGVsbG8==x", "base64:a", "base64:\u00e9"]
)
def test_other_base64_is_refused(path: str) -> None:
    found = refusal(attachments(), one(path))
    assert (str(found), found.temporary) == (
        "Attachment fetch failed for f.txt: no proper Base64",
        False,
    )


# from the tenant's own server


def test_the_tenants_server_is_asked_for_the_path_as_it_is(receiver: Receiver) -> None:
    base = f"http://127.0.0.1:{receiver.port}/"
    auth = ClientAuth(method="bearer", secret_sealed=Sealed("~hush"))
    by = attachments(Known(client_base_url=base, client_auth=auth))
    assert files_of(by, one("store@volume:\u00e9 path")) == [File("f.txt", b"content")]
    call = receiver.calls[0]
    assert (call.method, call.target) == ("POST", "/mail-proxy/attachments")
    assert call.json == {"storage_path": "store@volume:\u00e9 path"}
    assert call.headers["Authorization"] == "Bearer hush"


def test_the_tenant_says_which_path_and_who_we_are(receiver: Receiver) -> None:
    auth = ClientAuth(method="basic", user="u", secret_sealed=Sealed("~p"))
    known = Known(
        client_base_url=f"http://127.0.0.1:{receiver.port}",
        client_attachment_path="/proxy_get_attachments",
        client_auth=auth,
    )
    files_of(attachments(known), one("a"))
    call = receiver.calls[0]
    assert call.target == "/proxy_get_attachments"
    assert call.headers["Authorization"] == "Basic " + base64.b64encode(b"u:p").decode("ascii")


def test_a_tenant_without_a_server_has_none_to_ask() -> None:
    found = refusal(attachments(), one("store@volume:path"))
    assert "no client_base_url" in str(found)
    assert not found.temporary


# from anywhere in the world


def test_a_url_is_fetched_and_the_tenants_secret_is_not_told(receiver: Receiver) -> None:
    auth = ClientAuth(method="bearer", secret_sealed=Sealed("~hush"))
    by = attachments(Known(client_base_url=receiver.url, client_auth=auth))
    assert files_of(by, one(receiver.url)) == [File("f.txt", b"content")]
    assert receiver.calls[0].method == "GET"
    assert "Authorization" not in receiver.calls[0].headers


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        (AttachmentAuth(method="bearer", token="own"), "Bearer own"),
        (AttachmentAuth(method="basic", user="u", password="p"), "Basic dTpw"),
        (AttachmentAuth(method="none", token="own"), None),
    ],
)
def test_a_url_is_told_what_the_attachment_says(
    receiver: Receiver, auth: AttachmentAuth, header: str | None
) -> None:
    files_of(attachments(), one(receiver.url, auth=auth))
    assert receiver.calls[0].headers.get("Authorization") == header


def test_a_token_that_would_be_two_headers_is_not_told(receiver: Receiver) -> None:
    auth = AttachmentAuth(method="bearer", token="a\r\nX-Evil: 1")
    assert "can't be told" in str(refusal(attachments(), one(receiver.url, auth=auth)))
    assert not receiver.calls


@pytest.mark.parametrize(
    ("status", "temporary"),
    [(404, False), (403, False), (400, False), (410, False), (408, True), (429, True), (500, True),
     (503, True)],
)  # fmt: skip
def test_a_status_decides_whether_to_ask_again(
    receiver: Receiver, status: int, *, temporary: bool
) -> None:
    receiver.answer = status
    found = refusal(attachments(), one(receiver.url))
    assert found.temporary is temporary
    assert str(found).startswith(f"Attachment fetch failed for f.txt: {status}, message='")


def test_a_server_that_does_not_answer_is_asked_again_later(receiver: Receiver) -> None:
    receiver.hanging = True
    began_s = time.monotonic()
    found = refusal(attachments(timeout_s=0.1), one(receiver.url))
    assert time.monotonic() - began_s < 2
    assert (found.temporary, "no answer in time" in str(found)) == (True, True)


def test_a_server_that_drips_is_not_waited_for(receiver: Receiver) -> None:
    def drops() -> Iterator[bytes]:
        while True:
            gevent.sleep(0.01)
            yield b"x"

    receiver.answer = (200, {}, drops())
    assert refusal(attachments(timeout_s=0.1), one(receiver.url)).temporary


def test_a_server_that_is_not_there_is_asked_again_later() -> None:
    assert refusal(attachments(), one("http://127.0.0.1:1/")).temporary


def test_what_is_too_large_is_not_read_to_its_end(receiver: Receiver) -> None:
    read = []

    def chunks() -> Iterator[bytes]:
        for _ in range(1_000):
            read.append(1)
            yield b"x" * 100_000

    receiver.answer = (200, {}, chunks())
    found = refusal(attachments(), one(receiver.url))
    assert (str(found).endswith("larger than 1000 octets"), found.temporary) == (True, False)
    assert len(read) < 900


def test_all_of_a_mails_attachments_have_a_bound(receiver: Receiver) -> None:
    receiver.answer = (200, {}, [b"x" * 900])
    assert len(files_of(attachments(), *[one(receiver.url)] * 3)) == 3
    assert "exceed 3000 octets" in str(refusal(attachments(), *[one(receiver.url)] * 4))


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:{port}/", "http://localhost:{port}/", "http://2130706433:{port}/",
     "http://[::ffff:127.0.0.1]:{port}/", "http://169.254.169.254/latest/meta-data/"],
)  # fmt: skip
def test_nothing_inside_is_asked(receiver: Receiver, url: str) -> None:
    by = attachments(outside=Outside())
    found = refusal(by, one(url.format(port=receiver.port)))
    assert ("address not allowed" in str(found), found.temporary) == (True, False)
    base = Known(client_base_url=f"http://127.0.0.1:{receiver.port}")
    assert not refusal(attachments(base, outside=Outside()), one("doc")).temporary
    assert not receiver.calls


@pytest.mark.parametrize("url", ["http://u:p@x.test/", "http://x.test/a b", "http:///a"])
def test_an_address_that_can_be_read_two_ways_is_refused(url: str) -> None:
    assert not refusal(attachments(), one(url, fetch_mode="http_url")).temporary


def test_redirects_are_followed_and_judged_and_told_no_secret(receiver: Receiver) -> None:
    auth = AttachmentAuth(method="bearer", token="own")
    with Receiver() as other:
        other.answer = (200, {}, [b"there"])
        receiver.answer = (302, {"Location": other.url}, [])
        assert files_of(attachments(), one(receiver.url, auth=auth)) == [File("f.txt", b"there")]
        assert receiver.calls[0].headers["Authorization"] == "Bearer own"
        assert "Authorization" not in other.calls[0].headers

    def here(host: str, _port: int) -> list[str]:
        return ["127.0.0.1" if host == "files.test" else "169.254.169.254"]

    receiver.answer = (302, {"Location": "http://metadata.test/"}, [])
    by = attachments(outside=Outside(LOOPBACK, resolve=here))
    found = refusal(by, one(f"http://files.test:{receiver.port}/"))
    assert "address not allowed" in str(found)


def test_tls_has_to_prove_who_it_is_and_is_not_given_up(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    tls = ssl.create_default_context(cafile=str(certificate[0]))
    with Receiver(certificate) as there, Receiver() as plain:
        there.answer = (200, {}, [b"content"])
        found = refusal(attachments(), one(there.url))
        assert ("certificate not accepted" in str(found), found.temporary) == (True, False)
        assert files_of(attachments(tls=tls), one(there.url)) == [File("f.txt", b"content")]
        there.answer = (302, {"Location": plain.url}, [])
        assert "without TLS" in str(refusal(attachments(tls=tls), one(there.url)))
        assert not plain.calls


def test_a_content_that_swells_when_unpacked_is_bounded_too(receiver: Receiver) -> None:
    packed = gzip.compress(bytes(100 * MB))
    receiver.answer = (200, {"Content-Encoding": "gzip"}, [packed])
    assert "larger than 1000" in str(refusal(attachments(), one(receiver.url)))
    receiver.answer = (200, {"Content-Encoding": "gzip"}, [gzip.compress(b"content")])
    assert files_of(attachments(), one(receiver.url)) == [File("f.txt", b"content")]


def test_a_circle_of_redirects_has_an_end(receiver: Receiver) -> None:
    receiver.answer = (302, {"Location": "/hook"}, [])
    assert "too many redirects" in str(refusal(attachments(), one(receiver.url)))
    assert len(receiver.calls) == 4


def test_the_tenants_server_may_not_send_us_elsewhere(receiver: Receiver) -> None:
    receiver.answer = (302, {"Location": "/elsewhere"}, [])
    known = Known(client_base_url=f"http://127.0.0.1:{receiver.port}")
    assert "302" in str(refusal(attachments(known), one("doc")))
    assert len(receiver.calls) == 1


def test_no_more_is_fetched_at_once_than_may(receiver: Receiver) -> None:
    busy: list[int] = []
    most: list[int] = []

    def slowly(_call: object) -> tuple[int, dict[str, str], list[bytes]]:
        busy.append(1)
        most.append(len(busy))
        gevent.sleep(0.02)
        busy.pop()
        return 200, {}, [b"x"]

    receiver.answer = slowly
    by = attachments(fetches_max=2)
    gevent.joinall([gevent.spawn(files_of, by, one(receiver.url)) for _ in range(8)])
    assert max(most) == 2


# from this machine


def test_files_below_the_operators_folder_are_read(tmp_path: Path) -> None:
    root = tmp_path / "files"
    (root / "a").mkdir(parents=True)
    (root / "a" / "doc.txt").write_bytes(b"inside")
    (root / "link").symlink_to(root / "a")
    by = attachments(root=root)
    for path in (f"{root}/a/doc.txt", f"{root}/link/doc.txt", f"{root}/a/../a/doc.txt"):
        assert files_of(by, one(path)) == [File("f.txt", b"inside")]
    assert files_of(by, one("a/doc.txt", fetch_mode="filesystem")) == [File("f.txt", b"inside")]


@pytest.mark.parametrize(
    "path",
    ["/etc/hostname", "{root}/../secret", "{root}/out", "{root}/outdir/secret", "{root}",
     "{root}/a", "{root}/none", "{root}-beside/secret", "../secret", "{root}/pipe",
     "{root}/a\0b", "/dev/zero"],
)  # fmt: skip
def test_no_other_file_is(tmp_path: Path, path: str, capfd: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "files"
    (root / "a").mkdir(parents=True)
    (tmp_path / "files-beside").mkdir()
    for secret in (tmp_path / "secret", tmp_path / "files-beside" / "secret"):
        secret.write_text("hush")
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "outdir").symlink_to(tmp_path)
    os.mkfifo(root / "pipe")
    found = refusal(attachments(root=root), one(path.format(root=root), fetch_mode="filesystem"))
    assert (str(found), found.temporary) == (
        "Attachment fetch failed for f.txt: no such file",
        False,
    )
    assert not capfd.readouterr().err


def test_a_file_too_large_is_not_read_whole(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 1_001)
    assert "larger than" in str(refusal(attachments(root=tmp_path), one(f"{tmp_path}/big")))


def test_without_a_folder_no_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    found = refusal(attachments(), one(f"{tmp_path}/a"))
    assert "no files of this machine can be attached" in str(found)


# the MD5 and the cache


MEMORY: Final = CacheLimits(memory_octets_max=20)
WRONG: Final = "0" * 32


@pytest.mark.parametrize("where", ["base64", "http", "file"])
def test_a_content_that_has_another_md5_than_was_said_is_sent_all_the_same(
    receiver: Receiver, tmp_path: Path, where: str
) -> None:
    (tmp_path / "a").write_bytes(b"content")
    path = {"base64": "base64:Y29udGVudA==", "http": receiver.url, "file": f"{tmp_path}/a"}[where]
    by = attachments(root=tmp_path, cache=MEMORY)
    for md5 in (MD5, WRONG):
        assert files_of(by, one(path, content_md5=md5)) == [File("f.txt", b"content")]


def test_a_content_is_not_kept_by_another_md5_than_its_own(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    by = attachments(cache=MEMORY)
    for name in ("f.txt", f"f_{{MD5:{WRONG}}}.txt"):
        assert files_of(by, one(receiver.url, name, content_md5=WRONG))[0].content == b"content"
    assert len(receiver.calls) == 2
    (said, again) = [(one.message, one.__dict__["tenant"]) for one in caplog.records]
    assert said == again == ("attachment has another MD5 than was said", "acme")


def test_what_was_fetched_lately_is_not_fetched_again(receiver: Receiver) -> None:
    by = attachments(cache=MEMORY)
    for name in (f"a_{{MD5:{MD5}}}.txt", f"b_{{MD5:{MD5}}}.txt"):
        files_of(by, one(receiver.url, name))
    files_of(by, one(receiver.url + "/other", content_md5=MD5))
    assert len(receiver.calls) == 1
    files_of(by, one(receiver.url))
    assert len(receiver.calls) == 2


def test_a_tenant_gets_nothing_by_naming_the_md5_of_anothers_file() -> None:
    cache = AttachmentCache(MEMORY)
    cache.put("acme", b"content")
    assert cache.get("acme", MD5) == b"content"
    assert cache.get("beta", MD5) is None


def test_memory_lets_go_of_what_was_not_asked_for_longest() -> None:
    cache = AttachmentCache(MEMORY)
    for content in (b"12345678", b"abcdefgh", b"12345678"):
        cache.put("acme", content)
    cache.put("acme", b"ABCDEFGH")
    assert cache.get("acme", md5_of(b"abcdefgh")) is None
    assert cache.get("acme", md5_of(b"12345678")) == b"12345678"
    cache.put("acme", b"x" * 21)
    assert cache.get("acme", md5_of(b"x" * 21)) is None
    assert cache.get("acme", md5_of(b"12345678")) == b"12345678"


def test_what_is_too_old_is_fetched_again() -> None:
    cache = AttachmentCache(CacheLimits(memory_octets_max=20, memory_ttl_s=0.01))
    cache.put("acme", b"content")
    gevent.sleep(0.02)
    assert cache.get("acme", MD5) is None


def on_disk(folder: Path, **limits: Any) -> AttachmentCache:  # noqa: ANN401
    return AttachmentCache(CacheLimits(**{"folder": folder, "disk_octets_max": 100, **limits}))


def test_what_is_on_disk_outlives_the_process_but_not_its_time(tmp_path: Path) -> None:
    on_disk(tmp_path).put("acme", b"content")
    assert on_disk(tmp_path).get("acme", MD5) == b"content"
    assert on_disk(tmp_path).get("beta", MD5) is None
    assert on_disk(tmp_path, disk_ttl_s=-1.0).get("acme", MD5) is None
    assert on_disk(tmp_path).get("acme", MD5) is None


def test_nobody_else_on_the_machine_reads_it_and_no_spoilt_file_is_used(tmp_path: Path) -> None:
    on_disk(tmp_path).put("acme", b"content")
    (file,) = tmp_path.glob("*/*")
    assert (file.stat().st_mode & 0o077, file.parent.stat().st_mode & 0o077) == (0, 0)
    file.write_bytes(b"spoilt")
    assert on_disk(tmp_path).get("acme", MD5) is None


def test_the_disk_holds_no_more_than_it_may(tmp_path: Path) -> None:
    cache = on_disk(tmp_path)
    for number in range(30):
        cache.put("acme", b"%010d" % number)
        octets = sum(path.stat().st_size for path in tmp_path.glob("*/*"))
        assert octets <= 100
    assert cache.get("acme", md5_of(b"%010d" % 29)) is not None
    cache.put("acme", b"x" * 101)
    assert cache.get("acme", md5_of(b"x" * 101)) is None


def test_a_tenant_that_goes_leaves_nothing_behind(tmp_path: Path) -> None:
    cache = on_disk(tmp_path, memory_octets_max=100)
    for tenant_id in ("acme", "beta"):
        cache.put(tenant_id, b"content")
    cache.forget("acme")
    assert cache.get("acme", MD5) is None
    assert cache.get("beta", MD5) == b"content"
    assert len(list(tmp_path.glob("*/*"))) == 1


def test_what_is_too_old_goes_from_the_disk_though_nobody_asks_for_it(tmp_path: Path) -> None:
    first = on_disk(tmp_path)
    for content in (b"old", b"new"):
        first.put("gone", content)
    (old,) = tmp_path.glob(f"*/{md5_of(b'old')}")
    os.utime(old, (time.time() - 86_401, time.time() - 86_401))
    second = on_disk(tmp_path)
    eventually(lambda: not old.exists())
    assert [path.read_bytes() for path in tmp_path.glob("*/*")] == [b"new"]
    first.close()
    second.close()


def test_a_disk_that_cannot_be_written_to_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("no folder")
    cache = on_disk(tmp_path / "taken")
    cache.put("acme", b"content")
    assert cache.get("acme", MD5) is None


# large files


LARGE: Final = base64.b64encode(bytes(2 * MB)).decode("ascii")


def large(action: str, **config: Any) -> tuple[Known, dict[str, int]]:  # noqa: ANN401
    wanted = LargeFiles(enabled=True, max_size_mb=1.0, action=action, **config)
    return Known(large_files=wanted), {"octets_max": 5 * MB, "mail_octets_max": 9 * MB}


def test_a_large_file_is_only_told_about(caplog: pytest.LogCaptureFixture) -> None:
    known, limits = large("warn")
    found = files_of(attachments(known, **limits), one(f"base64:{LARGE}"), one("base64:aGk="))
    assert len(found) == 2
    assert [record.message for record in caplog.records] == ["large attachment"]


def test_a_large_file_is_refused() -> None:
    known, limits = large("reject")
    found = refusal(attachments(known, **limits), one("base64:aGk="), one(f"base64:{LARGE}", "n"))
    assert str(found) == "Attachment 'n' (2.0 MB) exceeds limit (1.0 MB)"
    assert not found.temporary


def test_a_large_file_is_put_where_it_can_be_downloaded(tmp_path: Path) -> None:
    config = {"storage_url": f"file://{tmp_path}/acme", "public_base_url": "https://dl.test/f/"}
    known, limits = large("rewrite", **config)
    by = attachments(known, files_root=tmp_path, **limits)
    wanted = mail(one(f"base64:{LARGE}", "../\u00e4 b.bin"), one("base64:aGk="), body="Hello")
    changed, files = by.attached("acme", wanted)
    assert [file.content for file in files] == [b"hi"]
    (stored,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert stored.read_bytes() == bytes(2 * MB)
    assert stored.name == "_\u00e4 b.bin"
    token = stored.parent.name
    assert len(token) == 32
    assert changed.body.startswith(
        "Hello\n\nAttachments to download:\n- ../\u00e4 b.bin (2.0 MB): "
    )
    assert f"https://dl.test/f/{stored.parent.parent.name}/{token}/_%C3%A4%20b.bin" in changed.body


@pytest.mark.parametrize(
    ("storage_url", "base"),
    [("file:///etc", "x"), ("/etc", "x"), ("file://{root}/../x", "x"), ("s3://bucket", "x"),
     ("", "x"), ("relative", "x"), ("file://{root}\0", "x"), ("file://{root}", ""),
     ("file://{root}/out", "x")],
)  # fmt: skip
def test_a_large_file_is_put_nowhere_else(tmp_path: Path, storage_url: str, base: str) -> None:
    root = tmp_path / "large"
    root.mkdir()
    (root / "out").symlink_to(tmp_path)
    config = {"storage_url": storage_url.format(root=root), "public_base_url": base}
    known, limits = large("rewrite", **config)
    found = refusal(attachments(known, files_root=root, **limits), one(f"base64:{LARGE}"))
    assert not found.temporary
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_large_file_waits_for_its_folder(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "acme").write_bytes(b"no folder")
    config = {"storage_url": f"file://{tmp_path}/acme", "public_base_url": "x"}
    known, limits = large("rewrite", **config)
    found = refusal(attachments(known, files_root=tmp_path, **limits), one(f"base64:{LARGE}"))
    assert (str(found), found.temporary) == ("a large file can't be stored now", True)
    assert not capfd.readouterr().err


def test_links_stand_at_the_end_of_html_and_break_none_of_it() -> None:
    link = Link('<a> & "b"', MB, "https://dl.test/?a&b")
    html = with_links(mail(body="<body>Hi</BODY ></html>", content_type="html"), [link])
    assert html.endswith("</li></ul></BODY ></html>")
    assert "&lt;a&gt; &amp; &quot;b&quot; (1.0 MB)" in html
    assert 'href="https://dl.test/?a&amp;b"' in html


def test_files_go_when_their_day_is_over(tmp_path: Path) -> None:
    for day in ("20261120", "20261121", "notaday1"):
        (tmp_path / "acme" / day / TOKEN).mkdir(parents=True)
    store = LargeFileStore(tmp_path)
    assert store.remove_past(date(2026, 11, 21)) == 1
    assert sorted(path.name for path in (tmp_path / "acme").iterdir()) == ["20261121", "notaday1"]
    store.close()


@pytest.mark.parametrize("below", [f"20270101/{TOKEN}", "invoices"])
def test_a_folder_of_a_tenant_is_no_day_whatever_it_is_called(tmp_path: Path, below: str) -> None:
    file = tmp_path / "10023456" / below / "f.pdf"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"content")
    (tmp_path / "10023456" / "20261120" / TOKEN).mkdir(parents=True)
    store = LargeFileStore(tmp_path)
    assert store.remove_past(date(2026, 11, 21)) == 1
    assert file.read_bytes() == b"content"
    assert not (tmp_path / "10023456" / "20261120").exists()
    store.close()
