"""What is in a mail, as its sender gave it: addresses, text, headers, attachments.

All of it is personal: it is stored as one sealed text, and the read models never see it. What
becomes of it on the wire is the transport's business.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

FetchMode = Literal["", "endpoint", "http_url", "base64", "filesystem"]
"""Where an attachment comes from; empty: what its path looks like."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentAuth:
    """What the host of an attachment wants to see; `method` is "bearer", "basic" or nothing."""

    method: str = ""
    token: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file that goes with a mail; `storage_path` holds where it is, or all of it in Base64."""

    filename: str
    storage_path: str
    mime_type: str = ""
    fetch_mode: FetchMode = ""
    content_md5: str = ""
    auth: AttachmentAuth | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MailContent:
    """A mail; an entry of `to`, `cc` and `bcc` may be several addresses with commas between.

    `texts` names those of the three that came as one text. `return_path` is the envelope's sender;
    empty: the address of `sender`. `message_id` empty: one is made. Only the exact `content_type`
    "html" makes it text/html. `headers` replace those of their names; None is left out. It is not
    to leave before `not_before_s` (Unix; 0: at once).
    """

    sender: str
    to: tuple[str, ...]
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    reply_to: str = ""
    return_path: str = ""
    message_id: str = ""
    subject: str = ""
    body: str = ""
    content_type: str = "plain"
    headers: Mapping[str, object] = field(default_factory=dict)
    attachments: tuple[Attachment, ...] = ()
    not_before_s: int = 0

    @property
    def address_characters(self) -> int:
        """How long all addresses are together, with one character between two."""
        alone = (self.sender, self.reply_to, self.return_path)
        return sum(len(entry) + 1 for entry in (*alone, *self.to, *self.cc, *self.bcc))
