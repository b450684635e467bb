"""How many phones an owner may have connected, and who leaves when there are too many.

A phone counts from the moment it is let in, not only once its connection is stored, so that those
who come at once are not more than there is room for.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING

from signalbox.domain.errors import TooManyLines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from signalbox.actors.phone_line import HeldLine, OnlineLine
    from signalbox.actors.phone_registry import Registry
    from signalbox.actors.phone_rows import PhoneRows
    from signalbox.domain.phone_rules import PhoneRules


class Admission:
    """Lets phones in. `end` ends a line whose phone seems to be gone."""

    def __init__(
        self,
        registry: Registry,
        rows: PhoneRows,
        rules_of: Callable[[str], PhoneRules],
        end: Callable[[HeldLine], None],
    ) -> None:
        self._registry = registry
        self._rows = rows
        self._rules_of = rules_of
        self._end = end
        self._arriving: defaultdict[str, list[str]] = defaultdict(list)

    @contextmanager
    def of(self, owner: str, phone_id: str, *, anonymous: bool) -> Iterator[Sequence[OnlineLine]]:
        """Keep a place for a phone while its line is made; say which lines others hold.

        An `anonymous` phone may have a line here already, from before its network failed, and
        nobody can tell which. So it gets the place of one that seems to be gone.

        Raises: `TooManyLines`, `Unavailable`.
        """
        others = self._rows.elsewhere([owner])
        leaving = None
        if self._is_full(owner, phone_id, others):
            leaving = self._registry.quiet(owner) if anonymous else None
            if leaving is None:
                raise TooManyLines(self._rules_of(owner).lines_max)
        arriving = self._arriving[owner]
        arriving.append(phone_id)
        try:
            if leaving is not None:
                self._end(leaving)
            yield others
        finally:
            arriving.remove(phone_id)
            if not arriving:
                del self._arriving[owner]

    def _is_full(self, owner: str, phone_id: str, others: Sequence[OnlineLine]) -> bool:
        phones = {line.phone_id for line in others}
        phones.update(held.phone_id for held in self._registry.own(owner))
        phones.update(self._arriving.get(owner, ()))
        return len(phones - {phone_id}) >= self._rules_of(owner).lines_max
