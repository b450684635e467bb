"""Between events and stored bytes: `Recorded` is an event with everything that is known about it.

Stored state is JSON that psql can read: `{"at", "tenant", "command", "request", "by",
"traceparent", "event": {…}}`, empty entries left out. Sealed fields are not in `event` but
encrypted together in `sealed`, by their paths. Reading is lazy: a filter can look at ids and topics
without paying for the rest.
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass, is_dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, get_type_hints

import msgspec
from cryptography.exceptions import InvalidTag
from eventsourcing.persistence import JSONTranscoder, Mapper, StoredEvent
from typing_extensions import override

from signalbox.domain.names import EVENT_CLASSES, UPCASTS, Event, class_of, name_of
from signalbox.domain.personal import ERASED, PERSONAL, PRIVATE
from signalbox.eventstore.secrets import NONCE_OCTETS, TenantKeys

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from eventsourcing.domain import DomainEventProtocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """An event in its envelope. `position` is its place in the log, 0 while it is not stored."""

    stream_id: str
    version: int
    event: Event
    at: datetime
    tenant_id: str = ""
    command_id: str = ""
    request_id: str = ""
    by: str = ""
    traceparent: str = ""
    position: int = 0

    @property
    def at_s(self) -> float:
        """When it happened, Unix seconds."""
        return self.at.timestamp()

    @property
    def originator_id(self) -> str:
        """The event library's name for the stream."""
        return self.stream_id

    @property
    def originator_version(self) -> int:
        """The event library's name for the version."""
        return self.version


@dataclass(frozen=True, slots=True)
class Hidden:
    """What is read in place of sealed fields, or of all but the private ones of them."""

    text: str = ""
    but_private: bool = False


class Envelope(msgspec.Struct, omit_defaults=True):
    """The stored state without its event."""

    at: datetime
    tenant: str = ""
    command: str = ""
    request: str = ""
    by: str = ""
    traceparent: str = ""


class _State(Envelope, omit_defaults=True):
    event: Any = None
    sealed: str = ""


class _RawState(Envelope, omit_defaults=True):
    event: msgspec.Raw = msgspec.Raw(b"{}")
    sealed: str = ""


_encoder: Final = msgspec.json.Encoder()
_state_decoder: Final = msgspec.json.Decoder(_RawState)
_envelope_decoder: Final = msgspec.json.Decoder(Envelope)


