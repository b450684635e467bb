"""The mark for personal content on an event's fields.

A field annotated `Personal` (an address, a text) is sealed by the event store's mapper with its
tenant's data key; once that key is destroyed the field reads `ERASED`. Everything unmarked stays
readable in psql.
"""

from typing import Annotated, Final

ERASED: Final = "[erased]"
PERSONAL: Final = "personal"

Personal = Annotated[str, PERSONAL]
