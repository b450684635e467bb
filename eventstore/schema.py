"""Tables of the log and of the coordination around it, made and migrated at start.

`stored_events` is the event library's table, with text ids. Read models live in another schema
(`signalbox.projections`) and can be thrown away; what is here can't. Several processes may start at
once: an advisory lock lets one migrate while the others wait.
"""

from typing import Final, LiteralString

import psycopg

SCHEMA: Final = "signalbox"
MIGRATION_LOCK: Final = 7_305_801

MIGRATIONS: Final[tuple[LiteralString, ...]] = (
    """
    CREATE TABLE signalbox.stored_events (
        originator_id text NOT NULL,
        originator_version bigint NOT NULL,
        topic text NOT NULL,
        state bytea NOT NULL,
        notification_id bigserial NOT NULL,
        PRIMARY KEY (originator_id, originator_version)
    );
    CREATE UNIQUE INDEX stored_events_notification_id_idx
        ON signalbox.stored_events (notification_id);
    CREATE VIEW signalbox.log AS
        SELECT notification_id AS position, originator_id AS stream, originator_version AS version,
               topic, convert_from(state, 'UTF8')::json AS state
        FROM signalbox.stored_events;

    CREATE TABLE signalbox.inbox (
        seq bigserial PRIMARY KEY,
        actor_id text NOT NULL,
        kind text NOT NULL,
        stream_id text NOT NULL UNIQUE
    );
    CREATE INDEX inbox_actor_idx ON signalbox.inbox (actor_id, kind, seq);

    CREATE TABLE signalbox.leases (
        partition integer PRIMARY KEY,
        owner text NOT NULL,
        epoch bigint NOT NULL,
        expires_at timestamptz NOT NULL
    );
    CREATE TABLE signalbox.processes (
        id text PRIMARY KEY,
        kind text NOT NULL,
        host text NOT NULL,
        pid integer NOT NULL,
        started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        expires_at timestamptz NOT NULL
    );

    CREATE TABLE signalbox.submitted_parts (
        account text NOT NULL,
        smsc_key text NOT NULL,
        stream_id text NOT NULL,
        part integer NOT NULL,
        recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
    );
    CREATE INDEX submitted_parts_key_idx ON signalbox.submitted_parts (account, smsc_key);
    CREATE INDEX submitted_parts_age_idx
        ON signalbox.submitted_parts USING brin (recorded_at);

    CREATE TABLE signalbox.tenant_keys (
        tenant_id text PRIMARY KEY,
        wrapped_key bytea,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        destroyed_at timestamptz
    );
    CREATE TABLE signalbox.dead_letters (
        id bigserial PRIMARY KEY,
        reader text NOT NULL,
        subject text NOT NULL,
        error text NOT NULL,
        recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        UNIQUE (reader, subject)
    );
    CREATE TABLE signalbox.login_failures (
        key text PRIMARY KEY,
        failures integer NOT NULL,
        window_ends_at timestamptz NOT NULL
    );
    CREATE FUNCTION signalbox.require(fact boolean, code text) RETURNS void
        LANGUAGE plpgsql AS $$
        BEGIN
            IF fact IS NOT TRUE THEN
                RAISE EXCEPTION 'refused: %', code USING ERRCODE = code;
            END IF;
        END $$;
    CREATE SEQUENCE signalbox.task_ids INCREMENT 1000;
    CREATE SEQUENCE signalbox.user_ids;
    CREATE SEQUENCE signalbox.app_ids;
    """,
    """
    CREATE UNLOGGED TABLE signalbox.link_loads (
        link_id integer PRIMARY KEY,
        bound boolean NOT NULL,
        wait_s double precision NOT NULL,
        rate_per_s double precision NOT NULL,
        free_parts integer NOT NULL,
        seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
    );
    """,
    """
    CREATE UNLOGGED TABLE signalbox.rate_buckets (
        key text PRIMARY KEY,
        tokens double precision NOT NULL,
        granted double precision NOT NULL,
        updated_at timestamptz NOT NULL
    );
    """,
    # Logged, unlike the tables above: after a crash of the server these rows are all that tells
    # which phones were connected, and so which are offline now.
    """
    CREATE TABLE signalbox.phone_lines (
        phone_id text NOT NULL,
        connection bigint NOT NULL,
        owner text NOT NULL,
        process text NOT NULL,
        anonymous boolean NOT NULL DEFAULT false,
        sims json,
        seen_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        PRIMARY KEY (phone_id, connection)
    ) WITH (fillfactor = 50);
    CREATE INDEX phone_lines_owner_idx ON signalbox.phone_lines (owner);
    """,
    """
    CREATE TABLE signalbox.trusted_sources (
        key text PRIMARY KEY,
        trusted_until timestamptz NOT NULL
    );
    """,
    """
    CREATE TABLE signalbox.cursors (
        name text PRIMARY KEY,
        position bigint NOT NULL
    );
    CREATE INDEX inbox_callbacks_idx ON signalbox.inbox (actor_id, seq) WHERE kind = 'callback';
    """,
    """
    ALTER TABLE signalbox.inbox ADD COLUMN due_s double precision NOT NULL DEFAULT 0;
    CREATE INDEX inbox_tenants_idx ON signalbox.inbox (actor_id, seq)
        WHERE actor_id LIKE 'tenant-%';
    CREATE INDEX inbox_due_idx ON signalbox.inbox (actor_id, kind, due_s) WHERE due_s > 0;
    """,
)


def migrate(connection: psycopg.Connection[object]) -> None:
    """Bring the schema to the newest version; a no-op when it is there already."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (MIGRATION_LOCK,))
        connection.execute("CREATE SCHEMA IF NOT EXISTS signalbox")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS signalbox.schema_versions ("
            " version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        row = connection.cursor(row_factory=psycopg.rows.tuple_row).execute(
            "SELECT coalesce(max(version), 0) FROM signalbox.schema_versions"
        )
        (current,) = row.fetchone() or (0,)
        for version, statements in enumerate(MIGRATIONS[current:], start=current + 1):
            connection.execute(statements, prepare=False)
            connection.execute(
                "INSERT INTO signalbox.schema_versions (version) VALUES (%s)", (version,)
            )
