"""The audit commands: a timeline for people, an export for programs."""

import json
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support.histories import DELIVERED, T0, accepted, record, record_messages

from signalbox.domain.message import (
    MessageSubmitted,
    SubmitAttempted,
    SubmitOutcomeUnknown,
    SubmitRefused,
)
from signalbox.eventstore.log import EventLog
from signalbox.ops import audit
from signalbox.ops.settings import Settings, SettingsError

SECRET_KEY = "a secret key for tests, long enough"

Export = list[dict[str, Any]]


@pytest.fixture
def settings(database_url: str, event_log: EventLog, tmp_path: Path) -> Settings:
    assert event_log.head() == 0
    plain = Settings(home=tmp_path, secret_key=SECRET_KEY)
    return plain.with_database_url(database_url)


@pytest.fixture
def export(settings: Settings, capfdbinary: pytest.CaptureFixture[bytes]) -> "Exporter":
    return Exporter(settings, capfdbinary)


class Exporter:
    """Runs the export and reads its lines."""

    def __init__(self, settings: Settings, output: pytest.CaptureFixture[bytes]) -> None:
        self._settings, self._output = settings, output

    def __call__(
        self,
        since: str | None = None,
        until: str | None = None,
        stream: str | None = None,
        topic: str | None = None,
        *,
        personal: bool = False,
    ) -> Export:
        """Return the exported lines; the options are those of the command."""
        code = audit.export(self._settings, since, until, stream, topic, personal=personal)
        assert code == 0
        return [json.loads(line) for line in self._output.readouterr().out.splitlines()]


def timeline(log: EventLog, message_id: str) -> str:
    console = Console(file=StringIO(), width=160)
    assert audit.print_timeline(log, message_id, console)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_a_timeline_tells_what_happened_when_and_by_whom(event_log: EventLog) -> None:
    record(event_log, "message-m", *DELIVERED)
    lines = [line.split() for line in timeline(event_log, "m").splitlines() if "Z" in line]
    assert [line[2] for line in lines] == [
        "MessageAccepted",
        "SubmitAttempted",
        "MessageSubmitted",
        "ReceiptRecorded",
    ]
    assert {(line[0], line[1], line[-1]) for line in lines} == {
        ("2026-11-21", "14:30:00.000Z", "app-3")
    }


def test_a_timeline_explains_every_event(event_log: EventLog) -> None:
    record(
        event_log,
        "message-m",
        accepted(parts=2),
        SubmitAttempted(1, 1, 1),
        SubmitRefused(1, 0x58, "ESME_RTHROTTLED (0x58)", 5.0),
        SubmitAttempted(1, 2, 1),
        SubmitOutcomeUnknown(1, "connection lost", "resend"),
        SubmitRefused(1, 0x0B, "ESME_RINVDSTADR (0x0B)", None),
    )
    shown = timeline(event_log, "m")
    for what in (
        "from Signalbox to 491…001, link 1, 2 x gsm7, udh8",
        "ESME_RTHROTTLED (0x58), again in 5 s",
        "attempt 2, link 1",
        "connection lost, resend",
        "ESME_RINVDSTADR (0x0B), final",
    ):
        assert what in shown


def test_a_timeline_shows_neither_text_nor_number(event_log: EventLog) -> None:
    record(event_log, "message-m", *DELIVERED)
    shown = timeline(event_log, "m")
    assert "4915112345001" not in shown
    assert "a secret text" not in shown


def test_a_timeline_survives_the_erasure_of_its_tenant(event_log: EventLog) -> None:
    record(event_log, "message-m", *DELIVERED)
    event_log.tenant_keys.destroy("app-3")
    assert "from [erased] to [erased]" in timeline(event_log, "m")


def test_what_an_smsc_writes_does_not_reach_the_terminal_as_a_command(event_log: EventLog) -> None:
    evil = MessageSubmitted(1, "\x1b[2J[bold]id", 1)
    record(event_log, "message-m", *DELIVERED[:2], evil)
    shown = timeline(event_log, "m")
    assert "\x1b" not in shown
    assert "SMSC id \N{REPLACEMENT CHARACTER}[2J[bold]id" in shown


