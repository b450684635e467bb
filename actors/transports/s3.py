"""An S3-compatible server of the operator's; the one module that needs the extra `s3`.

What fails raises `Unattached`: temporarily where the server isn't there or has trouble of its own,
for good where it refuses. Nothing is sent twice here: the mail is tried again as a whole. Proxies
that the environment names are not used.
"""

from __future__ import annotations

import ssl
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Final

import gevent
import urllib3
from minio import Minio
from minio.deleteobjects import DeleteObject
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from urllib3.exceptions import HTTPError
from urllib3.exceptions import SSLError as BadTls

from signalbox.actors.transports.outside_http import BAD_CERTIFICATE, NO_ANSWER, TIMEOUT
from signalbox.actors.transports.smtp.transport import Unattached

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import timedelta

LATER: Final = frozenset({408, 425, 429})  # besides all 5xx
LATER_CODES: Final = frozenset({"RequestTimeout", "SlowDown"})


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Access:
    """Where a server is (a URL without path), and who we are there.

    `timeout_s` bounds all of an upload.
    """

    endpoint: str
    region: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    connect_timeout_s: float = 10.0
    timeout_s: float = 30.0
    connections_max: int = 8


class S3Server:
    """See the module."""

    def __init__(self, access: S3Access, tls: ssl.SSLContext) -> None:
        scheme, _, host = access.endpoint.rstrip("/").partition("://")
        self._timeout_s = access.timeout_s
        self._client = Minio(
            host,
            access.access_key,
            access.secret_key,
            secure=scheme == "https",
            region=access.region,
            http_client=urllib3.PoolManager(
                timeout=urllib3.Timeout(access.connect_timeout_s, access.timeout_s),
                maxsize=access.connections_max,
                retries=False,
                ssl_context=tls,
            ),
        )

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """Store an object, of which a browser shows nothing by itself. Raises: `Unattached`."""
        with _explained(), gevent.Timeout(self._timeout_s, TimeoutError):
            self._client.put_object(bucket, key, BytesIO(content), len(content))

    def link(self, bucket: str, key: str, lifetime: timedelta) -> str:
        """Return a URL by which anybody gets an object for some time (at most 7 days)."""
        return self._client.presigned_get_object(bucket, key, lifetime)

    def names(self, bucket: str, prefix: str, *, deep: bool) -> list[str]:
        """Return the keys that begin so; unless `deep`, up to the next slash, each once.

        Raises: `Unattached`.
        """
        with _explained():
            found = self._client.list_objects(bucket, prefix, recursive=deep)
            return [one.object_name for one in found if one.object_name is not None]

    def remove(self, bucket: str, keys: Sequence[str]) -> None:
        """Remove objects. Raises: `Unattached`."""
        with _explained():
            wanted = [DeleteObject(key) for key in keys]
            for error in self._client.remove_objects(bucket, wanted):
                raise Unattached(f"the S3 server removes nothing: {error.code}")


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise Unattached(_said(TIMEOUT), temporary=True) from error
    except (ssl.SSLError, BadTls) as error:
        raise Unattached(_said(BAD_CERTIFICATE)) from error
    except MinioException as error:
        raise _refused(error) from error
    except (HTTPError, OSError, SyntaxError) as error:  # the last one for XML that is none
        raise Unattached(_said(NO_ANSWER), temporary=True) from error
    except ValueError as error:  # a name that no bucket can have
        raise Unattached("large files can't be stored there") from error


def _refused(error: MinioException) -> Unattached:
    """Return what is told of an answer: its code, and nothing of whom it names."""
    status, code = _answer(error)
    later = status in LATER or status in range(500, 600) or code in LATER_CODES
    return Unattached(_said(code or str(status or NO_ANSWER)), temporary=later)


def _answer(error: MinioException) -> tuple[int, str]:
    if isinstance(error, S3Error):
        return error.response.status, error.code or ""
    if isinstance(error, ServerError):
        return error.status_code, ""
    if isinstance(error, InvalidResponseError):
        return error._code, ""  # noqa: SLF001  nothing else tells the status
    return 0, ""


def _said(what: str) -> str:
    return f"large files can't be stored on the S3 server: {what}"
