"""The rules for bounces that an operator writes, in a TOML file; without one, those built in.

    senders = ["mailer-daemon"]
    subjects = ["undelivered mail"]
    ignored = ["out of office"]
    reasons = [{ phrase = "mailbox full", kind = "soft", code = "452" }]

A key that is left out is as it is built in.
"""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from signalbox.domain.bounce_rules import DEFAULT_RULES, BounceRules, Reason

Phrase = Annotated[str, Meta(min_length=1, max_length=200)]


class _Reason(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    phrase: Phrase
    kind: Literal["hard", "soft"]
    code: Annotated[str, Meta(pattern=r"^([45][0-9][0-9])?$")] = ""


class _Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    senders: tuple[Phrase, ...] | None = None
    subjects: tuple[Phrase, ...] | None = None
    ignored: tuple[Phrase, ...] | None = None
    reasons: tuple[_Reason, ...] | None = None


def load_rules(path: str) -> BounceRules:
    """Return the rules in a file; without a path those built in.

    Raises: `ValueError` when it can't be read or makes no sense.
    """
    if not path:
        return DEFAULT_RULES
    try:
        given = msgspec.convert(tomllib.loads(Path(path).read_text(encoding="utf-8")), _Rules)
    except (OSError, msgspec.ValidationError) as error:
        raise ValueError(f"{path}: {error}") from error
    fields = msgspec.structs.asdict(given)
    found = {name: value for name, value in fields.items() if value is not None}
    if given.reasons is not None:
        found["reasons"] = tuple(
            Reason(phrase=one.phrase, kind=one.kind, code=one.code) for one in given.reasons
        )
    return replace(DEFAULT_RULES, **found)
