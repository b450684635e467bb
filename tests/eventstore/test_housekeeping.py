"""Old rows beside the log go, young ones stay."""

from signalbox.eventstore import housekeeping
from signalbox.eventstore.log import EventLog


def test_ids_of_parts_go_when_they_are_old(event_log: EventLog) -> None:
    with event_log.pool.connection() as connection:
        connection.execute(
            "INSERT INTO signalbox.submitted_parts"
            " SELECT 'smsc', n::text, 'message-1', n, clock_timestamp() - make_interval(days => n)"
            " FROM generate_series(1, 20) AS n"
        )
    assert housekeeping.forget_parts(event_log.pool, 7.5) == 13
    assert housekeeping.forget_parts(event_log.pool, 7.5) == 0
    with event_log.pool.connection() as connection:
        rows = connection.execute("SELECT part FROM signalbox.submitted_parts").fetchall()
    assert sorted(row["part"] for row in rows) == list(range(1, 8))


def test_many_rows_go_in_several_transactions(event_log: EventLog) -> None:
    with event_log.pool.connection() as connection:
        connection.execute(
            "INSERT INTO signalbox.submitted_parts"
            " SELECT 'smsc', n::text, 'message-1', n, clock_timestamp() - interval '8 days'"
            " FROM generate_series(1, 25000) AS n"
        )
    assert housekeeping.forget_parts(event_log.pool, 7) == 25_000
