"""A TOML file read strictly: every refusal names the key and the line it stands on.

`signalbox.toml line 12: links[0].tps: expected int, got str`
"""

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, TypeVar, get_args, get_type_hints

import msgspec

CONFIG_NAME: Final = "signalbox.toml"

Section = TypeVar("Section", bound=msgspec.Struct)

_HEADER: Final = re.compile(r"\s*\[\[?\s*[\"']?([^\[\]]+?)[\"']?\s*\]\]?\s*(?:#.*)?$")
_SYNTAX_ERROR: Final = re.compile(r"(?P<text>.*) \(at line (?P<line>\d+), column \d+\)")
_REFUSAL: Final = re.compile(r"(?P<text>.*?)(?: - at `\$\.?(?P<key>\w*).*`)?", re.DOTALL)
_MISSING_KEY: Final = re.compile(r"Object missing required field `(.*)`")
_UNKNOWN_KEY: Final = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)


class SettingsError(Exception):
    """The operator asked for something impossible; `str()` is one line that names the setting."""


@dataclass(frozen=True, slots=True)
class Place:
    """A table of the file: `server`, or the table of `[[links]]` with `index` 0, 1, …."""

    section: str
    index: int | None = None

    def __str__(self) -> str:
        return self.section if self.index is None else f"{self.section}[{self.index}]"


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """The parsed file and its text; without a file both are empty and every default holds."""

    path: Path | None
    text: str
    tables: Mapping[str, object]

    @classmethod
    def read(cls, path: Path | None) -> Self:
        """Read `path`, or `./signalbox.toml` if there is one.

        Raises:
            SettingsError: `path` cannot be read, or the file is not TOML.
        """
        if path is None:
            path = Path(CONFIG_NAME)
            if not path.exists():
                return cls(None, "", {})
        try:
            text = path.read_text(encoding="utf-8")
            return cls(path, text, tomllib.loads(text))
        except OSError as error:
            raise SettingsError(
                f"{path}: cannot read the configuration: {error.strerror}"
            ) from None
        except UnicodeDecodeError:
            raise SettingsError(f"{path}: the configuration is not UTF-8") from None
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(_syntax_error(path, str(error), text)) from None

    def refuse_other_sections(self, known: tuple[str, ...]) -> None:
        """Refuse top-level names that are none of `known`."""
        for name in self.tables:
            if name not in known:
                raise self.refusal(Place(name), None, f"unknown section{_hint(name, known)}")

    def has(self, section: str, key: str) -> bool:
        """Tell whether the file itself sets `key`."""
        table = self.tables.get(section)
        return isinstance(table, dict) and key in table

    def section(self, name: str, kind: type[Section], environment: Mapping[str, object]) -> Section:
        """Return the table `name` as a `kind`; `environment` replaces what the file says."""
        table = self.tables.get(name, {})
        if not isinstance(table, dict):
            raise self.refusal(Place(name), None, f"expected a table: [{name}]")
        return self._convert(Place(name), table | dict(environment), kind)

    def sections(
        self, name: str, kind: type[Section], aliases: Mapping[str, str]
    ) -> tuple[Section, ...]:
        """Return the tables `[[name]]`, in order; `aliases` maps other spellings to our keys."""
        tables = self.tables.get(name, [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise self.refusal(Place(name), None, f"expected an array of tables: [[{name}]]")
        return tuple(
            self._convert(place, self._spelled(place, table, aliases), kind)
            for place, table in ((Place(name, i), table) for i, table in enumerate(tables))
        )

    def refusal(self, place: Place, key: str | None, message: str) -> SettingsError:
        """Return the error that `key` of `place` deserves, with its line where one is found."""
        line = _line_of(self.text, place, key)
        where = f"{self.path} line {line}: " if line else f"{self.path}: " if self.path else ""
        return SettingsError(f"{where}{place}{'.' if key else ''}{key or ''}: {message}")

    def _convert(self, place: Place, table: dict[str, object], kind: type[Section]) -> Section:
        try:
            return msgspec.convert(table, kind)
        except msgspec.ValidationError as error:
            key, message = explained(str(error), kind)
            raise self.refusal(place, key, message) from None

    def _spelled(
        self, place: Place, table: dict[str, object], aliases: Mapping[str, str]
    ) -> dict[str, object]:
        for alias in aliases.keys() & table.keys():
            if aliases[alias] in table:
                raise self.refusal(place, alias, f"given twice, also as {aliases[alias]}")
        return {aliases.get(key, key): value for key, value in table.items()}


def explained(refusal: str, kind: type[msgspec.Struct]) -> tuple[str | None, str]:
    """Split a validation error of `kind` into the key it is about and a sentence about it."""
    if unknown := _UNKNOWN_KEY.fullmatch(refusal):
        return unknown[1], f"unknown key{_hint(unknown[1], kind.__struct_fields__)}"
    if missing := _MISSING_KEY.fullmatch(refusal):
        return missing[1], "missing, and there is no default"
    match = _REFUSAL.fullmatch(refusal)
    assert match is not None, refusal
    key, text = match["key"], match["text"]
    if not key:
        key, found, rest = text.partition(": ")
        return (key, rest) if found else (None, text)
    if text.startswith("Invalid enum value"):
        choices = ", ".join(str(choice) for choice in get_args(get_type_hints(kind)[key]))
        return key, f"expected one of {choices}, got {text.removeprefix('Invalid enum value ')}"
    if text.startswith("Expected `str` matching regex") and (words := _described(kind, key)):
        return key, f"expected {words}"
    return key, (text[:1].lower() + text[1:]).replace("`", "")


def _described(kind: type[msgspec.Struct], key: str) -> str:
    """Return how a field's type is described, "" if it is not."""
    metas = getattr(get_type_hints(kind, include_extras=True)[key], "__metadata__", ())
    return next((meta.description for meta in metas if meta.description), "")


def _syntax_error(path: Path, message: str, text: str) -> str:
    """Say where the TOML goes wrong; an error at the end of the file is on its last line."""
    if match := _SYNTAX_ERROR.fullmatch(message):
        return f"{path} line {match['line']}: {match['text']}"
    return f"{path} line {max(1, len(text.splitlines()))}: {message}"


def _line_of(text: str, place: Place, key: str | None) -> int | None:
    """Return the line (from 1) of `key` in the table `place`, else that of the table's header."""
    assignment = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=") if key else None
    inline = re.compile(rf"\s*{re.escape(place.section)}\s*[.=]")
    header_line, current, seen = None, "", -1
    for number, line in enumerate(text.splitlines(), start=1):
        header = _HEADER.match(line)
        if header:
            current = header[1]
            seen += current == place.section
        inside = current == place.section and place.index in (None, seen)
        if inside and assignment and assignment.match(line):
            return number
        if (header and inside) or (not current and inline.match(line)):
            header_line = number
    return header_line


def _hint(name: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f" (is {close[0]} meant?)" if close else ""
