"""Bodies that tell a failure, as they are described; `http.errors` writes them.

The keys that go along with `error` are those of `Context.failure`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

Refused = Annotated[bool, Meta(extra_json_schema={"const": False})]
AccidentId = Annotated[str, Meta(description="of an internal error: its id in the log")]


class Denied(msgspec.Struct, frozen=True):
    """The caller is not who it must be, or asks too often."""

    error: str


class Failed(msgspec.Struct, frozen=True):
    """Nothing was done."""

    success: Refused
    error: str
    id: AccidentId | UnsetType = UNSET


class NotSent(msgspec.Struct, frozen=True):
    """A message that was not accepted."""

    success: Refused
    error: str
    esme: int
    transaction_id: str
    status: Literal["failed"]
    id: AccidentId | UnsetType = UNSET
