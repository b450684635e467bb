"""What must happen only once, however often it is asked for: a request, an inbound message.

The stream is named after a keyed digest of what makes two of them the same. Who does it appends an
event: the second to come finds the version taken, and there the result of the first. Where it may
be done anew after a while, the newest event counts.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OnceDone:
    """It was done, with these messages as its result.

    `fingerprint` tells a repeated request from another one under the same key.
    """

    message_ids: tuple[str, ...]
    fingerprint: str = ""


def stream_of(digest: str) -> str:
    """Return the stream of a digest (32 hex digits)."""
    return f"once-{digest}"
