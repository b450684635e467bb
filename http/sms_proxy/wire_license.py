"""Answers about the licence. Names and shapes are the API reference's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from signalbox.actors.licenses import Terms


class License(msgspec.Struct, frozen=True, kw_only=True):
    """The licence as it is today; without one company and date are empty, the limits built in."""

    company: str
    valid_until: str
    max_connections: int
    max_tps: int
    status: Literal["active", "expired", "missing"]


class LicenseAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`GET …/settings/license`."""

    success: bool = True
    data: License


class LicenseUploaded(msgspec.Struct, frozen=True, kw_only=True):
    """`POST …/settings/license/upload`."""

    success: bool = True
    message: str = "License uploaded successfully"
    data: License


def license_of(terms: Terms) -> License:
    """Return the licence as the API has it."""
    return License(
        company=terms.company,
        valid_until=terms.valid_until,
        max_connections=terms.max_connections,
        max_tps=terms.max_tps,
        status=terms.status,
    )
