"""How a dispatcher asks a tenant's inbox; each query takes as long as what it returns.

`KINDS` steps from one kind of row to the next. `STATE` tells the newest row, and when the next one
is due that waits for its time. `PAGE` returns rows of some kinds behind others, and what is due,
with their streams, up to so many octets. `HELD` returns all that waits by some kinds, likewise.
"""

from typing import Final

KINDS: Final = """
    WITH RECURSIVE known AS (
        (SELECT kind FROM signalbox.inbox WHERE actor_id = %(actor)s ORDER BY kind LIMIT 1)
        UNION ALL
        SELECT (SELECT i.kind FROM signalbox.inbox AS i
                WHERE i.actor_id = %(actor)s AND i.kind > k.kind ORDER BY i.kind LIMIT 1)
        FROM known AS k WHERE k.kind IS NOT NULL)
    SELECT kind FROM known WHERE kind IS NOT NULL
"""
STATE: Final = """
    SELECT (SELECT max(seq) FROM signalbox.inbox
            WHERE actor_id = %(actor)s AND actor_id LIKE 'tenant-%%') AS newest,
           (SELECT min(d.due_s) FROM unnest(%(later)s::text[]) AS w (kind)
            CROSS JOIN LATERAL (
                SELECT i.due_s FROM signalbox.inbox AS i
                WHERE i.actor_id = %(actor)s AND i.kind = w.kind
                  AND i.due_s > 0 AND i.due_s > %(now)s
                ORDER BY i.due_s LIMIT 1) AS d) AS due_s
"""
PAGE: Final = """
    WITH wanted AS (
        SELECT i.seq, i.kind, i.stream_id, w.rank
        FROM unnest(%(kinds)s::text[], %(afters)s::bigint[], %(ranks)s::int[])
             AS w (kind, after, rank)
        CROSS JOIN LATERAL (
            SELECT seq, kind, stream_id FROM signalbox.inbox
            WHERE actor_id = %(actor)s AND kind = w.kind AND seq > w.after
            ORDER BY seq LIMIT %(limit)s) AS i
        UNION ALL
        SELECT i.seq, i.kind, i.stream_id, 1
        FROM unnest(%(due)s::text[]) AS w (kind)
        CROSS JOIN LATERAL (
            SELECT seq, kind, stream_id FROM signalbox.inbox
            WHERE actor_id = %(actor)s AND kind = w.kind AND due_s > 0 AND due_s <= %(now)s
              AND stream_id <> ALL(%(but)s)
            ORDER BY due_s LIMIT %(limit)s) AS i),
    sized AS (
        SELECT w.*, s.octets, count(*) OVER (PARTITION BY w.kind) AS found,
               sum(s.octets) OVER (ORDER BY w.rank, w.seq) AS upto
        FROM wanted AS w CROSS JOIN LATERAL (
            SELECT coalesce(sum(octet_length(state)), 0) AS octets
            FROM signalbox.stored_events WHERE originator_id = w.stream_id) AS s)
    SELECT s.seq, s.kind, s.stream_id, s.octets, s.found,
           e.originator_version AS version, e.topic, e.state
    FROM sized AS s LEFT JOIN signalbox.stored_events AS e ON e.originator_id = s.stream_id
    WHERE s.upto - s.octets < %(octets)s
    ORDER BY s.rank, s.seq, e.originator_version
"""
HELD: Final = """
    WITH wanted AS (
          SELECT i.seq, i.kind, i.stream_id
          FROM unnest(%(kinds)s::text[]) AS w (kind)
          CROSS JOIN LATERAL (
              SELECT seq, kind, stream_id FROM signalbox.inbox
              WHERE actor_id = %(actor)s AND kind = w.kind AND seq > %(after)s
              ORDER BY seq LIMIT %(limit)s) AS i
          ORDER BY i.seq LIMIT %(limit)s),
    sized AS (
        SELECT w.*, s.octets, sum(s.octets) OVER (ORDER BY w.seq) AS upto
        FROM wanted AS w CROSS JOIN LATERAL (
            SELECT coalesce(sum(octet_length(state)), 0) AS octets
            FROM signalbox.stored_events WHERE originator_id = w.stream_id) AS s)
    SELECT s.seq, s.kind, s.stream_id, s.octets, 0 AS found,
           e.originator_version AS version, e.topic, e.state
    FROM sized AS s LEFT JOIN signalbox.stored_events AS e ON e.originator_id = s.stream_id
    WHERE s.upto - s.octets < %(octets)s
    ORDER BY s.seq, e.originator_version
"""
