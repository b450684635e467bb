"""A SIGNALBOX_HOME that, unlike `tmp_path`, the database's own user can reach under root."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def home() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="signalbox-test-"))
    yield folder
    shutil.rmtree(folder)
