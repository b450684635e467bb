"""What limits the pushes: messages without a phone's word for each line, a pace for each SIM."""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Final

from signalbox.domain.pacing import TokenBucket

if TYPE_CHECKING:
    from signalbox.actors.phone_line import LineKey
    from signalbox.domain.phone_rules import PhoneRules

BUCKETS_MAX: Final = 20_000


class InFlight:
    """Messages that wait for a phone's word, by the line they went over. Monotonic seconds."""

    def __init__(self) -> None:
        self._sent: OrderedDict[str, tuple[LineKey, float]] = OrderedDict()
        self._counts: Counter[LineKey] = Counter()

    def put(self, stream_id: str, line: LineKey, since_s: float) -> None:
        """A message goes over a line, and over no other any more."""
        self.drop(stream_id)
        self._sent[stream_id] = line, since_s
        self._counts[line] += 1

    def drop(self, stream_id: str) -> bool:
        """A message is settled; tell whether it was in flight."""
        line, _ = self._sent.pop(stream_id, (None, 0.0))
        if line is None:
            return False
        self._counts[line] -= 1
        if not self._counts[line]:
            del self._counts[line]
        return True

    def count(self, line: LineKey) -> int:
        """Return how many messages wait for the word of a line's phone."""
        return self._counts[line]

    def drop_before(self, before_s: float) -> None:
        """Give up waiting for the word on what went out before."""
        while self._sent:
            stream_id, (_, since_s) = next(iter(self._sent.items()))
            if since_s >= before_s:
                return
            self.drop(stream_id)

    @property
    def oldest_s(self) -> float | None:
        """When the oldest went out."""
        return next((since_s for _, since_s in self._sent.values()), None)


class Buckets:
    """The pace of every SIM that was used of late: to connect again gives it no new burst."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[tuple[str, int | str], TokenBucket] = OrderedDict()

    def of(self, phone_id: str, sim: int | str, rules: PhoneRules) -> TokenBucket:
        """Return the bucket of a phone's SIM."""
        key = phone_id, sim
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = TokenBucket(rules.rate_per_s, rules.burst)
            if len(self._buckets) > BUCKETS_MAX:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        return bucket
