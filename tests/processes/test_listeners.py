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
    warmup_port, sms_port, accounts_port, orgs_port, mail_port = (free_port() for _ in range(5))
    extra = (
        f"[listeners]\nwarmup = {warmup_port}\nsms_proxy = {sms_port}\n"
        f"signalhouse = {accounts_port}\ntrucopilot = {orgs_port}\nmail_proxy = {mail_port}\n"
    )
    environment = {"WARMUP_API_KEYS": "a key", "MAIL_API_TOKEN": "a token"}
    with Installation(url, links=[], extra=extra, environment=environment) as gateway:
        gateway.start_all()
        key = {"X-Api-Key": "a key"}
        log_in = ("POST", "/api/v1/user/login", {"email": "e", "password": "p", "app_id": 1})
        ports = (gateway.port, warmup_port, sms_port, accounts_port, orgs_port, mail_port)
        shared, warmup, sms, accounts, orgs, mail = clients = [Client(port) for port in ports]

        assert warmup.call("GET", "/config", None, key) == (200, {"ips": {}})
        assert shared.call("GET", "/config", None, key) == (200, {"ips": {}})
        assert sms.call("GET", "/config", None, key) == (404, NOT_FOUND)

        assert sms.call(*log_in)[0] == shared.call(*log_in)[0] == 400
        assert warmup.call(*log_in) == (401, {"error": "Unauthorized"})
        assert warmup.call(*log_in, key) == (404, {"error": "not found"})

        refresh = ("POST", "/api/v1/auth/refresh", {"refresh_token": "none"})
        assert accounts.call(*refresh)[0] == shared.call(*refresh)[0] == 401
        assert accounts.call(*log_in) == (404, {"error": "not found"})
        unauthorised = accounts.call("POST", "/api/v1/sms/send", {})
        assert unauthorised[0] == shared.call("POST", "/api/v1/sms/send", {})[0] == 401

        messages = ("GET", "/messages/acme")
        assert orgs.call(*messages)[0] == shared.call(*messages)[0] == 401
        status, nothing = orgs.call(*log_in)
        assert (status, nothing["ok"], nothing["code"]) == (404, False, "not_found")
        assert orgs.call("GET", "/health") == (200, {"status": "ok"})
        assert shared.call("GET", "/health") == (200, {"status": "ok", "ok": True})

        token = {"X-API-Token": "a token"}
        tenants = (200, {"ok": True, "tenants": []})
        for client in (mail, shared):
            assert client.call("GET", "/tenants", None, token) == tenants
            assert client.call("GET", "/mailproxy/v1/tenants", None, token) == tenants
            assert client.call("GET", "/tenants") == (401, {"detail": "Admin token required"})
            assert client.call("GET", "/status", None, token)[1] == {"ok": True, "active": True}
        assert shared.call("GET", "/status", None, key) == (200, {"ips": {}})
        assert mail.call("GET", "/status")[0] == shared.call("GET", "/status")[0] == 401
        assert mail.call(*messages) == (404, {"detail": "Not Found"})

        for client in clients:
            assert client.call("GET", "/healthy") == (200, {"status": "ok"})
            client.close()
    databases.drop(url)
