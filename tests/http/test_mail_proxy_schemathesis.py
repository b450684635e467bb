"""Schemathesis against the surface on the real server: every answer is a described one."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.fuzzing import CHECKS, accepted, ask
from support.mail_proxy import Surface
from support.mail_web import ADMIN, Web
from support.projecting import projecting
from support.websocket import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import falcon

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]

# A number may be written as a text and the other way round: no schema tells that.
ALL_CHECKS: Final = f"{CHECKS},not_a_server_error".replace(",negative_data_rejection", "")


@pytest.fixture
def surface() -> Surface:
    return Surface()


@contextmanager
def described(app: falcon.App[Any, Any]) -> Iterator[str]:
    with serving(app) as server:
        yield f"http://127.0.0.1:{server.server_port}/mailproxy/openapi.json"


def test_the_admin_gets_described_answers_of_the_real_gateway(
    database_url: str, tmp_path: Path
) -> None:
    with projecting(database_url), Web(database_url) as web, described(web.client.app) as url:
        requests = accepted(ask(url, tmp_path, ADMIN, checks=ALL_CHECKS))
    for one in ("POST /tenant", "POST /account", "GET /messages", "PUT /instance", "GET /tenants"):
        assert one in requests, requests


def test_nobody_else_is_let_in(surface: Surface, tmp_path: Path) -> None:
    with described(surface.app()) as url:
        answers = ask(url, tmp_path, {}, "--phases", "coverage", checks=ALL_CHECKS)
    assert accepted(answers) <= {"GET /health"}
    assert surface.store.asked_by == []
