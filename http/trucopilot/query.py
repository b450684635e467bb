"""What is asked for behind the question mark."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from signalbox.domain.phone_routing import SLOT, digits
from signalbox.http.body import INTEGER_MAX
from signalbox.http.moments import moment
from signalbox.http.trucopilot.problems import bad
from signalbox.http.trucopilot.wire import OrgId, SecretKey  # noqa: TC001  msgspec reads them
from signalbox.projections.phone_views import NumberQuery

if TYPE_CHECKING:
    from collections.abc import Mapping

    from signalbox.domain.phone_message import Direction, Sim
    from signalbox.http.context import Request

LIMIT: Final = 100
LIMIT_MAX: Final = 1_000
DIRECTIONS: Final[Mapping[str, Direction]] = {"in": "inbound", "out": "outbound"}

DEVICE_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")

_NUMBER: Final = re.compile(r"[0-9]{1,19}")


class MessagesQuery(msgspec.Struct):
    """Which messages. Those behind `since_id` come first to last, 1000 at most.

    `sim` is the index of a slot or a number. `ids` (with commas between) and `updated_since` are
    for whoever waits for tickets: a change may show up a moment after its time, so let the times
    overlap.
    """

    limit: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    since_id: Annotated[int, Meta(ge=0, le=INTEGER_MAX)] | UnsetType = UNSET
    direction: Literal["in", "out"] | UnsetType = UNSET
    sim: Annotated[str, Meta(examples=["+15550001111"], pattern="[0-9]")] | UnsetType = UNSET
    ids: (
        Annotated[
            str,
            Meta(
                examples=["5,6"],
                extra_json_schema={"pattern": "^[1-9][0-9]{0,17}(,[1-9][0-9]{0,17}){0,999}$"},
            ),
        ]
        | UnsetType
    ) = UNSET
    updated_since: (
        Annotated[str, Meta(max_length=64, extra_json_schema={"format": "date-time"})] | UnsetType
    ) = UNSET
    order: Literal["asc", "desc"] | UnsetType = UNSET


class SocketQuery(msgspec.Struct):
    """Who connects; `device_id`, ours, tells a phone from the organisation's others.

    A phone without it is known by the numbers of its SIMs.
    """

    org_id: OrgId | UnsetType = UNSET
    secret_key: SecretKey | UnsetType = UNSET
    device_id: (
        Annotated[str, Meta(extra_json_schema={"pattern": f"^{DEVICE_ID.pattern}$"})] | UnsetType
    ) = UNSET


def query(req: Request) -> NumberQuery:
    """Return what is asked for. Raises: `Failure` 400."""
    numbers = _ids(req)
    return NumberQuery(
        limit=_limit(req, LIMIT_MAX if numbers else LIMIT),
        since_number=_number(req, "since_id", 0),
        direction=DIRECTIONS.get(_one_of(req, "direction", *DIRECTIONS)),
        sim=_sim(req),
        numbers=numbers,
        updated_since_s=_moment(req, "updated_since"),
        newest_first=_one_of(req, "order", "asc", "desc") == "desc",
    )


def _one_of(req: Request, name: str, *allowed: str) -> str:
    text: str | None = req.get_param(name)
    if text is not None and text not in allowed:
        raise bad(f"{name}: expected {' or '.join(allowed)}")
    return text or ""


def _number(req: Request, name: str, default: int) -> int:
    text: str | None = req.get_param(name)
    return default if text is None else _numeral(name, text)


def _limit(req: Request, default: int) -> int:
    text: str | None = req.get_param("limit")
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()):
        raise bad("limit: expected a whole number without a sign")
    limit = int(text.lstrip("0")[:19] or "0")  # The beginning of a longer one is too many, too.
    if limit < 1:
        raise bad("limit: expected 1 or more")
    return min(limit, LIMIT_MAX)


def _numeral(name: str, text: str) -> int:
    if _NUMBER.fullmatch(text) is None or int(text) > INTEGER_MAX:
        raise bad(f"{name}: expected a whole number without a sign")
    return int(text)


def _ids(req: Request) -> tuple[int, ...]:
    text: str | None = req.get_param("ids")
    if text is None:
        return ()
    ids = tuple(_numeral("ids", part.strip()) for part in text.split(","))
    if len(ids) > LIMIT_MAX or 0 in ids:
        raise bad(f"ids: expected numbers from 1, {LIMIT_MAX} at most")
    return ids


def _sim(req: Request) -> Sim | None:
    text: str | None = req.get_param("sim")
    if text is None:
        return None
    if not digits(text):
        raise bad("sim: expected the index of a slot, or a number")
    return int(text) if SLOT.fullmatch(text) else text


def _moment(req: Request, name: str) -> float | None:
    text: str | None = req.get_param(name)
    if text is None:
        return None
    try:
        return moment(text)
    except ValueError as error:
        raise bad(f"{name}: {error}") from None
