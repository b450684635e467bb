"""Surfaces above gateways that are not there; a module whose `surface` is another's has its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest
from support.sms_proxy import Surface

if TYPE_CHECKING:
    import falcon.testing
    from support import signalhouse


class AnySurface(Protocol):
    """Whichever surface the module tests."""

    def client(self) -> falcon.testing.TestClient: ...


@pytest.fixture
def surface() -> Surface:
    return Surface()


@pytest.fixture
def client(surface: AnySurface) -> falcon.testing.TestClient:
    return surface.client()


@pytest.fixture
def account(surface: signalhouse.Surface) -> signalhouse.Headers:
    return surface.account()
