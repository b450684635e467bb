"""An OpenAPI document and Swagger UI to read it with: every file from here, none from a CDN.

The files are those of the installed package `offapi`. A fixed table maps names to files, so that
no path of a request ever reaches the file system.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import falcon

if TYPE_CHECKING:
    from collections.abc import Callable

    from signalbox.http.context import Request

JAVASCRIPT: Final = "text/javascript; charset=utf-8"
CSS: Final = "text/css; charset=utf-8"
HTML: Final = "text/html; charset=utf-8"

START: Final = "start.js"
FILES: Final = {
    "swagger-ui.css": ("swagger_style.css", CSS),
    "swagger-ui-bundle.js": ("swagger_bundle.js", JAVASCRIPT),
    "swagger-ui-standalone-preset.js": ("swagger_preset.js", JAVASCRIPT),
}

# Swagger UI styles with attributes and draws with data URLs; it needs no inline script, no eval.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_PAGE: Final = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{folder}/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="{folder}/swagger-ui-bundle.js"></script>
<script src="{folder}/swagger-ui-standalone-preset.js"></script>
<script src="{folder}/start.js"></script>
</body>
</html>
"""
_START: Final = """\
window.ui = SwaggerUIBundle({{
  url: "{url}",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
  layout: "StandaloneLayout",
}});
"""


@dataclass(frozen=True, slots=True)
class File:
    """Content that is the same for everybody."""

    octets: bytes
    media_type: str
    tag: str

    @classmethod
    def of(cls, octets: bytes, media_type: str) -> File:
        """Return the file with the tag of its content."""
        return cls(octets, media_type, hashlib.sha256(octets).hexdigest()[:32])

    def answer(self, req: Request, resp: falcon.Response) -> None:
        """Answer with the file, or that the caller has it already."""
        resp.etag = self.tag
        resp.cache_control = ["public", "no-cache"]  # Kept, and asked for whether it changed.
        resp.set_headers(
            {
                "Content-Security-Policy": POLICY,
                "Referrer-Policy": "no-referrer",
                "X-Content-Type-Options": "nosniff",
                "X-Frame-Options": "DENY",
            }
        )
        if self.tag in (req.if_none_match or ()):
            resp.status = HTTPStatus.NOT_MODIFIED
            return
        resp.content_type = self.media_type
        resp.data = self.octets


class Document:
    """The document; `make` is called when it is first asked for."""

    def __init__(self, make: Callable[[], bytes]) -> None:
        self._make = make
        self._file: File | None = None

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Answer with it."""
        if self._file is None:
            self._file = File.of(self._make(), falcon.MEDIA_JSON)
        self._file.answer(req, resp)


class Page:
    """The page that shows the document; its files are below `folder`."""

    def __init__(self, *, title: str, folder: str) -> None:
        self._file = File.of(_PAGE.format(title=title, folder=folder).encode(), HTML)

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Answer with it."""
        self._file.answer(req, resp)


class Files:
    """What the page loads."""

    def __init__(self, url: str) -> None:
        self._start = File.of(_START.format(url=url).encode(), JAVASCRIPT)

    def on_get(self, req: Request, resp: falcon.Response, name: str) -> None:
        """Answer with one of them. Raises: `HTTPNotFound`."""
        if name == START:
            self._start.answer(req, resp)
        elif name in FILES:
            _bundled(*FILES[name]).answer(req, resp)
        else:
            raise falcon.HTTPNotFound


def routes(folder: str, title: str, document: Callable[[], bytes]) -> dict[str, object]:
    """Return what shows a document: itself, the page and its files, all below `folder`."""
    url, page = f"{folder}/openapi.json", f"{folder}/docs"
    return {
        url: Document(document),
        page: Page(title=title, folder=page),
        f"{page}/{{name}}": Files(url),
    }


@cache
def _bundled(name: str, media_type: str) -> File:
    # Importing the package would read all of its files and keep them.
    package = find_spec("offapi")
    assert package is not None, "a dependency"
    assert package.origin is not None, package
    return File.of((Path(package.origin).parent / name).read_bytes(), media_type)
