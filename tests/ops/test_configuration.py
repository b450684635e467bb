"""The settings as operators are shown them: true, whole, and without a secret."""

import os
import socket
from pathlib import Path
from typing import Final

import msgspec
import pytest

from signalbox.ops.configuration import server_config, without_credentials, without_password
from signalbox.ops.settings import Settings

CONFIG: Final = """
[server]
host = "::1"
port = 9000
name = "sms-proxy-01"
environment = "staging"
[database]
url = "postgresql://me:hush1@db:5432/box?sslpassword=hush2&sslmode=require"
[security]
token_ttl_s = 5400
[monitoring]
otel = true
sampling = 0.5
collector = "http://me:hush3@otel:4318/v1/traces?key=hush4"
[statistic_exporter]
enabled = true
target = "https://export.example.com/influx?key=hush9"
bucket = "sms-stats"
token = "hush10"
[[filters]]
name = "no-spam"
description = "Spam"
message = "win"
applications = [7]
"""
SECRETS: Final = {
    "SECRET_KEY": "hush5" * 8,
    "ADMIN_API_KEY": "hush6",
    "LICENSE_KEY": "hush7" * 8,
}


def shown(tmp_path: Path, text: str, **environ: str) -> dict[str, object]:
    path = tmp_path / "signalbox.toml"
    path.write_text(text, encoding="utf-8")
    config = server_config(Settings.load(path, environ))
    answer: dict[str, object] = msgspec.json.decode(msgspec.json.encode(config))
    return answer


def test_every_documented_key_is_there_and_true(tmp_path: Path) -> None:
    answer = shown(tmp_path, CONFIG, **SECRETS)
    assert answer == {
        "env": "staging",
        "server_name": "sms-proxy-01",
        "endpoint": "[::1]:9000",
        "tls": False,
        "storage": {"db_path": "postgresql://me@db:5432/box?sslmode=require"},
        "aerospike": {"hosts": "", "port": 0, "namespace": "", "sweep_time": "0s", "ttl": "0s"},
        "security": {"token_ttl": "1h30m0s"},
        "grpc": {"port": 0, "timeout": "0s"},
        "smpp": {"rules_loaded": True},
        "filters": {
            "no-spam": {
                "active": True,
                "blacklist": True,
                "description": "Spam",
                "snippet": 'application in [7]: refuse if message ~ "win"',
            }
        },
        "statistic_exporter": {
            "enabled": True,
            "target": "https://export.example.com/influx",
            "bucket": "sms-stats",
            "tls": True,
        },
        "monitoring": {
            "otel": True,
            "sampling": 0.5,
            "collector": "http://otel:4318/v1/traces",
        },
    }


def test_no_secret_is_shown(tmp_path: Path) -> None:
    link = '[[links]]\nid = 1\nname = "a"\nhost = "h"\nport = 1\nsystem_id = "s"\n'
    text = f'{CONFIG}{link}password = "hush8"\n'
    assert "hush" not in str(shown(tmp_path, text, **SECRETS))


def test_without_a_file_the_defaults_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = server_config(Settings.load(None, {**os.environ, "DATABASE_URL": ""}))
    assert (config.env, config.server_name) == ("production", socket.gethostname())
    assert config.storage.db_path == ""
    assert config.security.token_ttl == "24h0m0s"
    assert (config.smpp.rules_loaded, config.filters) == (False, {})


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://db/box", "postgresql://db/box"),
        ("postgresql://me@db/box", "postgresql://me@db/box"),
        ("postgresql://me:p%40ss:w@[::1]:5432/box", "postgresql://me@[::1]:5432/box"),
        ("postgresql:///box?host=/run/pg&user=me&password=x", "postgresql:///box?host=/run/pg&user=me"),
        ("postgresql://me:x#?x@a,b/box", "postgresql://me@a,b/box"),
        ("postgresql://db/box?password=a@b", "postgresql://db/box"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_database_is_shown_without_its_password(url: str, expected: str) -> None:
    assert without_password(url) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("otel:4318", "otel:4318"),
        ("me:hush@otel:4318", "otel:4318"),
        ("http://me:hush#?/hush@otel:4318", "http://otel:4318"),
        ("https://me:hush@otel/v1/traces?key=hush#hush", "https://otel/v1/traces"),
        ("", ""),
    ],
)
def test_a_target_is_shown_without_its_credentials(target: str, expected: str) -> None:
    assert without_credentials(target) == expected
