"""Schemathesis against the Signalhouse surface on the real server: all answers are described."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from support.fuzzing import CHECKS, accepted, ask
from support.signalhouse import Surface, bearer, owner_of
from support.websocket import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]

ALL_CHECKS: Final = f"{CHECKS},not_a_server_error"
OPEN_PATHS: Final = {"auth/token", "auth/register", "auth/refresh", "sms/gateway/devices"}


@pytest.fixture
def surface() -> Surface:
    return Surface()


@pytest.fixture
def document(surface: Surface) -> Iterator[str]:
    with serving(surface.app()) as server:
        yield f"http://127.0.0.1:{server.server_port}/signalhouse/openapi.json"


def test_whoever_has_a_token_gets_described_answers(
    document: str, surface: Surface, tmp_path: Path
) -> None:
    token = bearer(f"access.{owner_of(surface.account())}")  # A key would get replaced.
    answers = ask(document, tmp_path, token, checks=ALL_CHECKS)
    assert accepted(answers) >= {
        "GET /api/v1/auth/user",
        "POST /api/v1/sms/send",
        "GET /api/v1/sms/messages",
        "GET /api/v1/sms/stats",
        "GET /api/v1/sms/qr-code",
        "POST /api/v1/device/register",
        "GET /api/v1/device/list",
        "POST /api/v1/account/key",
        "PUT /api/v1/account/webhook",
    }


def test_nobody_else_is_let_in(document: str, surface: Surface, tmp_path: Path) -> None:
    answers = ask(document, tmp_path, {}, "--phases", "coverage")
    assert accepted(answers) == set()
    closed = {
        status
        for request, status, _ in answers
        if not request.startswith("OPTIONS ") and request.partition("/api/v1/")[2] not in OPEN_PATHS
    }
    assert closed == {401, 405}
    assert surface.accounts.accounts == {}
