"""`signalbox mail` against a stand-in for the mail proxy: what it calls, and what it refuses."""

import argparse
import io
import socket
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import pytest
from support.mail_command import MAIL, TENANT, Mail, Proxy

from signalbox.ops import mail_calls, mail_command
from signalbox.ops.mail_client import TOKEN_HINT
from signalbox.ops.main import main

NO_TENANT = (404, {"detail": "Tenant 'acme' not found"})
EML = b"From: a@example.com\nTo: b@example.com\nSubject: hello\n\nbody\n"


@pytest.fixture
def mail(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Mail]:
    monkeypatch.setenv("MAIL_API_TOKEN", "hush-token")
    with Proxy() as proxy:
        yield Mail(proxy, capsys)


def words(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the words of every command there is."""
    for action in parser._actions:  # noqa: SLF001  argparse shows them to nobody
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001  same
            for name, below in action.choices.items():
                more = [*words(below)]
                yield from (f"{name} {word}" for word in more) if more else [name]


def test_every_command_does_something() -> None:
    parser = argparse.ArgumentParser()
    mail_command.add_to(parser.add_subparsers())
    assert {word.removeprefix("mail ") for word in words(parser)} == set(mail_calls.CALLS)


@pytest.mark.parametrize(
    ("line", "call", "body"),
    [
        ("tenants list --active", "GET /tenants?active_only=true", None),
        ("tenants show a/b", "GET /tenant/a%2Fb", None),
        ("tenants update acme --name x --no-active", "PUT /tenant/acme",
         {"name": "x", "active": False}),
        ("tenants delete acme --yes", "DELETE /tenant/acme", None),
        ("tenants revoke-key acme", "DELETE /tenant/acme/api-key", None),
        ("accounts list acme", "GET /accounts?tenant_id=acme", None),
        ("accounts delete acme smtp1", "DELETE /account/smtp1?tenant_id=acme", None),
        ("messages list acme --history",
         "GET /messages?tenant_id=acme&active_only=false&include_history=true", None),
        ("messages list acme --active --limit 5 --offset 10",
         "GET /messages?tenant_id=acme&active_only=true&include_history=false&limit=5&offset=10",
         None),
        ("messages delete acme m-1 m-2", "POST /commands/delete-messages?tenant_id=acme",
         {"ids": ["m-1", "m-2"]}),
        ("messages cleanup acme", "POST /commands/cleanup-messages?tenant_id=acme", {}),
        ("messages cleanup acme --older-than-s 60",
         "POST /commands/cleanup-messages?tenant_id=acme", {"older_than_seconds": 60}),
        ("run-now", "POST /commands/run-now", {}),
        ("suspend acme --batch b1", "POST /commands/suspend?tenant_id=acme&batch_code=b1", {}),
        ("activate acme", "POST /commands/activate?tenant_id=acme", {}),
        ("instance show", "GET /instance", None),
        ("instance set --bounces --imap-host h --poll-interval-s 30", "PUT /instance",
         {"bounce_imap_host": "h", "bounce_poll_interval": 30, "bounce_enabled": True}),
        ("instance reload-bounce", "POST /instance/reload-bounce", {}),
        ("status", "GET /status", None),
        ("command-log --tenant acme --since 2026-11-21T14:30Z --endpoint add --limit -1",
         "GET /command-log?tenant_id=acme&since_ts=1795271400&endpoint_filter=add&limit=-1", None),
        ("command-log --limit 3", "GET /command-log?limit=3&newest=true", None),
    ],
)  # fmt: skip
def test_a_command_is_one_call(mail: Mail, line: str, call: str, body: object) -> None:
    mail.proxy.answers = {
        "GET /tenants": (200, {"ok": True, "tenants": [TENANT]}),
        "GET /accounts": (200, {"ok": True, "accounts": [{"id": "smtp1"}]}),
        "GET /messages": (200, {"ok": True, "messages": [MAIL]}),
        "GET /command-log": (200, {"ok": True, "commands": [], "total": 0}),
        "GET /status": (200, {"ok": True, "active": True}),
        "POST /commands/delete-messages": (
            200,
            {"removed": 1, "not_found": [], "unauthorized": []},
        ),
        "POST /commands/cleanup-messages": (200, {"ok": True, "removed": 3}),
        "POST /commands/suspend": (200, {"suspended_batches": ["b1"], "pending_messages": 2}),
        "POST /commands/activate": (200, {"suspended_batches": [], "pending_messages": 2}),
    }
    assert mail(line)
    assert mail.asked == [(call, body)]
    assert mail.proxy.tokens == ["hush-token"]


def test_an_account_is_set_and_its_tenant_looked_for(mail: Mail) -> None:
    line = "accounts add acme smtp1 --host h --port 587 --per-minute 20 --over-limit reject --tls"
    assert mail(line) == "signalbox: account set\n"
    body = {
        "id": "smtp1", "tenant_id": "acme", "host": "h", "port": 587, "limit_per_minute": 20,
        "limit_behavior": "reject", "use_tls": True,
    }  # fmt: skip
    assert mail.asked == [("POST /account", body), ("GET /tenant/acme", None)]
    mail.proxy.answers = {"GET /tenant/acme": NO_TENANT}
    warned = "signalbox: there is no tenant 'acme' yet: nothing is sent before there is\n"
    assert mail(line) == f"{warned}signalbox: account set\n"
    assert warned in mail(f"{line} --json")
    mail.proxy.answers = {"GET /tenant/acme": (403, {"detail": "Admin token required"})}
    assert mail(line) == "signalbox: account set\n"


@pytest.mark.parametrize(
    ("line", "call", "answer"),
    [
        ("accounts list acme", "GET /accounts", {"ok": True, "accounts": []}),
        ("messages list acme", "GET /messages", {"ok": True, "messages": []}),
        ("messages cleanup acme", "POST /commands/cleanup-messages", {"ok": True, "removed": 0}),
    ],
)
def test_of_a_tenant_that_is_none_there_is_not_nothing(
    mail: Mail, line: str, call: str, answer: object
) -> None:
    mail.proxy.answers = {call: (200, answer), "GET /tenant/acme": NO_TENANT}
    assert mail.refusal(line) == "refused with 404: Tenant 'acme' not found"
    mail.proxy.answers = {call: (200, answer), "GET /tenant/acme": (200, TENANT)}
    assert mail(line)


@pytest.mark.parametrize(
    ("line", "suspended", "said"),
    [
        ("suspend acme --batch B9", ["B1", "B9"], "B1, B9; mails that wait in batch B9: 6"),
        ("suspend acme", ["*"], "everything; mails that wait in all, held or not: 6"),
        ("activate acme", [], "nothing; mails that wait in all, held or not: 6"),
    ],
)
def test_how_many_mails_wait_is_said_with_where(
    mail: Mail, line: str, suspended: list[str], said: str
) -> None:
    answer = {"suspended_batches": suspended, "pending_messages": 6}
    command, _, _ = line.partition(" ")
    mail.proxy.answers = {f"POST /commands/{command}": (200, answer)}
    assert mail(line) == f"signalbox: suspended: {said}\n"


def test_a_new_tenant_is_configured_and_its_key_shown_alone(
    mail: Mail, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ACME_SECRET", "hush")
    mail.proxy.answers = {
        "GET /tenant/acme": (404, {"detail": "Tenant 'acme' not found"}),
        "POST /tenant": (200, {"ok": True, "api_key": "k-1"}),
    }
    options = (
        "--base-url http://app --auth basic --auth-user u --auth-secret-env ACME_SECRET"
        " --large-files reject --large-files-mb 5 --retention-days 3"
    )
    mail_line = ["mail", "tenants", "add", "acme", *options.split(), "--url", mail.proxy.url]
    assert main(mail_line) == 0
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == (
        "k-1\n",
        "signalbox: tenant added; its key is shown this once\n",
    )
    assert mail.asked[-1] == ("POST /tenant", {
        "id": "acme",
        "client_base_url": "http://app",
        "retention_days": 3,
        "client_auth": {"method": "basic", "user": "u", "password": "hush"},
        "large_file_config": {"enabled": True, "action": "reject", "max_size_mb": 5.0},
    })  # fmt: skip


def test_a_tenant_that_is_there_is_not_overwritten(mail: Mail) -> None:
    mail.proxy.answers = {"GET /tenant/acme": (200, TENANT)}
    assert "is there already" in mail.refusal("tenants add acme")
    assert len(mail.asked) == 1


def test_a_key_is_shown_alone(mail: Mail) -> None:
    mail.proxy.answers = {"POST /tenant/acme/api-key": (200, {"ok": True, "api_key": "k-2"})}
    assert mail("tenants key acme").startswith("k-2\n")


def test_passwords_come_from_variables(
    mail: Mail, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", "hush-smtp")
    monkeypatch.setenv("IMAP_PASSWORD", "hush-imap")
    (tmp_path / "key.pem").write_text("a key")
    mail(
        "accounts add acme smtp1 --host h --port 25 --user u --password-env SMTP_PASSWORD"
        " --imap-user i --imap-password-env IMAP_PASSWORD --pec --dkim-key",
        str(tmp_path / "key.pem"),
    )
    (_, body), _ = mail.asked
    assert (body["password"], body["imap_password"]) == ("hush-smtp", "hush-imap")
    assert (body["dkim_private_key"], body["is_pec_account"]) == ("a key", True)
    mail("instance set --imap-user i --imap-password-env IMAP_PASSWORD")
    assert mail.asked[-1][1]["bounce_imap_password"] == "hush-imap"


def test_passwords_are_asked_for_at_a_terminal(mail: Mail, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("getpass.getpass", lambda prompt: f"asked with {prompt}")
    mail("accounts add acme smtp1 --host h --port 25 --user u")
    assert mail.asked[0][1]["password"] == "asked with password of u: "


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("accounts add acme a --host h --port 25 --user u", "needs --password-env, or a terminal"),
        ("accounts add acme a --host h --port 25 --user u --password-env NONE", "NONE is not set"),
        ("tenants delete acme", "needs --yes"),
        ("tenants update acme --auth-user u", "need --auth"),
        ("tenants update acme --large-files-mb 1", "need --large-files"),
        ("command-log --until yesterday", "expected Unix seconds or a time"),
        ("send none.eml --tenant acme --account a", "none.eml: No such file or directory"),
        ("tenants add acme --base-url nonsense", "--base-url: expected an http or https URL"),
        ("tenants update acme --base-url http://h:99999", "--base-url: no such host or port"),
        ("accounts add acme a --host h --port 99999", "--port: expected 1 to 65535, got 99999"),
        ("accounts add acme a --host h --port 25 --imap-port 0", "--imap-port: expected 1 to"),
        ("instance set --imap-port 65536", "--imap-port: expected 1 to 65535, got 65536"),
        ("messages cleanup acme --older-than-s -1", "--older-than-s: expected 0 or more, got -1"),
        ("tenants update acme", "nothing to change was given"),
        ("instance set", "nothing to change was given"),
    ],
)
def test_what_can_not_be_asked_for_is_told_before_anybody_is_asked(
    mail: Mail, monkeypatch: pytest.MonkeyPatch, line: str, said: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert said in mail.refusal(line)
    assert mail.asked == []


def test_deleting_a_tenant_asks_for_its_name_again(
    mail: Mail, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = iter(["acm\n", "acme\n"])
    terminal = SimpleNamespace(isatty=lambda: True, readline=lambda: next(said))
    monkeypatch.setattr("sys.stdin", terminal)
    assert main(["mail", "tenants", "delete", "acme", "--url", mail.proxy.url]) == 2
    assert mail.asked == []
    mail("tenants delete acme")
    assert mail.asked == [("DELETE /tenant/acme", None)]


def test_a_file_is_sent_as_an_item(mail: Mail, tmp_path: Path) -> None:
    (tmp_path / "one.eml").write_bytes(EML)
    added = {"ok": True, "queued": 1, "rejected": []}
    mail.proxy.answers = {"POST /commands/add-messages": (200, added)}
    options = "--tenant acme --account smtp1 --priority high --batch b --not-before 1795271400"
    printed = mail("send", str(tmp_path / "one.eml"), *options.split())
    ((_, body),) = mail.asked
    (item,) = body["messages"]
    assert printed.startswith(f"{item['id']}\n")
    assert item == {
        "id": item["id"], "tenant_id": "acme", "account_id": "smtp1", "from": "a@example.com",
        "to": ["b@example.com"], "subject": "hello", "body": "body\n", "content_type": "plain",
        "priority": "high", "batch_code": "b", "deferred_ts": 1795271400,
    }  # fmt: skip


def test_what_is_left_out_of_a_mail_is_told(mail: Mail, tmp_path: Path) -> None:
    both = EmailMessage()
    both["From"] = both["To"] = "a@example.com"
    both.set_content("plain")
    both.add_alternative("<p>rich</p>", subtype="html")
    (tmp_path / "both.eml").write_bytes(both.as_bytes())
    mail.proxy.answers = {"POST /commands/add-messages": (200, {"queued": 1, "rejected": []})}
    options = ("--tenant", "acme", "--account", "smtp1", "--id", "m-1")
    warned = "signalbox: the plain text is left out: the HTML is sent alone\n"
    printed = mail("send", str(tmp_path / "both.eml"), *options)
    assert printed == f"m-1\n{warned}signalbox: queued\n"
    assert warned in mail("send", str(tmp_path / "both.eml"), *options, "--json")


def test_a_mail_of_no_tenant_is_refused_as_that(mail: Mail, tmp_path: Path) -> None:
    (tmp_path / "one.eml").write_bytes(EML)
    rejected = [{"id": "m-1", "reason": "account not found for tenant"}]
    refused = (400, {"detail": {"error": None, "rejected": rejected}})
    mail.proxy.answers = {"POST /commands/add-messages": refused, "GET /tenant/acme": NO_TENANT}
    line = ("send", str(tmp_path / "one.eml"), "--tenant", "acme", "--account", "smtp1")
    assert mail.refusal(*line) == "refused with 404: Tenant 'acme' not found"
    mail.proxy.answers["GET /tenant/acme"] = (200, TENANT)
    assert mail.refusal(*line).endswith("m-1: account not found for tenant")


@pytest.mark.parametrize("is_large", [False, True])
def test_who_hangs_up_on_a_large_mail_may_find_it_too_large(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *, is_large: bool
) -> None:
    (tmp_path / "one.eml").write_bytes(EML + b"x" * (20_000_000 if is_large else 1))
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_hang_up, args=(server,), daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        line = ("send", str(tmp_path / "one.eml"), "--tenant", "a", "--account", "b", "--url", url)
        assert main(["mail", *line]) == 2
    said = capsys.readouterr().err
    assert ("perhaps 20.0 MB are more than [mail] body_bytes_max" in said) is is_large
    assert len(said.splitlines()) == 1


def _hang_up(server: socket.socket) -> None:
    """Read the beginning of a call, and close."""
    connection, _ = server.accept()
    with connection:
        connection.recv(1_000)


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (200, {"ok": True, "queued": 0, "rejected": [{"id": "m-1", "reason": "already sent"}]}),
        (400, {"detail": {"error": None,
                          "rejected": [{"id": "m-1", "reason": "already sent"}]}}),
    ],
)  # fmt: skip
def test_a_mail_that_is_not_queued_is_a_refusal(
    mail: Mail, tmp_path: Path, status: int, answer: object
) -> None:
    (tmp_path / "one.eml").write_bytes(EML)
    mail.proxy.answers = {"POST /commands/add-messages": (status, answer)}
    options = ("--tenant", "acme", "--account", "smtp1", "--id", "m-1")
    assert mail.refusal("send", str(tmp_path / "one.eml"), *options).endswith("m-1: already sent")


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (401, {"detail": "Admin token required"}, "refused with 401: Admin token required"),
        (401, {"detail": "Invalid or missing API token"},
         f"refused with 401: Invalid or missing API token {TOKEN_HINT}"),
        (404, {"detail": "Tenant 'ghost' not found"}, "refused with 404: Tenant 'ghost' not found"),
        (422, {"detail": [{"type": "missing", "loc": ["body", "id"], "msg": "Field required"}]},
         "refused with 422: id: Field required"),
        (500, "Internal Server Error", "refused with 500: Internal Server Error"),
        (503, "", "refused with 503: Service Unavailable"),
        (307, "", "refused with 307: Temporary Redirect"),
        (200, "<html>", "is that a mail proxy? It answered '<html>'"),
    ],
)  # fmt: skip
def test_a_refusal_is_one_line_and_a_2(mail: Mail, status: int, answer: object, said: str) -> None:
    mail.proxy.answers = {"GET /tenant/ghost": (status, answer)}
    assert mail.refusal("tenants show ghost") == said
    assert len(mail.asked) == 1  # Where it was sent to instead got no token.


def test_without_a_token_none_is_shown_and_another_variable_may_have_it(
    mail: Mail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAIL_API_TOKEN")
    monkeypatch.setenv("ACME_KEY", "k-1")
    mail("run-now")
    mail("run-now --token-env ACME_KEY")
    assert mail.proxy.tokens == [None, "k-1"]
    monkeypatch.setenv("ACME_KEY", "k\n1")
    assert "no token has" in mail.refusal("run-now --token-env ACME_KEY")


@pytest.mark.parametrize("line", ["tenants show acme", "command-log --export"])
def test_an_answer_that_breaks_off_is_told(
    mail: Mail, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    mail.proxy.length = 100
    assert main(["mail", *line.split(), "--url", mail.proxy.url]) == 2
    assert "88 more expected" in capsys.readouterr().err


def test_nobody_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mail", "status", "--url", "http://127.0.0.1:1"]) == 2
    assert "http://127.0.0.1:1/mailproxy/v1: " in capsys.readouterr().err
    assert main(["mail", "status", "--url", "file:///etc/passwd"]) == 2
    assert "expected http://" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("behind", "path"), [("", "/mailproxy/v1/status"), ("/", "/status"), ("/a/b/", "/a/b/status")]
)
def test_an_address_with_a_path_is_the_api_itself(
    mail: Mail, capsys: pytest.CaptureFixture[str], behind: str, path: str
) -> None:
    mail.proxy.answers = {f"GET {name}": (200, {"active": True}) for name in ("/status", path)}
    assert main(["mail", "status", "--url", f"{mail.proxy.url}{behind}"]) == 0
    assert capsys.readouterr().err == "signalbox: the mail proxy is active\n"
    assert mail.proxy.paths == [path]


def test_what_is_asked_for_arrives_as_it_was_meant(mail: Mail) -> None:
    mail("tenants revoke-key", "bad id/é?x")
    ((line, _),) = mail.asked
    assert unquote(line) == "DELETE /tenant/bad id/é?x/api-key"
