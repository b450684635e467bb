"""An S3 server that tests talk to: moto's, in a process of its own, on a free loopback port."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from support.peers import LEASH

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

START_TIMEOUT_S: Final = 30.0
POLICY: Final = (
    '{"Version": "2012-10-17",'
    ' "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}'
)
# What moto reads the service and the region from; it isn't checked yet.
STRANGER: Final = (
    "AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/iam/aws4_request,"
    " SignedHeaders=host, Signature=x"
)
_PORT: Final = re.compile(r"Running on http://127\.0\.0\.1:(\d+)")


@dataclass(frozen=True)
class Keys:
    """Who may do everything with S3."""

    access_key: str
    secret_key: str


class S3Peer:
    """The server; whoever asks may do anything until `refuse_strangers`."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "moto.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*LEASH, sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
                env={**os.environ, "MOTO_IAM_LOAD_MANAGED_POLICIES": "false"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> Self:
        self.endpoint = f"http://127.0.0.1:{self._port()}"
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()

    def made_keys(self) -> Keys:
        """Make a user, and return what it proves itself with."""
        self._iam(Action="CreateUser", UserName="u")
        self._iam(Action="PutUserPolicy", UserName="u", PolicyName="all", PolicyDocument=POLICY)
        made = self._iam(Action="CreateAccessKey", UserName="u")
        found = [re.search(rf"<{tag}>(.*?)<", made) for tag in ("AccessKeyId", "SecretAccessKey")]
        access_key, secret_key = (one[1] for one in found if one)
        return Keys(access_key, secret_key)

    def refuse_strangers(self, *, refused: bool) -> None:
        """Check signatures and rights from now on, or no longer."""
        count = b"0" if refused else b"inf"  # how many requests go unchecked
        self._post("/moto-api/reset-auth", count, {"Content-Type": "text/plain"})

    def _iam(self, **query: str) -> str:
        body = urlencode({**query, "Version": "2010-05-08"}).encode()
        return self._post("/", body, {"Authorization": STRANGER})

    def _post(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> str:
        asked = Request(self.endpoint + path, data=body, headers=headers or {})  # noqa: S310
        with urlopen(asked, timeout=10) as answer:  # noqa: S310
            text: str = answer.read().decode()
        return text

    def _port(self) -> int:
        until_s = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < until_s and self._process.poll() is None:
            if found := _PORT.search(self._log.read_text()):
                return int(found[1])
            time.sleep(0.02)
        raise RuntimeError(f"moto did not start: {self._log.read_text()}")
