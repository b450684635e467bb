"""Secrets made by the gateway itself."""

import stat
from pathlib import Path

import pytest

from signalbox.ops.keys import keep, require_secret_key, with_kept_keys, with_secret_key
from signalbox.ops.settings import Settings, SettingsError


def test_a_secret_is_made_once_and_found_again(tmp_path: Path) -> None:
    made, found = keep(tmp_path / "new" / "key"), keep(tmp_path / "new" / "key")
    assert made.value == found.value
    assert len(made.value) >= 32
    assert made.origin == f"made now and kept in {tmp_path}/new/key"
    assert found.origin == f"kept in {tmp_path}/new/key"


def test_two_homes_have_different_secrets(tmp_path: Path) -> None:
    assert keep(tmp_path / "a").value != keep(tmp_path / "b").value


def test_only_the_owner_may_read_a_secret(tmp_path: Path) -> None:
    path = tmp_path / "key"
    keep(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    keep(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_nothing_else_is_left_in_the_folder(tmp_path: Path) -> None:
    keep(tmp_path / "key")
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_an_empty_secret_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").touch()
    with pytest.raises(SettingsError, match="key is empty"):
        keep(tmp_path / "key")


def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    with pytest.raises(SettingsError, match="SIGNALBOX_HOME: cannot keep"):
        keep(tmp_path / "home" / "key")


def test_given_keys_are_used_and_none_is_made(tmp_path: Path) -> None:
    given = Settings(home=tmp_path, secret_key="s" * 32, admin_api_key="a")
    assert with_kept_keys(given) == (given, "from ADMIN_API_KEY")
    assert list(tmp_path.iterdir()) == []


def test_missing_keys_are_made(tmp_path: Path) -> None:
    filled, origin = with_kept_keys(Settings(home=tmp_path))
    assert filled.secret_key == (tmp_path / "secret_key").read_text(encoding="ascii").strip()
    assert filled.admin_api_key == (tmp_path / "admin_api_key").read_text(encoding="ascii").strip()
    assert origin == f"made now and kept in {tmp_path}/admin_api_key"


def test_a_command_that_only_looks_makes_no_key(tmp_path: Path) -> None:
    assert with_secret_key(Settings(home=tmp_path)).secret_key == ""
    made = keep(tmp_path / "secret_key")
    assert with_secret_key(Settings(home=tmp_path)).secret_key == made.value


def test_without_a_secret_key_nothing_is_served(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="SECRET_KEY is not set"):
        require_secret_key(Settings(home=tmp_path))
