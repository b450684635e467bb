"""What is looked for in mails that came back without saying so in a standard way.

    a mail from one of `senders`, or with one of `subjects` ──▶ a bounce
    one of its `reasons` in the text ──▶ hard or soft, and a code; else the first number in it

Phrases are looked for as they are, whatever their case: no pattern can take for ever.
"""

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """A phrase in the text of a bounce, and what it means; `code` is three digits, or none."""

    phrase: str
    kind: Literal["hard", "soft"]
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BounceRules:
    """`senders` are local parts of addresses; `ignored` are subjects of what is no bounce."""

    senders: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()


DEFAULT_RULES: Final = BounceRules(
    senders=("mailer-daemon", "postmaster"),
    subjects=(
        "undelivered mail",
        "undeliverable",
        "delivery status notification",
        "delivery failure",
        "delivery failed",
        "mail delivery failed",
        "failure notice",
        "returned mail",
        "warning: message delayed",
        "delivery delayed",
        "mancata consegna",
        "unzustellbar",
        "non remis",
    ),
    ignored=("out of office", "automatic reply", "autoreply", "abwesenheit", "fuori ufficio"),
    reasons=(
        Reason(phrase="mailbox full", kind="soft", code="452"),
        Reason(phrase="over quota", kind="soft", code="452"),
        Reason(phrase="quota exceeded", kind="soft", code="452"),
        Reason(phrase="will be retried", kind="soft"),
        Reason(phrase="will keep trying", kind="soft"),
        Reason(phrase="has not yet been delivered", kind="soft"),
        Reason(phrase="delayed", kind="soft"),
        Reason(phrase="try again later", kind="soft"),
        Reason(phrase="user unknown", kind="hard", code="550"),
        Reason(phrase="no such user", kind="hard", code="550"),
        Reason(phrase="no mailbox here by that name", kind="hard", code="550"),
        Reason(phrase="address rejected", kind="hard", code="550"),
        Reason(phrase="host not found", kind="hard", code="550"),
        Reason(phrase="couldn't find any host", kind="hard", code="550"),
    ),
)