def test_the_timeline_of_an_unknown_message_is_one_line_of_error(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.timeline(settings, "nobody") == 1
    assert capsys.readouterr() == ("", "signalbox: no message 'nobody'\n")


def test_the_timeline_command_prints_the_table(
    settings: Settings, event_log: EventLog, capsys: pytest.CaptureFixture[str]
) -> None:
    record(event_log, "message-m", *DELIVERED)
    assert audit.timeline(settings, "m") == 0
    assert "MessageAccepted" in capsys.readouterr().out


def test_an_export_has_one_json_object_for_each_event(
    event_log: EventLog, export: "Exporter"
) -> None:
    position = record(event_log, "message-m", *DELIVERED)
    lines = export()
    assert [line["topic"] for line in lines] == [
        "message.accepted.1",
        "message.submit_attempted.1",
        "message.submitted.1",
        "message.receipt_recorded.1",
    ]
    assert lines[-1] == {
        "position": position,
        "stream": "message-m",
        "version": 4,
        "topic": "message.receipt_recorded.1",
        "at": "2026-11-21T14:30:00Z",
        "tenant": "app-3",
        "by": "app-3",
        "request": "",
        "command": "",
        "event": {
            "part": 1,
            "smsc_id": "id-1",
            "status": "delivered",
            "stat": "DELIVERED",
            "error_code": "000",
            "done_date": "2611211430",
        },
    }


@pytest.mark.parametrize(
    ("personal", "erased", "shown"),
    [
        (False, False, ("[sealed]", "[sealed]")),
        (True, False, ("4915112345001", "a secret text")),
        (True, True, ("[erased]", "[erased]")),
    ],
)
def test_personal_content_is_exported_only_on_demand(
    event_log: EventLog,
    export: "Exporter",
    personal: bool,  # noqa: FBT001
    erased: bool,  # noqa: FBT001
    shown: tuple[str, str],
) -> None:
    record(event_log, "message-m", accepted())
    if erased:
        event_log.tenant_keys.destroy("app-3")
    (line,) = export(personal=personal)
    assert (line["event"]["destination"], line["event"]["text"]) == shown


def test_an_export_can_be_limited(event_log: EventLog, export: "Exporter") -> None:
    record_messages(event_log, 50)
    first = record(event_log, "message-x", accepted(), at=T0 + timedelta(hours=1))
    last = record(event_log, "message-y", accepted(), at=T0 + timedelta(hours=2))
    assert [line["stream"] for line in export(since="2026-11-21T15:30Z")] == [
        "message-x",
        "message-y",
    ]
    assert [line["position"] for line in export(since=str(first), until=str(first))] == [first]
    assert len(export(until="2026-11-21T14:30:00Z")) == 4
    assert [line["version"] for line in export(stream="message-0007")] == [1, 2, 3, 4]
    assert len(export(topic="message.submitted.1")) == 50
    assert export(stream="message-0007", since=str(last)) == []


def test_an_export_goes_on_from_batch_to_batch(
    event_log: EventLog, export: "Exporter", monkeypatch: pytest.MonkeyPatch
) -> None:
    record_messages(event_log, 5)
    monkeypatch.setattr(audit, "BATCH_EVENTS", 4)
    assert len({line["position"] for line in export()}) == 20


def test_an_event_that_can_not_be_read_does_not_end_the_export(
    event_log: EventLog, export: "Exporter"
) -> None:
    record(event_log, "message-m", *DELIVERED[:2])
    with event_log.pool.connection() as connection:
        connection.execute(
            "UPDATE signalbox.stored_events SET topic = 'message.from_the_future.1'"
            " WHERE originator_version = 1"
        )
    future, attempted = export()
    assert "event" not in future
    assert "message.from_the_future.1" in future["error"]
    assert attempted["event"]["attempt"] == 1


@pytest.mark.parametrize(
    ("since", "topic", "complaint"),
    [("soon", None, "--since: expected"), (None, "message.nothing.1", "--topic: no event")],
)
def test_a_bad_option_is_refused_in_one_line(
    settings: Settings, since: str | None, topic: str | None, complaint: str
) -> None:
    with pytest.raises(SettingsError, match=complaint):
        audit.export(settings, since, None, None, topic)
