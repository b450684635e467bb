"""What can go wrong between a decision and the log."""

from dataclasses import dataclass


@dataclass(eq=False)
class Unavailable(Exception):  # noqa: N818  the family is named after the state of the store
    """The store can't be reached or is too slow; nothing was acknowledged. Try again."""

    reason: str
    retry_after_s: int = 1

    def __str__(self) -> str:
        return self.reason


@dataclass(eq=False)
class Conflict(Exception):  # noqa: N818  same
    """Somebody else wrote this version of the stream: reload and decide again."""

    stream_id: str
    version: int

    def __str__(self) -> str:
        return f"{self.stream_id} already has version {self.version}"


@dataclass(eq=False)
class FenceLost(Exception):  # noqa: N818  same
    """The lease that allowed this write belongs to somebody else by now: stop acting."""

    partitions: frozenset[int]

    def __str__(self) -> str:
        return f"lost the leases of partitions {sorted(self.partitions)}"
