"""The section of the configuration file about callbacks; `signalbox.example.toml` explains it."""

from typing import Annotated

from msgspec import Meta

from signalbox.ops.sections import Count, Seconds, Section, require_networks


class Callbacks(Section, frozen=True):
    """Requests to the webhooks of owners: where they may go, how often, how long."""

    allowed_networks: tuple[str, ...] = ()
    connect_timeout_s: Annotated[float, Meta(gt=0, le=60)] = 5.0
    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 10.0
    tls_ca_file: str = ""
    age_s_max: Seconds = 86_400.0
    refusals_max: Count = 3
    failures_max: Count = 20
    in_flight_per_owner_max: Count = 4
    in_flight_max: Count = 64

    def __post_init__(self) -> None:
        require_networks("allowed_networks", self.allowed_networks)
