"""Mails that came back: which mail it was, whether for good, and why (RFC 3461 to 3464, 6533).

    octets ──▶ multipart/report: status, action, diagnostic code ──▶ Bounce
          └──▶ anything else: what the rules know of it          ──▶ Bounce, or nothing

The mail is told by what we put into it: `X-Signalbox-Mail-ID` is our key of it and can't be
guessed, `X-Genro-Mail-ID` its client's. They are in the headers that came back with it, or in its
text. Of several recipients the worst counts.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from email.utils import getaddresses
from typing import Final, Literal

from signalbox.domain.bounce_rules import DEFAULT_RULES, BounceRules

REASON_CHARACTERS_MAX: Final = 500
HEADER_CHARACTERS_MAX: Final = 4_096
TEXT_CHARACTERS_MAX: Final = 65_536  # looked at in each part
PARTS_MAX: Final = 100
STATUS_TYPES: Final = frozenset(
    {"message/delivery-status", "text/delivery-status", "message/global-delivery-status"}
)
ADDRESSEES: Final = ("Delivered-To", "X-Original-To", "Envelope-To", "To")
FAILED: Final = "failed"
DELAYED: Final = "delayed"

_PK: Final = re.compile(r"[A-Za-z0-9_-]{22}")
_OUR_HEADER: Final = re.compile(
    r"^[> \t]*X-Signalbox-Mail-ID:[ \t]*(\S{1,64})", re.IGNORECASE | re.MULTILINE
)
_CLIENT_HEADER: Final = re.compile(
    r"^[> \t]*X-Genro-Mail-ID:[ \t]*([^\r\n]{1,600})", re.IGNORECASE | re.MULTILINE
)
_MESSAGE_ID: Final = re.compile(r"<([A-Za-z0-9_-]{22})@[^<>\s]{1,255}>")
_TOKEN: Final = re.compile(r"([A-Za-z0-9_-]{22})@")
_STATUS: Final = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b", re.ASCII)
_REPLY_CODE: Final = re.compile(r"(?<![\d.])([45]\d\d)(?![\d.])", re.ASCII)
_SPACES: Final = re.compile(r"\s+")
_FIELD: Final = re.compile(r"^([A-Za-z-]{1,40}):[ \t]*(.*(?:\n[ \t].*)*)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Origin:
    """What tells the mail that something is about; "" where nothing does.

    `pk` is ours, `client_id` its client's, `guess` what stands where our key may be: before the @
    of where it came back to, or of the Message-ID that we make where a client gave none.
    """

    pk: str = ""
    client_id: str = ""
    guess: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounce:
    """A mail came back, for good (hard) or for now (soft); `code` are digits: 511 of 5.1.1."""

    origin: Origin
    kind: Literal["hard", "soft"]
    code: str
    reason: str
    recipient: str = ""


@dataclass(frozen=True, slots=True)
class _Report:
    """What a report says of one recipient."""

    action: str
    status: str
    diagnostic: str
    recipient: str

    @property
    def is_bounce(self) -> bool:
        return self.action in {FAILED, DELAYED} or (
            not self.action and self.status[:1] in {"4", "5"}
        )

    @property
    def kind(self) -> Literal["hard", "soft"]:
        """What is only late is soft, and so is what failed for reasons that pass."""
        if self.action == DELAYED:
            return "soft"
        return "soft" if self.status.startswith("4") else "hard"


def read(raw: bytes, rules: BounceRules = DEFAULT_RULES) -> Bounce | None:
    """Return what a mail tells of one that came back, None if it is about something else."""
    message = parse(raw)
    reports = [one for part in _parts(message) for one in _reports(part)]
    bounces = [one for one in reports if one.is_bounce]
    if bounces:
        return _bounce(message, max(bounces, key=_weight))
    if reports or not _is_bounce(message, rules):  # A report of success, or no report.
        return None
    return _guessed(message, rules)


def parse(raw: bytes) -> Message:
    """Return a mail taken apart; the parser takes whatever there is for one."""
    return BytesParser(policy=compat32).parsebytes(raw)


def text_of(message: Message, name: str) -> str:
    """Return a header's text, decoded as far as it can be."""
    value = message.get(name, "")
    value = value[:HEADER_CHARACTERS_MAX] if isinstance(value, str) else value
    try:
        return str(make_header(decode_header(value)))
    except (LookupError, MessageError, ValueError):
        return str(value)


def first_text(message: Message) -> str:
    """Return the beginning of the text that people are to read, on one line."""
    return _short(_first_text(message))


def guess_in(text: str) -> str:
    """Return what stands where our key would be in a Message-ID; "" where none could be ours."""
    found = _MESSAGE_ID.search(text)
    return found[1] if found else ""


def origin_of(message: Message) -> Origin:
    """Return what tells which mail a report or a receipt is about."""
    texts = [_content(part) for part in _parts(message)]
    for part in _parts(message):
        if pk := _plausible(text_of(part, "X-Signalbox-Mail-ID")):
            return Origin(pk=pk)
    for text in texts:
        for found in _OUR_HEADER.findall(text):
            if pk := _plausible(found):
                return Origin(pk=pk)
    return Origin(client_id=_client_id(message, texts), guess=_guess(message, texts))


def _client_id(message: Message, texts: list[str]) -> str:
    for part in _parts(message):
        if client_id := _plain(text_of(part, "X-Genro-Mail-ID")):
            return client_id
    found = [one for text in texts for one in _CLIENT_HEADER.findall(text)]
    return _plain(found[0]) if found else ""


