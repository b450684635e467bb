"""Surfaces on ports of their own, beside the port that all of them share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.processes import Client, Installation

from signalbox.ops.preflight import free_port

if TYPE_CHECKING:
    from support.postgres import Databases

pytestmark = [pytest.mark.processes, pytest.mark.timeout(90)]

NOT_FOUND = {"success": False, "error": "not found"}


def test_a_surface_s_own_port_answers_as_if_it_were_alone(databases: Databases) -> None:
    url = databases.make()
    warmup_port, sms_port = free_port(), free_port()
    extra = f"[listeners]\nwarmup = {warmup_port}\nsms_proxy = {sms_port}\n"
    environment = {"WARMUP_API_KEYS": "a key"}
    with Installation(url, links=[], extra=extra, environment=environment) as gateway:
        gateway.start_all()
        key = {"X-Api-Key": "a key"}
        log_in = ("POST", "/api/v1/user/login", {"email": "e", "password": "p", "app_id": 1})
        shared, warmup, sms = (Client(port) for port in (gateway.port, warmup_port, sms_port))

        assert warmup.call("GET", "/config", None, key) == (200, {"ips": {}})
        assert shared.call("GET", "/config", None, key) == (200, {"ips": {}})
        assert sms.call("GET", "/config", None, key) == (404, NOT_FOUND)

        assert sms.call(*log_in)[0] == shared.call(*log_in)[0] == 400
        assert warmup.call(*log_in) == (401, {"error": "Unauthorized"})
        assert warmup.call(*log_in, key) == (404, {"error": "not found"})

        for client in (shared, warmup, sms):
            assert client.call("GET", "/healthy") == (200, {"status": "ok"})
            client.close()
    databases.drop(url)
