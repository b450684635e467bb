"""Schemathesis against the warm-up on the real server: every answer is a described one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from support.fuzzing import CHECKS, accepted, ask
from support.warmup import Surface

from signalbox.http.worker import Handler, Limits, Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]

KEY: Final = "a-key"


@pytest.fixture
def surface() -> Surface:
    return Surface(api_keys=(KEY,))


@pytest.fixture
def document(surface: Surface) -> Iterator[str]:
    address = ("127.0.0.1", 0)
    server = Server(address, surface.app(), log=None, handler_class=Handler, limits=Limits())
    server.start()
    yield f"http://127.0.0.1:{server.server_port}/warmup/openapi.json"
    server.stop(timeout=1)


def test_whoever_has_a_key_gets_described_answers(document: str, tmp_path: Path) -> None:
    checks = f"{CHECKS},not_a_server_error"
    answers = ask(document, tmp_path, {"X-Api-Key": KEY}, checks=checks)
    assert accepted(answers) >= {"GET /config", "GET /status"}
    assert any(request.startswith("POST /config/") for request in accepted(answers))


def test_nobody_else_is_let_in(document: str, surface: Surface, tmp_path: Path) -> None:
    answers = ask(document, tmp_path, {}, "--phases", "coverage")
    assert accepted(answers) == set()
    assert {status for _, status, _ in answers} == {401}
    assert surface.warmup.events == []
