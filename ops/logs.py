"""Logs for operators: one line per fact, as text or JSON, without secrets.

    2026-03-10T14:30:00.123Z INFO signalbox.actors.link link bound link_id=1

Fields come from `extra=`. Trouble (a line with an `error`) that goes on is told once a minute, with
how often it came meanwhile (`repeats`). No value starts a line of its own, none is longer than a
bound, and what looks like a secret, by its field's name or by itself, is written as `[redacted]`.
"""

import json
import logging
import re
import sys
from collections import OrderedDict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from typing_extensions import override

VALUE_CHARACTERS_MAX: Final = 512
TRACEBACK_CHARACTERS_MAX: Final = 16_384
REPEAT_S: Final = 60.0
REPEATING_MAX: Final = 1_000
REDACTED: Final = "[redacted]"

SECRET_WORDS: Final = frozenset(
    {
        "apikey",
        "authorization",
        "cookie",
        "credential",
        "key",
        "passwd",
        "password",
        "secret",
        "token",
    }
)
# A JWT, one of our own API keys, whatever follows an Authorization scheme, a password in a URL.
SECRET_VALUE: Final = re.compile(
    r"\beyJ[\w-]{8,}(?:\.[\w-]*)*|\bsh_live_\w+|\b(?:Bearer|Basic) \S+|(?<=:)[^\s:/@]+(?=@)"
)
# Their INFO is our DEBUG; smpplib's DEBUG holds texts and passwords.
QUIET: Final = ("smpplib", "gunicorn.access", "pykka", "eventsourcing", "urllib3", "concurrent")

_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}
_BARE: Final = re.compile(r"[\w.:/@+%…\[\]-]+")

Value = str | int | float | bool | None


def configure(level: str, line_format: str, process: str) -> None:
    """Send all logs of this process to stderr, from `level` (`info`, …) up.

    `line_format` is `text` or `json`; `process` (`web`, `relay`, …) is a field of every JSON line.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(process) if line_format == "json" else TextFormatter())
    handler.addFilter(Repeating())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def as_json(process: str, line: str) -> str:
    """Return the JSON line for what a process said without a logger."""
    record = {"name": "signalbox.up", "levelno": logging.INFO, "levelname": "INFO", "msg": line}
    return JsonFormatter(process).format(logging.makeLogRecord(record))


def shorten(number: str) -> str:
    """Return a phone number as it may be logged.

    >>> shorten("+4915112345001")
    '+49…001'
    >>> shorten("12345")
    '…45'
    """
    return f"{number[:3]}…{number[-3:]}" if len(number) > 2 * 3 + 1 else f"…{number[-2:]}"


class Repeating(logging.Filter):
    """Lets the same trouble through once a minute; each loop that can't go on would flood the log.

    It is the same when all is but the error's own words.
    """

    def __init__(self) -> None:
        super().__init__()
        self._told: OrderedDict[tuple[object, ...], list[float]] = OrderedDict()

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        if "error" not in record.__dict__:
            return True
        same = tuple((name, value) for name, value in _fields(record) if name != "error")
        key = (record.name, record.levelno, record.getMessage(), same)
        told = self._told.get(key)
        if told is not None and record.created - told[0] < REPEAT_S:
            told[1] += 1
            return False
        if told is not None and told[1]:
            record.repeats = int(told[1])
        self._told[key] = [record.created, 0]
        self._told.move_to_end(key)
        if len(self._told) > REPEATING_MAX:
            self._told.popitem(last=False)
        return True


class TextFormatter(logging.Formatter):
    """`time level logger message key=value …`; a traceback follows on indented lines."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {name}={_as_text(value)}" for name, value in _fields(record))
        line = f"{_time(record)} {record.levelname} {record.name} {_message(record)}{fields}"
        indented = (f"\n    | {_printable(row)}" for row in self._traceback(record).splitlines())
        return line + "".join(indented)

    def _traceback(self, record: logging.LogRecord) -> str:
        if not record.exc_info:
            return ""
        return _clean(self.formatException(record.exc_info), TRACEBACK_CHARACTERS_MAX)


class JsonFormatter(TextFormatter):
    """One JSON object per line."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    @override
    def format(self, record: logging.LogRecord) -> str:
        head: dict[str, Value] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": _message(record),
        }
        if traceback := self._traceback(record):
            head["traceback"] = traceback
        return json.dumps({**head, **dict(_fields(record)), **head})


def _fields(record: logging.LogRecord) -> Iterator[tuple[str, Value]]:
    for name, value in record.__dict__.items():
        if name not in _STANDARD:
            yield _printable(name), _shown(name, value)


def _shown(name: str, value: object) -> Value:
    if SECRET_WORDS.intersection(re.split(r"[^a-z]+", name.lower())):
        return REDACTED
    if value is None or isinstance(value, bool | int | float):
        return value
    return _clean(str(value), VALUE_CHARACTERS_MAX)


def _message(record: logging.LogRecord) -> str:
    return _printable(_clean(record.getMessage(), VALUE_CHARACTERS_MAX))


def _clean(text: str, characters_max: int) -> str:
    """Redact first: a secret cut in half is no longer recognised."""
    redacted = SECRET_VALUE.sub(REDACTED, text)
    return redacted if len(redacted) <= characters_max else redacted[: characters_max - 1] + "…"


def _as_text(value: Value) -> str:
    text = _printable(str(value))
    if _BARE.fullmatch(text):
        return text
    return '"' + text.replace('"', '\\"') + '"'


def _printable(text: str) -> str:
    """Escape line breaks, terminal sequences and all else that is not plainly visible."""
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if character.isprintable() and character != "\\":
        return character
    return character.encode("unicode_escape").decode("ascii")


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
