r"""Content filters: what an operator lets through, by sender, destination, text and application.

    application in [7]: refuse unless destination ~ "^\\+?49"

Patterns are RE2's: searched in time linear in the text, whatever pattern and text look like, and
compiled once. Nothing here knows log or clock; `rejecting` records the verdicts.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import re2

if TYPE_CHECKING:
    from collections.abc import Iterable

MEMORY_OCTETS_MAX: Final = 8 * 1024 * 1024  # one pattern's program and what a search caches of it


class Filtered(Protocol):
    """What filters look at: addresses and text as the caller wrote them."""

    @property
    def app_id(self) -> int: ...  # noqa: D102
    @property
    def source(self) -> str: ...  # noqa: D102
    @property
    def destination(self) -> str: ...  # noqa: D102
    @property
    def text(self) -> str: ...  # noqa: D102


@dataclass(eq=False)
class BadPattern(Exception):  # noqa: N818  the operator's, found at start
    """RE2 can't compile a pattern; `reason` is its own sentence."""

    reason: str

    def __str__(self) -> str:
        return f"not an RE2 pattern (they know no lookaround, no backreference): {self.reason}"


class Pattern:
    """A regular expression. Raises: `BadPattern`."""

    def __init__(self, expression: str) -> None:
        options = re2.Options()
        options.max_mem = MEMORY_OCTETS_MAX
        options.never_capture = True
        options.log_errors = False
        try:
            self._compiled = re2.compile(expression, options)
        except re2.error as error:
            raise BadPattern(error.args[0].decode()) from None

    def found_in(self, text: str) -> bool:
        """Tell whether it matches anywhere in `text`."""
        return self._compiled.search(text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A filter as configured; empty expressions and no applications are no conditions.

    A blacklist refuses what meets all conditions. An allow-list refuses, of the applications it is
    for, what does not match all of its expressions.
    """

    name: str
    active: bool = True
    blacklist: bool = True
    description: str = ""
    source: str = ""
    destination: str = ""
    message: str = ""
    applications: tuple[int, ...] = ()

    @property
    def expressions(self) -> dict[str, str]:
        """The expressions given, by what they are searched in."""
        given = {"source": self.source, "destination": self.destination, "message": self.message}
        return {field: expression for field, expression in given.items() if expression}


class Filter:
    """A rule with its expressions compiled. Raises: `BadPattern`."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._patterns = {field: Pattern(text) for field, text in rule.expressions.items()}

    def refuses(self, asked: Filtered) -> bool:
        """Tell whether the message must not be accepted."""
        applications = self._rule.applications
        if applications and asked.app_id not in applications:
            return False
        content = {
            "source": asked.source,
            "destination": asked.destination,
            "message": asked.text,
        }
        matches = all(one.found_in(content[field]) for field, one in self._patterns.items())
        return matches == self._rule.blacklist


class Filters:
    """The active ones of some rules, in their order."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self.configure(rules)

    def configure(self, rules: Iterable[Rule]) -> None:
        """Take these rules instead of those before. Raises: `BadPattern`."""
        self._filters = [(rule.name, Filter(rule)) for rule in rules if rule.active]

    def refusing(self, asked: Filtered) -> str | None:
        """Return the name of the first filter that refuses the message."""
        return next((name for name, one in self._filters if one.refuses(asked)), None)


def snippet(rule: Rule) -> str:
    """Return a rule as a line to read; `message ~ "…"` is a search of the text."""
    scope = f"application in {list(rule.applications)}: " if rule.applications else ""
    conditions = " and ".join(
        f"{field} ~ {json.dumps(expression, ensure_ascii=False)}"
        for field, expression in rule.expressions.items()
    )
    verdict = "refuse if " if rule.blacklist else "refuse unless "
    return f"{scope}{verdict}{conditions}" if conditions else f"{scope}refuse"
