"""Whatever a phone says is either understood or a `Failure`, never an accident."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from signalbox.http.body import fields
from signalbox.http.errors import Failure
from signalbox.http.trucopilot import frames, wire

SCALARS: Final = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=20)
)
VALUES: Final = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
TYPES: Final = st.sampled_from(["auth", "ping", "sims", "inbound", "send_result", "other"])
NAMES: Final = st.sampled_from(
    ["org_id", "secret_key", "device_id", "sims", "message", "id", "success", "error", "sent_at"]
)
SIM_NAMES: Final = st.sampled_from(["slot", "number", "label", "carrier"])
SIMS: Final = st.lists(st.dictionaries(SIM_NAMES, SCALARS) | VALUES, max_size=20)
TEXT_NAMES: Final = st.sampled_from(["address", "body", "date", "sim_slot", "sim_number", "id"])
TEXTS: Final = st.dictionaries(TEXT_NAMES, SCALARS)


@given(st.text())
def test_any_text(text: str) -> None:
    with suppress(Failure):
        frames.read(text)


@given(TYPES, st.dictionaries(NAMES, VALUES | SIMS | TEXTS))
def test_any_frame(kind: str, members: dict[str, object]) -> None:
    with suppress(Failure):
        match frames.read(json.dumps({**members, "type": kind})):
            case frames.Sims() as sims:
                assert len(sims.cards) <= 16
            case frames.Inbound() as inbound:
                assert inbound.inbound("phone", {0: "+1555"}).received_at_s >= 0
            case frames.SendResult() as result:
                assert result.report().status in {"sent", "failed"}
            case _:
                pass


@given(st.lists(TEXTS | VALUES, max_size=5))
def test_any_texts(texts: list[object]) -> None:
    octets = json.dumps({"messages": texts}).encode()
    with suppress(Failure):
        batch: wire.Batch = fields(octets, wire.Batch, mend=True)
        taken, faults = batch.inbound("")
        assert len(taken) + len(faults) == len(texts)


@given(
    st.dictionaries(st.sampled_from(["to", "body", "sim"]), VALUES),
    st.lists(st.dictionaries(st.sampled_from(["to", "body"]), SCALARS) | VALUES, max_size=4),
)
def test_any_text_to_send(one: dict[str, object], several: list[object]) -> None:
    for body in (one, {**one, "messages": several}, {"messages": several}):
        with suppress(Failure):
            send: wire.Send = fields(json.dumps(body).encode(), wire.Send)
            requests = send.outbound()
            assert all(request.text.strip() for request in requests)
            assert len(requests) == (len(several) if "messages" in body else 1)
