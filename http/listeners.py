"""Surfaces with a port of their own: there one answers as if it were alone, elsewhere all do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Listeners:
    """A WSGI application: on the ports in `own` it is that one, on all others `shared`."""

    def __init__(self, shared: Application, own: Mapping[int, Application]) -> None:
        self._shared = shared
        self._own = {str(port): application for port, application in own.items()}

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer for the port the connection came to."""
        application = self._own.get(environ["SERVER_PORT"], self._shared)
        return application(environ, start_response)
