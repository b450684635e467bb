"""The section of the configuration file about mail; `signalbox.example.toml` explains it."""

from typing import Annotated, Final, Literal

from msgspec import Meta

from signalbox.ops.sections import (
    Count,
    CountOrNone,
    Seconds,
    Section,
    WholeSeconds,
    require_networks,
)

S3_ENDPOINT: Final = r"^(https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?)?$"


class Mail(Section, frozen=True):
    """Mail for tenants, through their own SMTP accounts."""

    api_token: str = ""
    body_bytes_max: Count = 33_554_432
    address_characters_max: Count = 262_144
    sync_interval_s: WholeSeconds = 300
    sync_timeout_s: Seconds = 30.0
    sync_calls_max: Count = 128
    sync_answer_octets_max: Count = 1_048_576
    report_format: Literal["reports", "delivery_report"] = "reports"
    retention_days: Count = 7
    retry_delays_s: tuple[Annotated[float, Meta(gt=0, le=604_800)], ...] = (
        60.0, 300.0, 900.0, 3_600.0, 7_200.0,
    )  # fmt: skip
    in_flight_max: Count = 100
    in_flight_per_account_max: Count = 10
    connect_timeout_s: Seconds = 10.0
    reply_timeout_s: Seconds = 30.0
    content_timeout_s: Seconds = 120.0
    accept_timeout_s: Seconds = 300.0
    idle_connection_s: Seconds = 30.0
    idle_connections_max: Count = 200
    mail_servers_inside: bool = True
    our_name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9.:\[\]-]{0,255}$")] = ""
    tls_ca_file: str = ""
    allowed_networks: tuple[str, ...] = ()
    attachment_root: str = ""
    attachment_octets_max: Count = 26_214_400
    attachments_octets_max: Count = 52_428_800
    attachment_timeout_s: Seconds = 30.0
    attachment_fetches_max: Count = 8
    cache_memory_octets_max: CountOrNone = 33_554_432
    cache_memory_ttl_s: Seconds = 300.0
    cache_folder: str = ""
    cache_folder_octets_max: CountOrNone = 536_870_912
    cache_folder_ttl_s: Seconds = 86_400.0
    large_files_root: str = ""
    s3_endpoint: Annotated[str, Meta(pattern=S3_ENDPOINT)] = ""
    s3_region: Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{1,64}$")] = "us-east-1"
    s3_access_key: str = ""
    s3_secret_key: str = ""
    bounce_rules: str = ""
    pec_poll_interval_s: Seconds = 60.0
    pec_acceptance_s: Seconds = 1_800.0

    def __post_init__(self) -> None:
        require_networks("allowed_networks", self.allowed_networks)
