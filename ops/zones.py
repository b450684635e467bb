"""Where days begin: time zones as the configuration names them."""

import re
from datetime import UTC, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

_OFFSET: Final = re.compile(r"([+-])([01]\d|2[0-3]):([0-5]\d)")


def zone_of(name: str) -> tzinfo:
    """Return a zone by its IANA name, or a fixed one like "+02:00". Raises: `ValueError`."""
    if name == "UTC":
        return UTC
    offset = _OFFSET.fullmatch(name)
    if offset is not None:
        sign, hours, minutes = offset.groups()
        east = timedelta(hours=int(hours), minutes=int(minutes))
        return timezone(east if sign == "+" else -east)
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError):  # a folder, a path out of the data, nothing at all
        raise ValueError(f'expected "UTC", "Europe/Berlin" or "+02:00", not "{name}"') from None
