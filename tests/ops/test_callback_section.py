"""Bounds of requests to webhooks: a network that is none is refused at start."""

from pathlib import Path

import pytest

from signalbox.ops.settings import Settings, SettingsError


def load(tmp_path: Path, section: str) -> Settings:
    file = tmp_path / "signalbox.toml"
    file.write_text(f"[callbacks]\n{section}\n")
    return Settings.load(file, {})


def test_networks_are_read(tmp_path: Path) -> None:
    settings = load(tmp_path, 'allowed_networks = ["192.168.7.0/24", "fd00::/8"]')
    assert settings.callbacks.allowed_networks == ("192.168.7.0/24", "fd00::/8")


@pytest.mark.parametrize(
    "section",
    ['allowed_networks = ["intranet"]', 'allowed_networks = ["192.168.7.1/24"]',
     "timeout_s = 61", "connect_timeout_s = 0", "failures_max = 0", "age_s_max = -1"],
)  # fmt: skip
def test_what_can_not_be_is_refused(tmp_path: Path, section: str) -> None:
    with pytest.raises(SettingsError, match=section.partition(" ")[0]):
        load(tmp_path, section)
