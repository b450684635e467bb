"""`signalbox mail` against a real installation: from an empty one to a mail that was delivered."""

from __future__ import annotations

import json
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

import pytest
from support.gateway import eventually_equal
from support.mail_sink import MailSink
from support.mail_tenants import ENVIRONMENT, TOKEN
from support.processes import Installation

from signalbox.ops.main import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]

ATTACHED = bytes(range(256)) * 40
CONFIG = """
[mail]
allowed_networks = ["127.0.0.0/8"]
"""


class Operator:
    """Somebody at a terminal."""

    def __init__(self, port: int, capsys: pytest.CaptureFixture[str]) -> None:
        self._url = f"http://127.0.0.1:{port}"
        self._capsys = capsys

    def run(self, line: str, *more: str) -> str:
        """Run a command, which must succeed; return its output."""
        code = main(["mail", *line.split(), *more, "--url", self._url])
        printed = self._capsys.readouterr()
        assert code == 0, printed.err
        return printed.out

    def refusal(self, line: str) -> str:
        """Run a command, which must be refused; return what it says."""
        assert main(["mail", *line.split(), "--url", self._url]) == 2
        return self._capsys.readouterr().err

    def read(self, line: str) -> dict[str, Any]:
        """Return the answer to a command."""
        answer: dict[str, Any] = json.loads(self.run(f"{line} --json"))
        return answer

    def statuses(self) -> list[str]:
        """Return what became of acme's mails."""
        shown = self.read("messages list acme --history")["messages"]
        return [event["event_type"] for one in shown for event in one["history"]]


@pytest.fixture
def operator(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Operator]:
    monkeypatch.setenv("MAIL_API_TOKEN", TOKEN)
    monkeypatch.setenv("SMTP_PASSWORD", "hush-smtp")
    with Installation(database_url, [], extra=CONFIG, environment=ENVIRONMENT) as gateway:
        gateway.start_all()
        yield Operator(gateway.port, capsys)


def a_file(folder: Path) -> str:
    mail = EmailMessage()
    mail["From"] = "Ännchen <a@example.com>"
    mail["To"] = "b@example.net"
    mail["Bcc"] = "c@example.net"
    mail["Subject"] = "Grüße"
    mail["X-Campaign"] = "spring"
    mail.set_content("plain")
    mail.add_alternative("<p>rich</p>", subtype="html")
    mail.add_attachment(ATTACHED, maintype="application", subtype="pdf", filename="ü.pdf")
    file = folder / "one.eml"
    file.write_bytes(mail.as_bytes())
    return str(file)


def test_an_operator_gets_from_nothing_to_a_mail_that_was_delivered(
    operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with MailSink(auth=("user", "hush-smtp")) as sink:
        monkeypatch.setenv("ACME_KEY", operator.run("tenants add acme --name ACME").strip())
        account = f"--host 127.0.0.1 --port {sink.port} --no-tls --user user"
        operator.run(f"accounts add acme smtp1 {account} --password-env SMTP_PASSWORD")
        file = a_file(tmp_path)
        sending = ("--tenant", "acme", "--account", "smtp1", "--token-env", "ACME_KEY")
        operator.run("suspend acme")
        client_id = operator.run("send", file, *sending).strip()
        assert operator.statuses() == []
        operator.run("activate acme")
        eventually_equal(operator.statuses, ["sent"], timeout_s=30)
        (arrived,) = sink.mails
    assert sorted(arrived.recipients) == ["b@example.net", "c@example.net"]
    message = arrived.message
    (attached,) = message.iter_attachments()
    body = message.get_body(("html",))
    assert body is not None
    assert body.get_content().strip() == "<p>rich</p>"
    assert (attached.get_filename(), attached.get_content()) == ("ü.pdf", ATTACHED)
    assert (message["Subject"], message["X-Campaign"], message["Bcc"]) == ("Grüße", "spring", None)
    assert message["X-Genro-Mail-ID"] == client_id
    assert "already sent" in operator.refusal(f"send {file} --tenant acme --account smtp1")
    assert "'ghost' not found" in operator.refusal(f"send {file} --tenant ghost --account smtp1")
    large = tmp_path / "large.eml"
    large.write_bytes(b"From: a@b.c\nTo: d@e.f\n\n" + b"x" * 40_000_000)
    said = operator.refusal(f"send {large} --tenant acme --account smtp1")
    assert "body_bytes_max" in said or "413" in said
    judge_rest(operator, client_id)


def judge_rest(operator: Operator, client_id: str) -> None:
    """See the other commands do what they say."""
    log = operator.run("command-log --export")
    assert "hush" not in log
    done = [json.loads(line)["endpoint"] for line in log.splitlines()]
    acme = ["addTenant", "addAccount", "suspend", "addMessages", "activate"]
    assert done == [*acme, "addMessages"]
    newest = operator.read("command-log --limit 2")["commands"]
    assert [one["endpoint"] for one in newest] == ["activate", "addMessages"]
    assert "'nobody' not found" in operator.refusal("messages list nobody")
    operator.run("run-now")
    operator.run("tenants update acme --base-url http://127.0.0.1:1 --report-format reports")
    assert operator.read("tenants show acme")["client_base_url"] == "http://127.0.0.1:1"
    assert [one["id"] for one in operator.read("tenants sync-status")["tenants"]] == ["acme"]
    operator.run("instance set --name box --imap-host imap.example.com")
    assert operator.read("instance show")["name"] == "box"
    assert operator.read(f"messages delete acme {client_id} ghost")["removed"] == 1
    operator.run("accounts delete acme smtp1")
    operator.run("tenants delete acme --yes")
    assert "404" in operator.refusal("tenants show acme")
    assert "401" in operator.refusal("run-now --token-env ACME_KEY")
