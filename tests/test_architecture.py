"""What holds for the tree as a whole; the import layers themselves are checked by import-linter."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parent.parent
FOLDERS: Final = ("actors", "domain", "eventstore", "http", "ops", "projections")
SURFACE_WORDS: Final = ("esme", "sms_proxy", "signalhouse", "trucopilot", "x-app-id", "warmup")


def modules(*folders: str) -> list[Path]:
    return [path for f in folders or FOLDERS for path in sorted((ROOT / f).rglob("*.py"))]


def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_folder_http_is_no_package_of_its_own() -> None:
    assert not (ROOT / "http" / "__init__.py").exists()


def test_the_standard_library_wins_from_the_root() -> None:
    code = "import http, http.client; print(http.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert str(ROOT) not in done.stdout


def test_pyproject_lists_every_package() -> None:
    listed = set(pyproject()["tool"]["setuptools"]["packages"])
    folders = {path.parent.relative_to(ROOT) for path in modules()}
    assert listed == {"signalbox." + ".".join(folder.parts) for folder in folders}


def test_no_module_is_loaded_under_two_names() -> None:
    code = (
        "import signalbox.ops.patched, signalbox.ops.main, signalbox.ops.relay, sys\n"
        f"roots = {FOLDERS!r}\n"
        "print([m for m in sys.modules if m.split('.')[0] in roots and m.split('.')[0] != 'http'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", modules("domain"), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_domain_imports_the_standard_library_and_itself(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            top = name.split(".")[0]
            assert name.startswith("signalbox.domain") or top in sys.stdlib_module_names, name


@pytest.mark.parametrize(
    "path",
    modules("domain", "actors", "projections", "eventstore"),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_no_word_of_a_surface_leaves_http(path: Path) -> None:
    names = {
        node.id if isinstance(node, ast.Name) else node.arg if isinstance(node, ast.arg) else ""
        for node in ast.walk(ast.parse(path.read_text()))
    }
    assert not {name for name in names if name.lower() in SURFACE_WORDS}
