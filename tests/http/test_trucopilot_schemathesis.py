"""Schemathesis against the surface on the real server: every answer is a described one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from support.fuzzing import CHECKS, accepted, ask
from support.trucopilot import HEADERS, SECRET, Surface
from support.websocket import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]

# That a secret may be in the body or the query instead of the header, no schema can tell.
ALL_CHECKS: Final = f"{CHECKS},not_a_server_error".replace(",ignored_auth", "")
NO_SOCKET: Final = ("--exclude-path", "/websocket")  # it takes no requests but handshakes


class Everybody(dict[str, str]):
    """Organisations of any name, all with one secret: that of the description's examples."""

    secret = SECRET

    def get(self, org_id: str, default: object = None) -> str:  # type: ignore[override]
        assert default is None, org_id
        return self.secret


@pytest.fixture
def surface() -> Surface:
    surface = Surface()
    surface.orgs.secrets = Everybody()
    return surface


@pytest.fixture
def document(surface: Surface) -> Iterator[str]:
    with serving(surface.app()) as server:
        yield f"http://127.0.0.1:{server.server_port}/openapi.json"


def test_whoever_knows_the_secret_gets_described_answers(
    document: str, surface: Surface, tmp_path: Path
) -> None:
    surface.phone()
    answers = ask(document, tmp_path, HEADERS, *NO_SOCKET, checks=ALL_CHECKS)
    requests = accepted(answers)
    for beginning in ("GET /messages/", "POST /webhook", "GET /sims/", "PUT /webhooks/"):
        assert any(one.startswith(beginning) for one in requests), (beginning, requests)
    assert surface.messages.asked_by


def test_nobody_else_is_let_in(document: str, surface: Surface, tmp_path: Path) -> None:
    surface.orgs.secrets.secret = "in-no-example-there-is"  # type: ignore[attr-defined]
    options = ("--phases", "coverage", *NO_SOCKET)
    answers = ask(document, tmp_path, {}, *options, checks=ALL_CHECKS)
    assert accepted(answers) <= {"GET /health"}
    assert surface.messages.asked_by == []
