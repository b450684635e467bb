"""Schemathesis: asks what a description allows, what it forbids, and with every method.

It runs as a process of its own and knows nothing but the description. Its examples are the same in
every run.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES_MAX: Final = 40
TIMEOUT_S: Final = 60

# Left out, for the SMS proxy's reference itself says 500 where others say 404, and 400 to much that
# a schema can't tell; what is deleted nobody finds again, but no link of the document says so.
CHECKS: Final = (
    "status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection,missing_required_header,"
    "unsupported_method,allow_header_conformance,ignored_auth"
)


def ask(
    url: str, folder: Path, headers: dict[str, str], *options: str, checks: str = CHECKS
) -> list[tuple[str, int, str]]:
    """Run schemathesis; return each request, its status and its body."""
    har = folder / "answers.har"
    given = [part for name in headers for part in ("--header", f"{name}: {headers[name]}")]
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run"),
        url,
        *given,
        *("--phases", "coverage,fuzzing", "--checks", checks, "--continue-on-failure"),
        *("--max-examples", str(EXAMPLES_MAX), "--generation-deterministic"),
        *("--warnings", "off", "--no-color"),
        *("--report", "har", "--report-har-path", str(har)),
        *options,
    ]
    run = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    answers = [_answer(entry) for entry in json.loads(har.read_text())["log"]["entries"]]
    assert not [answer for answer in answers if "internal error" in answer[2]]
    return answers


def accepted(answers: list[tuple[str, int, str]]) -> set[str]:
    return {
        request
        for request, status, _ in answers
        if 200 <= status < 300 and not request.startswith("OPTIONS ")
    }


def _answer(entry: Any) -> tuple[str, int, str]:  # noqa: ANN401  (JSON)
    request, response = entry["request"], entry["response"]
    path = re.sub(r"/\d+(?=/|$)", "/{id}", urlsplit(request["url"]).path)
    return f"{request['method']} {path}", response["status"], response["content"].get("text", "")
