"""The SMS proxy's surface above a gateway that is not there."""

import falcon.testing
import pytest
from support.sms_proxy import Surface


@pytest.fixture
def surface() -> Surface:
    return Surface()


@pytest.fixture
def client(surface: Surface) -> falcon.testing.TestClient:
    return surface.client()
