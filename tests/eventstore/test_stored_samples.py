"""Every event that was ever stored can be read for ever.

`tests/domain/stored_samples.json` holds one stored state of every name the log has ever known, with
the fields it must read as. It only grows: a new name brings a sample, no sample is ever changed.
What is personal in it is sealed with a key of zeros.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.sealing import KnownKeys

from signalbox.domain.names import EVENT_CLASSES, UPCASTS, name_of
from signalbox.eventstore.mapper import EnvelopeMapper, Recorded

SAMPLES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "domain" / "stored_samples.json").read_text(encoding="utf-8")
)
NAMES = [sample["name"] for sample in SAMPLES]


def read(sample: dict[str, Any]) -> Recorded:
    state = json.dumps(sample["state"]).encode()
    return EnvelopeMapper(KnownKeys()).read(sample["stream"], 1, sample["name"], state)


def test_every_name_has_one_sample() -> None:
    assert len(NAMES) == len(set(NAMES))
    assert set(NAMES) == {*EVENT_CLASSES, *UPCASTS}


@pytest.mark.parametrize("sample", SAMPLES, ids=NAMES)
def test_a_stored_event_reads_as_it_did_when_it_was_stored(sample: dict[str, Any]) -> None:
    recorded = read(sample)
    now = msgspec.json.decode(msgspec.json.encode(recorded.event))
    assert {field: now[field] for field in sample["event"]} == sample["event"]
    assert recorded.command_id == sample["state"]["command"]
    assert recorded.by == sample["state"]["by"]


@pytest.mark.parametrize("sample", SAMPLES, ids=NAMES)
def test_what_is_stored_today_looks_like_what_was_stored(sample: dict[str, Any]) -> None:
    if sample["name"] not in EVENT_CLASSES:
        pytest.skip("this name is only read any more")
    recorded = read(sample)
    row = EnvelopeMapper(KnownKeys()).to_stored_event(recorded)
    state = json.loads(row.state)
    before = sample["state"]
    assert (row.topic, state["at"]) == (name_of(type(recorded.event)), before["at"])
    assert state["event"].keys() >= before["event"].keys()
    assert ("sealed" in state) == ("sealed" in before)
