"""Read model `campaigns`: what became of the messages of each campaign, per link.

It counts messages (see `outcomes`), not parts, and none before its outcome is decided; a campaign
is there from its first decided message on. Most messages may have a campaign of their own, so a
batch is one statement, and nothing here ever goes through the whole table: the list follows an
index, the busiest are in an index of those with more than one message, the number of campaigns is
counted as they are born.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, LiteralString

if TYPE_CHECKING:
    from collections.abc import Iterable

    from signalbox.projections.outcomes import Outcome, Settled
    from signalbox.projections.projection import Cursor

_Key = tuple[int, int, str]

OFFSET_MAX: Final = 1_000_000  # an index entry each; further back a page would take seconds

TABLES: Final[LiteralString] = """
    CREATE TABLE campaigns (
        app_id bigint NOT NULL,
        link_id integer NOT NULL,
        campaign text COLLATE "C" NOT NULL,
        sent bigint NOT NULL,
        failed bigint NOT NULL,
        partial bigint NOT NULL,
        changed_at_s double precision NOT NULL,
        PRIMARY KEY (campaign, app_id, link_id)
    ) WITH (fillfactor = 90);
    CREATE INDEX campaigns_by_change ON campaigns (changed_at_s DESC, campaign, app_id, link_id);
    CREATE INDEX campaigns_by_size ON campaigns ((sent + failed) DESC, campaign, app_id, link_id)
        WHERE sent + failed > 1;
    CREATE TABLE campaigns_count (
        id integer PRIMARY KEY,
        total bigint NOT NULL
    );
"""
# All of one statement sees the tables as they were before it: `known` are the older campaigns.
_ADD: Final[LiteralString] = """
    WITH change AS (
        SELECT * FROM unnest(
            %b::bigint[], %b::int[], %b::text[], %b::bigint[], %b::bigint[], %b::bigint[],
            %b::float8[]
        ) AS n (app_id, link_id, campaign, sent, failed, partial, changed_at_s)
    ), added AS (
        INSERT INTO campaigns AS c
            (app_id, link_id, campaign, sent, failed, partial, changed_at_s)
        SELECT * FROM change
        ON CONFLICT (campaign, app_id, link_id) DO UPDATE
        SET sent = c.sent + EXCLUDED.sent, failed = c.failed + EXCLUDED.failed,
            partial = c.partial + EXCLUDED.partial,
            changed_at_s = greatest(c.changed_at_s, EXCLUDED.changed_at_s)
    )
    INSERT INTO campaigns_count AS total (id, total)
    SELECT 1, count(*) FROM change WHERE NOT EXISTS (
        SELECT FROM campaigns AS known
        WHERE known.campaign = change.campaign AND known.app_id = change.app_id
          AND known.link_id = change.link_id
    )
    ON CONFLICT (id) DO UPDATE SET total = total.total + EXCLUDED.total
"""
_PAGE: Final[LiteralString] = """
    SELECT app_id, link_id, campaign, sent, failed, partial
    FROM (
        SELECT campaign, app_id, link_id FROM campaigns
        ORDER BY changed_at_s DESC, campaign, app_id, link_id OFFSET %s LIMIT %s
    ) AS page JOIN campaigns USING (campaign, app_id, link_id)
    ORDER BY changed_at_s DESC, campaign, app_id, link_id
"""
_BIGGEST: Final[LiteralString] = """
    SELECT app_id, link_id, campaign, sent, failed, partial FROM campaigns
    WHERE sent + failed > 1 ORDER BY sent + failed DESC, campaign, app_id, link_id LIMIT %s
"""
_NEWEST_SINGLE: Final[LiteralString] = """
    SELECT app_id, link_id, campaign, sent, failed, partial FROM campaigns
    WHERE sent + failed = 1 ORDER BY changed_at_s DESC, campaign, app_id, link_id LIMIT %s
"""


class TooFarBackError(Exception):
    """The page begins beyond `OFFSET_MAX` campaigns."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """What became of an application's messages over one link; `total` leaves out the partial."""

    app_id: int
    link_id: int
    name: str
    sent: int
    failed: int
    partial: int

    @property
    def total(self) -> int:
        """The messages of which all parts had the same outcome."""
        return self.sent + self.failed


@dataclass(frozen=True, slots=True)
class Campaigns:
    """Some campaigns, and how many there are."""

    rows: tuple[Campaign, ...] = ()
    total: int = 0


def count(cursor: Cursor, settled: Iterable[Settled]) -> None:
    """Count messages under their outcome, and no longer under the one they had before."""
    counts: defaultdict[_Key, Counter[Outcome | None]] = defaultdict(Counter)
    changed_at_s: dict[_Key, float] = {}
    for one in settled:
        key = (one.app_id, one.link_id, one.campaign)
        counts[key][one.outcome] += 1
        counts[key][one.before] -= 1
        changed_at_s[key] = max(one.at_s, changed_at_s.get(key, 0.0))
    rows = [
        (*key, of["sent"], of["failed"], of["partial"], changed_at_s[key])
        for key, of in counts.items()
    ]
    cursor.execute(_ADD, [list(column) for column in zip(*rows, strict=True)])


def find_page(cursor: Cursor, offset: int, limit: int) -> Campaigns:
    """Return campaigns, those that changed last first. Raises: `TooFarBackError`."""
    row = cursor.execute("SELECT total FROM campaigns_count").fetchone()
    total = row[0] if row else 0
    if offset >= total:
        return Campaigns((), total)
    if offset > OFFSET_MAX:
        raise TooFarBackError(offset)
    return Campaigns(_read(cursor.execute(_PAGE, (offset, limit))), total)


def find_top(cursor: Cursor, limit: int) -> tuple[Campaign, ...]:
    """Return the campaigns with the most messages; of those with a single one, the newest."""
    biggest = _read(cursor.execute(_BIGGEST, (limit,)))
    if len(biggest) == limit:
        return biggest
    return biggest + _read(cursor.execute(_NEWEST_SINGLE, (limit - len(biggest),)))


def _read(rows: Iterable[tuple[int, int, str, int, int, int]]) -> tuple[Campaign, ...]:
    return tuple(Campaign(*row) for row in rows)
