"""What two surfaces claim on the port they share, and how a request tells which one it means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable

    import falcon

    from signalbox.http.app import Guard
    from signalbox.http.context import Request

BEARER: Final = "bearer "


@runtime_checkable
class Sends(Protocol):
    """A resource that takes messages."""

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Take one."""


class SharedSend:
    """`POST /api/v1/sms/send`: an application's message for a link, or an account's for a phone.

    Whoever names an application means a link; `is_phones` tells the credentials of accounts with
    phones from others. Without either the answer is the same 401 on both surfaces.
    """

    def __init__(self, links: object, phones: object, is_phones: Callable[[str], bool]) -> None:
        assert isinstance(links, Sends), links
        assert isinstance(phones, Sends), phones
        self._links = links
        self._phones = phones
        self._is_phones = is_phones

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Hand the request to the surface that is meant."""
        authorization: str = req.env.get("HTTP_AUTHORIZATION", "")
        is_bearer = authorization[: len(BEARER)].lower() == BEARER
        credential = authorization[len(BEARER) :].strip() if is_bearer else ""
        if "HTTP_X_APP_ID" not in req.env and credential and self._is_phones(credential):
            self._phones.on_post(req, resp)
        else:
            self._links.on_post(req, resp)


@runtime_checkable
class Tells(Protocol):
    """A resource that tells how something stands."""

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Tell."""


class SharedStatus:
    """`GET /status`: of the warm-up, or of the mail proxy for whoever shows one of its tokens."""

    def __init__(self, warmup: object, mail: object) -> None:
        assert isinstance(warmup, Tells), warmup
        assert isinstance(mail, Tells), mail
        self._warmup = warmup
        self._mail = mail

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Hand the request to the surface that is meant."""
        meant = self._mail if means_mail(req) else self._warmup
        meant.on_get(req, resp)


class PassingMail:
    """The warm-up's guard, which lets those pass who ask for the status of the mail proxy."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def process_request(self, req: Request, resp: falcon.Response) -> None:
        """Have the guard look at whatever may be the warm-up's."""
        if not means_mail(req):
            self._guard.process_request(req, resp)


def means_mail(req: Request) -> bool:
    """Tell whether a request is for the status of the mail proxy."""
    return req.path.strip("/") == "status" and "HTTP_X_API_TOKEN" in req.env
