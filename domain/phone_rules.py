"""How the messages and phones of one kind of owner are served: a surface's promises in numbers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneRules:
    """Times in seconds; `rate_per_s` and `burst` hold for each SIM of each phone.

    `numbered` owners know their messages by numbers from 1. `first_connected`: the phone that is
    connected longest sends, whoever it was that the recipient last spoke with. `window` messages
    may wait for a phone's word at a time.
    """

    ttl_s: float
    pending_max: int
    numbered: bool = False
    first_connected: bool = False
    lines_max: int = 50
    window: int = 10
    rate_per_s: float = 1.0
    burst: int = 20
    repush_s: float = 30.0
    attempts_max: int = 3
    idempotency_window_s: float = 86_400.0
