"""The marks for what only its tenant's data key makes readable, on the fields of events.

A field annotated `Personal` (an address, a text) or `Private` is sealed by the event store's mapper
with its tenant's data key, also where it is a field of a field; once that key is destroyed it reads
`ERASED`. What is personal is in no read model; what is private (a host, what a server answered) may
be, and goes with its tenant. Everything unmarked stays readable in psql.
"""

from typing import Annotated, Final

ERASED: Final = "[erased]"
PERSONAL: Final = "personal"
PRIVATE: Final = "private"

Personal = Annotated[str, PERSONAL]
Private = Annotated[str, PRIVATE]
