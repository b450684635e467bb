"""Every metric of the gateway in one table: name, help, labels.

All processes of one machine share a folder (PROMETHEUS_MULTIPROC_DIR), so that `/metrics` of the
web process shows the whole gateway. Labels are link numbers, routes and the like: never an address.
"""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

ACCEPTED: Final = Counter("signalbox_messages_accepted", "Messages accepted over HTTP", ["link"])
REJECTED: Final = Counter("signalbox_rejected", "Messages a content filter refused", ["filter"])
SUBMITTED: Final = Counter("signalbox_parts_submitted", "Parts the SMSC accepted", ["link"])
FAILED: Final = Counter("signalbox_parts_failed", "Parts that failed for good", ["link"])
REFUSED: Final = Counter(
    "signalbox_submits_refused", "Error answers to submit_sm", ["link", "command_status"]
)
IN_DOUBT: Final = Counter("signalbox_submits_in_doubt", "Submits without an outcome", ["link"])
REROUTED: Final = Counter(
    "signalbox_messages_rerouted", "Messages that went over to another link of a pool", ["reason"]
)
RECEIPTS: Final = Counter("signalbox_receipts", "Receipts recorded", ["link", "status"])
RECEIPTS_PARKED: Final = Counter(
    "signalbox_receipts_unmatched", "Receipts that matched no part when they came", ["link"]
)
MO: Final = Counter("signalbox_mo_parts", "Parts of messages from handsets", ["link"])
STRAY_PDUS: Final = Counter(
    "signalbox_stray_pdus", "PDUs nobody waited for, and PDUs that can't be read", ["link", "kind"]
)
WINDOW: Final = Gauge(
    "signalbox_window_in_use", "Submits waiting for their answer", ["link"],
    multiprocess_mode="livesum",
)  # fmt: skip
BOUND: Final = Gauge(
    "signalbox_link_bound", "1 while the link is bound", ["link"], multiprocess_mode="livemax"
)
JOURNAL_BATCH: Final = Histogram(
    "signalbox_journal_batch_events", "Events per transaction",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
)  # fmt: skip
JOURNAL_COMMIT: Final = Histogram(
    "signalbox_journal_commit_seconds", "From the start of a transaction to its commit",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)  # fmt: skip
JOURNAL_TROUBLE: Final = Counter(
    "signalbox_journal_failures", "Transactions that had to be tried again", ["kind"]
)
PROJECTOR_LAG: Final = Gauge(
    "signalbox_projector_lag_seconds", "Age of the oldest event that is not projected yet",
    multiprocess_mode="livemax",
)  # fmt: skip
PROJECTED: Final = Counter("signalbox_events_projected", "Events the projector has taken")
CALLBACKS: Final = Counter(
    "signalbox_callbacks", "Callbacks that were queued, and what became of them", ["outcome"]
)
DEAD_LETTERS: Final = Counter(
    "signalbox_dead_letters", "Events and commands that were set aside", ["reader"]
)
ACTOR_RESTARTS: Final = Counter(
    "signalbox_actor_restarts", "Actors rebuilt from their stream", ["actor"]
)
REQUESTS: Final = Histogram(
    "signalbox_http_request_seconds", "From the request's headers to its answer",
    ["route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)  # fmt: skip
PHONE_LINES: Final = Gauge(
    "signalbox_phone_lines", "Phones that are connected", multiprocess_mode="livesum"
)
PHONE_PUSHES: Final = Counter(
    "signalbox_phone_pushes", "Messages handed to phones, for the first time or again", ["attempt"]
)
WEBSOCKETS_OPEN: Final = Gauge(
    "signalbox_websockets_open", "WebSockets that are open", multiprocess_mode="livesum"
)
WEBSOCKET_CLOSES: Final = Counter(
    "signalbox_websocket_closes", "WebSockets that were closed; 1006: without a close",
    ["route", "code"],
)  # fmt: skip
ORGS_LOCKED: Final = Counter(
    "signalbox_orgs_locked", "Organisations locked because secrets were being guessed"
)
LIMITED: Final = Counter(
    "signalbox_requests_limited", "Requests and connections that were too many", ["level"]
)
LEASES: Final = Gauge(
    "signalbox_leases_held", "Partitions this machine's relays act for",
    multiprocess_mode="livesum",
)  # fmt: skip
EXPORTED: Final = Gauge(
    "signalbox_statistics_exported_timestamp_seconds", "When statistics were last exported",
    multiprocess_mode="max",
)  # fmt: skip
EXPORT_FAILURES: Final = Counter(
    "signalbox_statistics_export_failures", "Exports of statistics that failed"
)
SPANS_DROPPED: Final = Counter(
    "signalbox_spans_dropped", "Spans that did not reach the collector", ["reason"]
)
WARMUP_TARGET: Final = Gauge(
    "signalbox_warmup_target", "Recipients an address may send to today", ["ip", "grouping"],
    multiprocess_mode="mostrecent",
)  # fmt: skip
WARMUP_USED: Final = Gauge(
    "signalbox_warmup_used", "Recipients of it that are taken", ["ip", "grouping"],
    multiprocess_mode="mostrecent",
)  # fmt: skip
WARMUP_DELIVERED: Final = Gauge(
    "signalbox_warmup_delivered", "Recipients of it that got their mail", ["ip", "grouping"],
    multiprocess_mode="mostrecent",
)  # fmt: skip
WARMUP_DENIED: Final = Counter(
    "signalbox_warmup_denials", "Mail that had to wait for its address to warm up", ["reason"]
)
MAIL_SYNCS: Final = Counter(
    "signalbox_mail_syncs", "Calls to the servers of mail tenants", ["outcome"]
)
# Mail: named and labelled as the clients' dashboards expect them.
MAIL_LABELS: Final = ("tenant_id", "tenant_name", "account_id", "account_name")
MAIL_SENT: Final = Counter("gmp_sent", "Total sent emails", MAIL_LABELS)
MAIL_ERRORS: Final = Counter("gmp_errors", "Total send errors", MAIL_LABELS)
MAIL_DEFERRED: Final = Counter("gmp_deferred", "Total deferred emails", MAIL_LABELS)
MAIL_RATE_LIMITED: Final = Counter(
    "gmp_rate_limited", "Total rate limited occurrences", MAIL_LABELS
)
MAIL_PENDING: Final = Gauge(
    "gmp_pending_messages", "Current pending messages", multiprocess_mode="mostrecent"
)
MAIL_IN_DOUBT: Final = Counter(
    "signalbox_mails_in_doubt", "Attempts of which nobody knows whether they sent the mail",
    ["resolution"],
)  # fmt: skip
MAIL_BOUNCES: Final = Counter(
    "signalbox_mail_bounces", "Messages that the mailbox of bounces had", ["kind"]
)
PEC_RECEIPTS: Final = Counter(
    "signalbox_pec_receipts", "Receipts of certified mail that were read", ["kind"]
)
