"""`signalbox license make`: a licence that a gateway with the matching key takes, and no other."""

import stat
from datetime import date
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from signalbox.actors.license_key import LicenseKey
from signalbox.domain.errors import BadLicense
from signalbox.domain.license import UploadLicense
from signalbox.ops import main

SECRET: Final = "a secret of the vendor, long enough"
TERMS: Final = {
    "--company": "ÜNIQUBIC",
    "--valid-until": "2099-12-31",
    "--max-connections": "5",
    "--max-tps": "50",
}


def make(*key: str, **changes: str) -> int:
    terms = {**TERMS, **{f"--{name.replace('_', '-')}": v for name, v in changes.items()}}
    return main.main(["license", "make", *[word for pair in terms.items() for word in pair], *key])


def read(key: str, token: str) -> UploadLicense:
    upload = LicenseKey(key).read(token.encode())
    assert (upload.company, upload.valid_until) == ("ÜNIQUBIC", date(2099, 12, 31))
    assert (upload.max_connections, upload.max_tps, upload.signed) == (5, 50, True)
    assert upload.serial > 1_700_000_000
    return upload


def test_a_licence_is_signed_with_a_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VENDOR_SECRET", SECRET)
    assert make("--secret-env", "VENDOR_SECRET") == 0
    printed = capsys.readouterr()
    read(SECRET, printed.out)
    assert printed.err == ""


@pytest.mark.parametrize("day", ["nope", "2027-02-30", "20270101"])
def test_a_day_that_is_none_is_refused_by_its_option(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], day: str
) -> None:
    monkeypatch.setenv("VENDOR_SECRET", SECRET)
    assert make("--secret-env", "VENDOR_SECRET", valid_until=day) == 2
    said = f"signalbox: --valid-until: expected a day like 2027-12-31, got {day!r}\n"
    assert capsys.readouterr().err == said


def test_a_new_key_is_written_beside_its_public_half_and_may_be_used_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "vendor.pem"
    assert make("--new-key", str(file)) == 0
    printed = capsys.readouterr()
    public = (tmp_path / "vendor.pem.pub").read_text(encoding="ascii")
    first = read(public, printed.out)
    assert "LICENSE_KEY is what" in printed.err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert make("--private-key", str(file)) == 0
    second = read(public, capsys.readouterr().out)
    assert second.serial >= first.serial


def test_a_licence_of_another_key_is_worth_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make("--new-key", str(tmp_path / "a"))
    token = capsys.readouterr().out
    make("--new-key", str(tmp_path / "b"))
    with pytest.raises(BadLicense):
        read((tmp_path / "b.pub").read_text(encoding="ascii"), token)


def test_no_key_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "vendor.pem"
    file.write_text("precious", encoding="ascii")
    assert make("--new-key", str(file)) == 2
    assert capsys.readouterr().err == f"signalbox: --new-key: {file}: File exists\n"
    assert file.read_text(encoding="ascii") == "precious"
    assert not (tmp_path / "vendor.pem.pub").exists()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"valid_until": "31.12.2099"}, "--valid-until"),
        ({"valid_until": "2099-02-30"}, "--valid-until"),
        ({"max_tps": "0"}, "max_tps"),
        ({"max_connections": "-1"}, "max_connections"),
        ({"company": ""}, "company"),
    ],
)
def test_what_no_gateway_would_take_is_not_signed(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, str],
    error: str,
) -> None:
    monkeypatch.setenv("VENDOR_SECRET", SECRET)
    assert make("--secret-env", "VENDOR_SECRET", **changes) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert error in printed.err


@pytest.mark.parametrize(
    ("key", "error"),
    [
        (("--secret-env", "NOT_SET"), "NOT_SET is not set"),
        (("--secret-env", "SHORT"), "expected at least 32 bytes, got 5"),
        (("--private-key", "missing.pem"), "missing.pem: No such file or directory"),
        (("--private-key", "text.pem"), "text.pem needs to hold a key without password"),
        (("--private-key", "ec.pem"), "ec.pem holds no Ed25519 key"),
    ],
)
def test_a_key_that_can_not_sign_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    key: tuple[str, str],
    error: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHORT", "short")
    (tmp_path / "text.pem").write_text("no key", encoding="ascii")
    (tmp_path / "ec.pem").write_bytes(_pem(generate_private_key(SECP256R1())))
    assert make(*key) == 2
    printed = capsys.readouterr()
    assert (printed.out, len(printed.err.splitlines())) == ("", 1)
    assert error in printed.err


def test_a_key_is_made_only_for_a_licence(tmp_path: Path) -> None:
    assert make("--new-key", str(tmp_path / "vendor.pem"), max_tps="0") == 2
    assert list(tmp_path.iterdir()) == []


def test_a_licence_needs_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        make()
    assert "--secret-env" in capsys.readouterr().err


def _pem(key: Any) -> bytes:  # noqa: ANN401  a private key of any kind
    octets: bytes = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return octets
