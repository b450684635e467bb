"""Log lines: one per fact, nothing forged, nothing secret."""

import json
import logging
import sys

import pytest

from signalbox.ops.logs import JsonFormatter, Repeating, TextFormatter, configure, shorten

TEXT, JSON = TextFormatter(), JsonFormatter("relay")


def record(message: str, *arguments: object, **fields: object) -> logging.LogRecord:
    line = logging.LogRecord("signalbox.x", logging.INFO, "x.py", 1, message, arguments, None)
    line.created = 1_700_000_000.123
    line.__dict__.update(fields)
    return line


def fail(message: str) -> None:
    raise ValueError(message)


def test_a_text_line_is_time_level_logger_message_and_fields() -> None:
    line = TEXT.format(record("link %s bound", "a", link_id=1, peer="10.0.0.1:2775", note="a b"))
    assert line == (
        "2023-11-14T22:13:20.123Z INFO signalbox.x link a bound"
        ' link_id=1 peer=10.0.0.1:2775 note="a b"'
    )


def test_a_json_line_keeps_the_types_of_its_fields() -> None:
    assert json.loads(JSON.format(record("bound", link_id=1, up=True, reason=None))) == {
        "link_id": 1,
        "up": True,
        "reason": None,
        "time": "2023-11-14T22:13:20.123Z",
        "level": "info",
        "process": "relay",
        "logger": "signalbox.x",
        "message": "bound",
    }


@pytest.mark.parametrize(
    "evil", ["a\nINFO forged", "a\r\nb", "\x1b[2J", "a\u2028b", "\x85", "\ud83d"]
)
def test_no_value_starts_a_line_or_steers_a_terminal(evil: str) -> None:
    for formatter in (TEXT, JSON):
        line = formatter.format(record("said %s", evil, text=evil, **{f"name{evil}": 1}))
        assert len(line.splitlines()) == 1
        assert line.isprintable()


def test_a_quote_cannot_end_a_value_early() -> None:
    assert TEXT.format(record("m", a='x" b=1')).endswith(r' a="x\" b=1"')
    assert TEXT.format(record("m", a='x\\" b=1')).endswith(r' a="x\\\" b=1"')


def test_a_field_cannot_replace_what_the_line_is_about() -> None:
    line = json.loads(JSON.format(record("bound", level="fatal", process="web")))
    assert (line["level"], line["process"]) == ("info", "relay")


@pytest.mark.parametrize(
    "name",
    ["password", "smsc_password", "secret", "api_key", "X-Admin-Key", "Authorization", "token"],
)
def test_a_secret_is_recognised_by_its_name(name: str) -> None:
    assert "hush" not in TEXT.format(record("m", **{name: "hush"}))
    assert "hush" not in JSON.format(record("m", **{name: b"hush"}))


@pytest.mark.parametrize("name", ["monkey", "keyboard", "tokens_left"])
def test_a_name_that_only_contains_such_a_word_is_no_secret(name: str) -> None:
    assert f"{name}=12" in TEXT.format(record("m", **{name: "12"}))


@pytest.mark.parametrize(
    "secret",
    [
        "eyJhbGciOiJIUzI1NiJ9.eyJ1aWQiOjF9.abc-_1",
        "sh_live_0123456789",
        "Bearer hush-hush",
        "postgresql://u:hush-hush@db/x",
    ],
)
def test_a_secret_is_recognised_by_itself(secret: str) -> None:
    secret_parts = ("eyJ1aWQ", "0123456789", "hush-hush")
    try:
        fail(secret)
    except ValueError:
        failed = record(f"failed for {secret}", url=f"/x?t={secret}", exc_info=sys.exc_info())
    for formatter in (TEXT, JSON):
        assert not any(part in formatter.format(failed) for part in secret_parts)


def test_a_value_is_cut_at_512_characters_and_a_secret_at_the_cut_stays_hidden() -> None:
    line = json.loads(JSON.format(record("m" * 600, a="x" * 505 + " sh_live_0123456789")))
    assert len(line["message"]) == 512
    assert len(line["a"]) == 512
    assert "sh_live" not in line["a"]


def test_a_traceback_follows_on_marked_lines() -> None:
    try:
        fail("a\n2023-11-14T22:13:20.123Z INFO forged")
    except ValueError:
        lines = TEXT.format(record("failed", exc_info=sys.exc_info())).splitlines()
    assert lines[0].endswith("failed")
    assert lines[1] == "    | Traceback (most recent call last):"
    assert all(line.startswith("    | ") for line in lines[1:])


def test_other_peoples_chatter_is_kept_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    level = root.level
    configure("debug", "text", "web")
    logging.getLogger("smpplib.client").info("theirs")
    logging.getLogger("signalbox.actors").debug("ours")
    root.setLevel(level)
    assert "theirs" not in (seen := capsys.readouterr().err)
    assert "ours" in seen


def test_trouble_that_goes_on_is_told_once_a_minute() -> None:
    repeating = Repeating()

    def shown(after_s: float, message: str = "store is away", **fields: object) -> str | None:
        line = record(message, **fields)
        line.created += after_s
        return TEXT.format(line).partition("signalbox.x ")[2] if repeating.filter(line) else None

    assert shown(0.0, error="refused") == "store is away error=refused"
    assert shown(0.2, error="refused") is None
    assert shown(59.0, error="reset") is None
    assert shown(59.0, "leases are away", error="reset") == "leases are away error=reset"
    assert shown(59.0, error="refused", link=1) == "store is away error=refused link=1"
    assert shown(60.0, error="reset") == "store is away error=reset repeats=2"
    assert shown(61.0) == "store is away"
    assert shown(61.0) == "store is away"
    assert shown(121.0, error="refused") == "store is away error=refused"


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+4915112345001", "+49…001"),
        ("4915112345001", "491…001"),
        ("1234567", "…67"),
        ("12345678", "123…678"),
        ("12", "…12"),
    ],
)
def test_a_number_is_shortened(number: str, shown: str) -> None:
    assert shorten(number) == shown
