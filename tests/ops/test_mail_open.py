"""Whether the mail proxy is open: only for users of the machine it runs on."""

from pathlib import Path

import pytest

from signalbox.ops.mail import is_open
from signalbox.ops.mail_sections import Mail
from signalbox.ops.sections import Server
from signalbox.ops.settings import Settings


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_without_a_token_it_is_open_to_this_machine(host: str) -> None:
    assert is_open(Settings(home=Path(), server=Server(host=host)))


@pytest.mark.parametrize("host", ["::", "192.0.2.1", "mail.example.com", ""])
def test_without_a_token_it_is_closed_to_the_world(host: str) -> None:
    assert not is_open(Settings(home=Path(), server=Server(host=host)))


def test_with_a_token_it_is_closed() -> None:
    assert not is_open(Settings(home=Path(), mail=Mail(api_token="token")))


def test_behind_a_proxy_it_is_closed() -> None:
    server = Server(trusted_proxies=("127.0.0.1",))
    assert not is_open(Settings(home=Path(), server=server))
