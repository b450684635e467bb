"""Schemathesis against the running gateway: whatever is asked, the answer is a described one.

See `support.fuzzing`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from support.fuzzing import accepted, ask
from support.processes import ADMIN_KEY, Installation
from support.smsc import NodeSmsc

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.postgres import Databases

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]

SETTINGS: Final = """
[sms]
send_wait_s = 0.2
"""

DASHBOARD: Final = ("metrics", "stats", "smpp-links", "load-balancers")
OPERATORS: Final = "^/api/v1/(admin|user)/"


@pytest.fixture(scope="module")
def gateway(databases: Databases) -> Iterator[Installation]:
    url = databases.make()
    with NodeSmsc() as smsc, Installation(url, links=[smsc.port], extra=SETTINGS) as gateway:
        gateway.start_all()
        gateway.wait_until_bound()
        yield gateway
    databases.drop(url)


def test_an_application_gets_described_answers(gateway: Installation, tmp_path: Path) -> None:
    headers = gateway.client("schemathesis").headers
    answers = ask(document(gateway), tmp_path, headers, "--exclude-path-regex", OPERATORS)
    assert accepted(answers) >= {
        *(f"GET /api/v1/dashboard/{name}" for name in DASHBOARD),
        "GET /api/v1/settings/license",
        "GET /api/v1/settings/smpp-config",
        "POST /api/v1/sms/send",
        "POST /api/v1/sms/check-esme",
        "PUT /api/v1/smpp/{id}/toggle",
    }


def test_an_operator_gets_described_answers(gateway: Installation, tmp_path: Path) -> None:
    headers = {"X-Admin-Key": ADMIN_KEY}
    answers = ask(document(gateway), tmp_path, headers, "--include-path-regex", OPERATORS)
    assert accepted(answers) >= {
        *(f"GET /api/v1/admin/dashboard/{name}" for name in DASHBOARD),
        "GET /api/v1/admin/metrics/campaigns",
        "GET /api/v1/admin/settings/license",
        "GET /api/v1/admin/settings/server-config",
        "GET /api/v1/admin/settings/smpp-config",
        "GET /api/v1/admin/proxy-users",
        "POST /api/v1/admin/proxy-users/register",
        "PUT /api/v1/admin/smpp/{id}/toggle",
        "POST /api/v1/user/register",
    }


def test_nobody_else_is_let_in(gateway: Installation, tmp_path: Path) -> None:
    answers = ask(document(gateway), tmp_path, {}, "--phases", "coverage")
    assert accepted(answers) == {"GET /healthy", "GET /metrics", "GET /dashboard/stats"}


def document(gateway: Installation) -> str:
    return f"http://127.0.0.1:{gateway.port}/sms-proxy/openapi.json"