def _guess(message: Message, texts: list[str]) -> str:
    """Return our key as it is in a return path of ours, or in a Message-ID that we made."""
    for name in ADDRESSEES:
        if found := _TOKEN.search(text_of(message, name)):
            return found[1]
    fields = [text_of(message, name) for name in ("In-Reply-To", "References")]
    inner = [text_of(part, "Message-ID") for part in list(_parts(message))[1:]]
    return next(filter(None, map(guess_in, (*fields, *inner, *texts))), "")


def _plausible(text: str) -> str:
    found = _PK.fullmatch(text.strip())
    return found[0] if found else ""


def _parts(message: Message) -> Iterator[Message]:
    for number, part in enumerate(message.walk()):
        if number >= PARTS_MAX:
            return
        yield part


def _reports(part: Message) -> Iterator[_Report]:
    """Yield what a part says of each recipient; the parser makes a message of each group."""
    if part.get_content_type() not in STATUS_TYPES:
        return
    payload = part.get_payload()
    if isinstance(payload, list):
        found = [one for one in payload if isinstance(one, Message)]
        groups = [{name.lower(): str(value) for name, value in one.items()} for one in found]
    else:
        groups = [_fields(text) for text in re.split(r"\r?\n[ \t]*\r?\n", _content(part))]
    for group in groups:
        if "final-recipient" in group or "action" in group:
            yield _report(group)


def _fields(text: str) -> dict[str, str]:
    lines = text.replace("\r\n", "\n")
    return {name.lower(): value for name, value in _FIELD.findall(lines)}


def _report(group: dict[str, str]) -> _Report:
    diagnostic = _plain(_after_type(group.get("diagnostic-code", "")))
    found = _STATUS.search(group.get("status", "")) or _STATUS.search(diagnostic)
    reply = _REPLY_CODE.search(diagnostic)
    status = "".join(found.groups()) if found else reply[1] if reply else ""
    recipient = group.get("final-recipient") or group.get("original-recipient", "")
    action = group.get("action", "").split(maxsplit=1)[:1]
    return _Report(
        action=action[0].lower() if action else "",
        status=status,
        diagnostic=diagnostic,
        recipient=_plain(_after_type(recipient)).strip("<>"),
    )


def _after_type(value: str) -> str:
    """Return what follows "smtp;" or "rfc822;"."""
    kind, semicolon, rest = value.partition(";")
    return (rest if semicolon and " " not in kind.strip() else value).strip()


def _weight(report: _Report) -> tuple[bool, bool]:
    return report.action != DELAYED, report.kind == "hard"


def _bounce(message: Message, report: _Report) -> Bounce:
    code = report.status or ("400" if report.kind == "soft" else "500")
    return Bounce(
        origin=origin_of(message),
        kind=report.kind,
        code=code,
        reason=_short(report.diagnostic or _first_text(message)),
        recipient=report.recipient,
    )


def _is_bounce(message: Message, rules: BounceRules) -> bool:
    subject = text_of(message, "Subject").lower()
    if any(phrase.lower() in subject for phrase in rules.ignored):
        return False
    if text_of(message, "Auto-Submitted").strip().lower().startswith("auto-replied"):
        # Some servers say so in bounces too: those have a sender that gives them away.
        return _is_from(message, rules)
    if message.get("X-Failed-Recipients"):
        return True
    return _is_from(message, rules) or any(one.lower() in subject for one in rules.subjects)


def _is_from(message: Message, rules: BounceRules) -> bool:
    senders = {one.lower() for one in rules.senders}
    found = getaddresses([text_of(message, "From"), text_of(message, "Sender")])
    return any(address.lower().partition("@")[0] in senders for _, address in found)


def _guessed(message: Message, rules: BounceRules) -> Bounce:
    text = _first_text(message)
    ours = text.partition("X-Signalbox-Mail-ID")[0]
    lowered = f"{text_of(message, 'Subject')} {ours}".lower()
    reason = next((one for one in rules.reasons if one.phrase.lower() in lowered), None)
    status, reply = _STATUS.search(ours), _REPLY_CODE.search(ours)
    code = "".join(status.groups()) if status else reply[1] if reply else ""
    kind: Literal["hard", "soft"] = "soft" if code.startswith("4") else "hard"
    if reason is not None:
        kind, code = reason.kind, code or reason.code
    return Bounce(
        origin=origin_of(message),
        kind=kind,
        code=code or ("400" if kind == "soft" else "500"),
        reason=_short(ours),
        recipient=text_of(message, "X-Failed-Recipients").partition(",")[0].strip(),
    )


def _first_text(message: Message) -> str:
    """Return the text that people are to read."""
    for part in _parts(message):
        if part.get_content_type() == "text/plain":
            return _content(part)
    return ""


def _content(part: Message) -> str:
    """Return a part's text; none for what is made of parts, or is no text."""
    if part.is_multipart() or part.get_content_maintype() not in {"text", "message"}:
        return ""
    octets = part.get_payload(decode=True)
    if not isinstance(octets, bytes):
        return ""
    try:
        text = octets.decode(part.get_content_charset("utf-8"), "replace")
    except LookupError:
        text = octets.decode("utf-8", "replace")
    return text[:TEXT_CHARACTERS_MAX]


def _plain(text: str) -> str:
    storable = text.replace("\x00", "").encode("utf-8", "replace").decode()
    return _SPACES.sub(" ", storable).strip()


def _short(text: str) -> str:
    return _plain(text)[:REASON_CHARACTERS_MAX]
