"""Schemathesis against the warm-up on the real server: every answer is a described one."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.fuzzing import CHECKS, accepted, ask
from support.warmup import BODY_OCTETS_MAX, Surface
from support.warmup_admin import PREFIX, RAMP, STANDING, Admin, FakeReads
from support.websocket import serving

from signalbox.domain.warming import Warming
from signalbox.projections.warmup import IpRow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import falcon

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]

KEY: Final = "a-key"
ALL_CHECKS: Final = f"{CHECKS},not_a_server_error"


@contextmanager
def served(app: falcon.App[Any, Any]) -> Iterator[str]:
    with serving(app) as server:
        yield f"http://127.0.0.1:{server.server_port}"


@pytest.fixture
def surface() -> Surface:
    return Surface(api_keys=(KEY,))


@pytest.fixture
def document(surface: Surface) -> Iterator[str]:
    with served(surface.app()) as url:
        yield f"{url}/warmup/openapi.json"


@pytest.fixture
def admin_document() -> Iterator[str]:
    (standing,) = FakeReads().stands
    reads = FakeReads(
        rows=[IpRow(standing.ip, (Warming.begun(RAMP, 0.0),))], days={"&a": [STANDING.today]}
    )
    admin = Admin(reads, admin_api_key=KEY, body_octets_max=BODY_OCTETS_MAX)
    with served(admin.app()) as url:
        yield f"{url}/warmup/admin/openapi.json"


def test_whoever_has_a_key_gets_described_answers(document: str, tmp_path: Path) -> None:
    answers = ask(document, tmp_path, {"X-Api-Key": KEY}, checks=ALL_CHECKS)
    assert accepted(answers) >= {"GET /config", "GET /status"}
    assert any(request.startswith("POST /config/") for request in accepted(answers))


def test_nobody_else_is_let_in(document: str, surface: Surface, tmp_path: Path) -> None:
    answers = ask(document, tmp_path, {}, "--phases", "coverage")
    assert accepted(answers) == set()
    assert {status for _, status, _ in answers} == {401}
    assert surface.warmup.events == []


def test_an_operator_gets_described_answers(admin_document: str, tmp_path: Path) -> None:
    answers = ask(admin_document, tmp_path, {"X-Admin-Key": KEY}, checks=ALL_CHECKS)
    assert accepted(answers) >= {
        f"GET {PREFIX}/today",
        f"GET {PREFIX}/warnings",
        f"POST {PREFIX}/preview",
    }
    assert any(request.endswith("/history") for request in accepted(answers))


def test_no_operator_is_who_has_the_key_of_the_surface(admin_document: str, tmp_path: Path) -> None:
    answers = ask(admin_document, tmp_path, {"X-Api-Key": KEY}, "--phases", "coverage")
    assert accepted(answers) == set()
    # As in the rest of the admin API, everybody may learn which methods there are.
    statuses = {status for request, status, _ in answers if not request.startswith("OPTIONS ")}
    assert statuses == {401, 405}
