"""Stored names are a public interface: one per class, older ones found by their class, too."""

import pytest

from signalbox.domain import names
from signalbox.domain.link import LinkConfigured, LinkToggled


def test_every_event_class_has_one_name() -> None:
    assert len(names.NAMES) == len(names.EVENT_CLASSES)
    assert all(names.class_of(name) is cls for cls, name in names.NAMES.items())


def test_a_filter_finds_what_was_stored_under_older_names(monkeypatch: pytest.MonkeyPatch) -> None:
    upcasts = {
        "link.toggled.-1": ("link.toggled.0", lambda fields: fields),
        "link.toggled.0": ("link.toggled.1", lambda fields: fields),
    }
    monkeypatch.setattr(names, "UPCASTS", upcasts)
    assert names.names_of(LinkToggled) == ("link.toggled.1", *upcasts)
    assert names.names_of(LinkConfigured) == ("link.configured.1",)
