"""The section of the configuration file about mail; `signalbox.example.toml` explains it."""

from typing import Annotated, Literal

from msgspec import Meta

from signalbox.ops.sections import Count, Seconds, Section, WholeSeconds


class Mail(Section, frozen=True):
    """Mail for tenants, through their own SMTP accounts."""

    api_token: str = ""
    body_bytes_max: Count = 33_554_432
    sync_interval_s: WholeSeconds = 300
    report_format: Literal["reports", "delivery_report"] = "reports"
    retention_days: Count = 7
    retry_delays_s: tuple[Annotated[float, Meta(gt=0, le=604_800)], ...] = (
        60.0, 300.0, 900.0, 3_600.0, 7_200.0,
    )  # fmt: skip
    in_flight_max: Count = 100
    in_flight_per_account_max: Count = 10
    connect_timeout_s: Seconds = 10.0
    reply_timeout_s: Seconds = 30.0
    tls_ca_file: str = ""
    allowed_networks: tuple[str, ...] = ()
    attachment_root: str = ""
