"""The licence: what it allows, and a new one; each behind a user's token and the admin key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from signalbox.http.context import encode
from signalbox.http.files import only_file
from signalbox.http.sms_proxy import wire_license as wire

if TYPE_CHECKING:
    import falcon

    from signalbox.http.body import BodyReader
    from signalbox.http.context import Request
    from signalbox.http.sms_proxy.auth import Gate
    from signalbox.http.sms_proxy.ports import Licenses

FIELD: Final = "license"
FILE_OCTETS_MAX: Final = 65_536


class ShowLicense:
    """`GET …/settings/license`."""

    def __init__(self, gate: Gate, licenses: Licenses) -> None:
        self._gate = gate
        self._licenses = licenses

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Answer with the licence as it is today."""
        self._gate(req)
        resp.data = encode(wire.LicenseAnswer(data=wire.license_of(self._licenses.terms)))


class UploadLicense:
    """`POST …/settings/license/upload`."""

    def __init__(self, gate: Gate, licenses: Licenses, body: BodyReader) -> None:
        self._gate = gate
        self._licenses = licenses
        self._body = body

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Put the uploaded licence into force; if that fails the one before stays."""
        caller = self._gate(req)
        octets = only_file(req, self._body, FIELD, FILE_OCTETS_MAX)
        request_id = req.context.request_id
        terms = self._licenses.upload(octets, by=caller.by, request_id=request_id)
        resp.data = encode(wire.LicenseUploaded(data=wire.license_of(terms)))
