"""Which lines there are: those this process holds, and its view of the others'.

Nobody waits in here, so whoever reads it sees one moment.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from typing import TYPE_CHECKING, Final

from signalbox.actors.phone_line import numbers_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from signalbox.actors.phone_line import HeldLine, LineKey, OnlineLine
    from signalbox.domain.phone import SimCard

NEWEST_MAX: Final = 20_000


class Registry:
    """Lines by phone and by owner."""

    def __init__(self) -> None:
        self._own: dict[str, HeldLine] = {}
        self._by_owner: defaultdict[str, dict[str, HeldLine]] = defaultdict(dict)
        self._others: dict[str, dict[LineKey, OnlineLine]] = {}
        self._newest: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._own)

    def add(self, held: HeldLine, others: Iterable[OnlineLine]) -> HeldLine | None:
        """Add a line of this process; return the one of its phone that counts no more, if any.

        That is the new one itself when a newer one is known. `others` are the lines of its owner
        in other processes, about whom nothing was known here before an owner's first line.
        """
        if self._newest.get(held.phone_id, 0) > held.connection:
            return held
        older = self._own.get(held.phone_id)
        self.note_newest(held.phone_id, held.connection)
        self._own[held.phone_id] = held
        if held.owner not in self._by_owner:
            self._others[held.owner] = {line.key: line for line in others}
        self._by_owner[held.owner][held.phone_id] = held
        return older

    def remove(self, held: HeldLine) -> None:
        """Forget a line of this process, unless its phone has another one here."""
        if self._own.get(held.phone_id) is not held:
            return
        del self._own[held.phone_id]
        own = self._by_owner[held.owner]
        del own[held.phone_id]
        if not own:
            del self._by_owner[held.owner]
            self._others.pop(held.owner, None)

    def note_newest(self, phone_id: str, connection: int) -> None:
        """A phone has a connection, here or elsewhere."""
        self._newest[phone_id] = max(connection, self._newest.get(phone_id, 0))
        self._newest.move_to_end(phone_id)
        if len(self._newest) > NEWEST_MAX:
            self._newest.popitem(last=False)

    def line(self, phone_id: str, connection: int | None = None) -> HeldLine | None:
        """Return a phone's line of this process, if it is this connection or any will do."""
        held = self._own.get(phone_id)
        is_meant = held is not None and connection in {None, held.connection}
        return held if is_meant else None

    def own(self, owner: str | None = None) -> list[HeldLine]:
        """Return the lines of this process, an owner's or all."""
        if owner is None:
            return list(self._own.values())
        return list(self._by_owner[owner].values()) if owner in self._by_owner else []

    def owners(self) -> list[str]:
        """Return whose lines this process holds."""
        return list(self._by_owner)

    def others(self, owner: str) -> Sequence[OnlineLine]:
        """Return the lines of other processes, of an owner who has one here."""
        return list(self._others.get(owner, {}).values())

    def see(self, line: OnlineLine) -> bool:
        """Note a line of another process, if it matters here; tell whether it does."""
        if line.owner not in self._by_owner:
            return False
        others = self._others.setdefault(line.owner, {})
        for key in [key for key in others if key[0] == line.phone_id and key[1] < line.connection]:
            del others[key]
        others[line.key] = line
        return True

    def unsee(self, owner: str, key: LineKey) -> bool:
        """Forget a line of another process; tell whether it was known."""
        return self._others.get(owner, {}).pop(key, None) is not None

    def see_all(self, owners: Iterable[str], lines: Iterable[OnlineLine]) -> set[str]:
        """Take these for all lines of owners elsewhere; return the owners for whom that is news."""
        seen: defaultdict[str, dict[LineKey, OnlineLine]] = defaultdict(dict)
        for line in lines:
            if line.owner in self._by_owner:
                seen[line.owner][line.key] = line
        before = {owner: self._others.pop(owner, {}) for owner in owners}
        self._others.update(seen)
        return {owner for owner in before if _shape(before[owner]) != _shape(seen.get(owner, {}))}

    def quiet(self, owner: str) -> HeldLine | None:
        """Return an anonymous line of this process whose phone seems to be gone, if any."""
        own = self.own(owner)
        return next((held for held in own if held.anonymous and held.line.is_quiet), None)

    def same_phones(self, owner: str, newer: LineKey, sims: Sequence[SimCard]) -> list[HeldLine]:
        """Return anonymous lines of this process that a newer one shows to be of its phone."""
        numbers = numbers_of(sims)
        return [
            held
            for held in self.own(owner)
            if held.anonymous and held.connection < newer[1] and held.phone_id != newer[0]
            and numbers and numbers_of(held.sims) == numbers
        ]  # fmt: skip

    def is_outdated(self, held: HeldLine) -> bool:
        """Tell whether a newer line has the very SIMs of an anonymous one."""
        numbers = numbers_of(held.sims)
        if not (held.anonymous and numbers):
            return False
        lines: list[HeldLine | OnlineLine] = [*self.own(held.owner), *self.others(held.owner)]
        return any(
            numbers_of(one.sims) == numbers and one.connection > held.connection
            for one in lines
            if one.phone_id != held.phone_id
        )


def _shape(lines: dict[LineKey, OnlineLine]) -> set[tuple[LineKey, tuple[SimCard, ...] | None]]:
    return {(key, line.sims) for key, line in lines.items()}