class EnvelopeMapper(Mapper[str]):
    """Encodes and decodes `Recorded`, sealing marked fields with their tenant's key."""

    @override
    def __init__(self, keys: TenantKeys) -> None:
        super().__init__(transcoder=JSONTranscoder())
        self._keys = keys

    @override
    def to_stored_event(self, domain_event: DomainEventProtocol[str]) -> StoredEvent:
        """Encode. Raises: `TenantErased` for what is to be sealed for an erased tenant."""
        assert isinstance(domain_event, Recorded), domain_event
        recorded = domain_event
        event = recorded.event
        state = _State(
            at=recorded.at,
            tenant=recorded.tenant_id,
            command=recorded.command_id,
            request=recorded.request_id,
            by=recorded.by,
            traceparent=recorded.traceparent,
            event=event,
        )
        shape = _SHAPES[type(event)]
        if shape.sealed:
            clear = msgspec.to_builtins(event)
            state.event = clear
            state.sealed = self._seal(recorded, {path: _take(clear, path) for path in shape.sealed})
        return StoredEvent(
            recorded.stream_id, recorded.version, name_of(type(event)), _encoder.encode(state)
        )

    @override
    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[str]:
        """Decode.

        Raises: `KeyError` for an unknown name, `msgspec.ValidationError` for a bad state.
        """
        return self.read(
            str(stored_event.originator_id),
            stored_event.originator_version,
            stored_event.topic,
            stored_event.state,
        )

    def read(
        self,
        stream_id: str,
        version: int,
        topic: str,
        state: bytes,
        position: int = 0,
        *,
        hidden: Hidden | None = None,
    ) -> Recorded:
        """Decode one row of the log, and decrypt what is not to be hidden."""
        raw = _state_decoder.decode(state)
        return Recorded(
            stream_id=stream_id,
            version=version,
            event=self._event(stream_id, topic, raw, hidden),
            at=raw.at,
            tenant_id=raw.tenant,
            command_id=raw.command,
            request_id=raw.request,
            by=raw.by,
            traceparent=raw.traceparent,
            position=position,
        )

    def _event(self, stream_id: str, topic: str, raw: _RawState, hidden: Hidden | None) -> Event:
        if topic not in UPCASTS and not raw.sealed:
            return _SHAPES[class_of(topic)].decoder.decode(raw.event)
        content: dict[str, Any] = msgspec.json.decode(raw.event)
        shape = _shape_of(topic)
        opened = None
        if raw.sealed and (hidden is None or (hidden.but_private and shape.private)):
            opened = self._unseal(stream_id, raw)
            _put(content, opened or {})
        while topic in UPCASTS:  # An upcast sees sealed fields too, unless they are erased.
            topic, upcast = UPCASTS[topic]
            content = upcast(content)
        if raw.sealed and opened is None:
            _put(content, dict.fromkeys(shape.sealed, ERASED if hidden is None else hidden.text))
        elif raw.sealed and hidden is not None:
            _put(content, dict.fromkeys(shape.personal, hidden.text))
        return msgspec.convert(content, shape.cls)

    @staticmethod
    def has_private(topic: str) -> bool:
        """True when an event of this name may have private fields."""
        return bool(_shape_of(topic).private)

    def _seal(self, recorded: Recorded, values: dict[str, str]) -> str:
        nonce = os.urandom(NONCE_OCTETS)
        cipher = self._keys.cipher(recorded.tenant_id)
        sealed = cipher.encrypt(nonce, _encoder.encode(values), recorded.stream_id.encode())
        return base64.b64encode(nonce + sealed).decode()

    def _unseal(self, stream_id: str, raw: _RawState) -> dict[str, str] | None:
        cipher = self._keys.reading_cipher(raw.tenant)
        if cipher is None:
            return None
        octets = base64.b64decode(raw.sealed)
        try:
            plain = cipher.decrypt(octets[:NONCE_OCTETS], octets[NONCE_OCTETS:], stream_id.encode())
        except InvalidTag:
            return None  # A key that is not the one it was sealed with reads like a destroyed one.
        values: dict[str, str] = msgspec.json.decode(plain)
        return values


def read_envelope(state: bytes) -> Envelope:
    """Decode the envelope alone: who, when, for whom."""
    return _envelope_decoder.decode(state)


def utc_now() -> datetime:
    """The gateway's clock."""
    return datetime.now(UTC)


class _Shape:
    """What is known of one event class: its decoder, and the paths of what is sealed of it."""

    __slots__ = ("cls", "decoder", "personal", "private", "sealed")

    def __init__(self, cls: type[Event]) -> None:
        self.cls = cls
        self.decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(cls)
        self.personal = list(_marked(cls, PERSONAL))
        self.private = list(_marked(cls, PRIVATE))
        self.sealed = [*self.personal, *self.private]


def _marked(cls: type[object], mark: str) -> Iterator[str]:
    """Yield the paths of fields that bear a mark, `field` or `field.field`."""
    if not is_dataclass(cls):
        return
    for name, hint in get_type_hints(cls, include_extras=True).items():
        if mark in getattr(hint, "__metadata__", ()):
            yield name
        elif isinstance(hint, type):
            yield from (f"{name}.{path}" for path in _marked(hint, mark))


def _take(content: dict[str, Any], path: str) -> str:
    """Remove a field and return what it held."""
    *parents, name = path.split(".")
    for parent in parents:
        content = content[parent]
    held: str = content.pop(name)
    return held


def _put(content: dict[str, Any], values: Mapping[str, str]) -> None:
    """Set fields by their paths."""
    for path, value in values.items():
        *parents, name = path.split(".")
        inner = content
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[name] = value


def _shape_of(topic: str) -> _Shape:
    """Return the shape of what a stored name is read as."""
    while topic in UPCASTS:
        topic, _ = UPCASTS[topic]
    return _SHAPES[class_of(topic)]


_SHAPES: Final[dict[type[Event], _Shape]] = {cls: _Shape(cls) for cls in EVENT_CLASSES.values()}
