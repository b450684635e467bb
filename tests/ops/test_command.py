"""The command `signalbox`: what an operator can get wrong is one line and exit code 2."""

import importlib.metadata
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

SECRET_KEY = "s" * 32


def signalbox(home: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "signalbox.ops.main", *arguments],
        cwd=home,
        env={"PATH": os.defpath, "SIGNALBOX_HOME": str(home), **environ},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def refusal(home: Path, *arguments: str, **environ: str) -> str:
    done = signalbox(home, *arguments, **environ)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("signalbox: ")
    assert len(done.stderr.splitlines()) == 1
    return done.stderr


def test_the_version_is_the_packages(tmp_path: Path) -> None:
    done = signalbox(tmp_path, "version")
    assert done.stdout == f"signalbox {importlib.metadata.version('signalbox')}\n"
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("process", ["web", "relay", "projector"])
def test_a_process_needs_its_key_and_its_database(tmp_path: Path, process: str) -> None:
    assert "SECRET_KEY is not set" in refusal(tmp_path, process)
    assert "DATABASE_URL (database.url) is not set" in refusal(
        tmp_path, process, SECRET_KEY=SECRET_KEY
    )


def test_a_key_kept_at_home_is_not_for_processes_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "secret_key").write_text(SECRET_KEY, encoding="ascii")
    assert "SECRET_KEY is not set" in refusal(tmp_path, "relay")


@pytest.mark.parametrize("command", [
    "invite make", "invite list", "invite revoke x", "audit timeline x", "audit export",
    "replay --until 1", "projections rebuild",
])  # fmt: skip
@pytest.mark.parametrize("exists", [True, False])
def test_where_nothing_was_installed_a_command_says_so_and_leaves_nothing(
    tmp_path: Path,
    command: str,
    exists: bool,  # noqa: FBT001
) -> None:
    home = tmp_path / "wrong"
    if exists:
        home.mkdir()
    line = refusal(tmp_path, *command.split(), SIGNALBOX_HOME=str(home))
    assert line == (
        f"signalbox: nothing of signalbox in {home}: "
        "is SIGNALBOX_HOME right (or DATABASE_URL missing), has `signalbox up` run?\n"
    )
    assert home.exists() == exists
    assert not exists or list(home.iterdir()) == []


def test_a_command_beside_a_database_needs_its_key_and_leaves_nothing(tmp_path: Path) -> None:
    line = refusal(tmp_path, "invite", "list", DATABASE_URL="postgresql://127.0.0.1:1/x")
    assert "SECRET_KEY is not set" in line
    assert list(tmp_path.iterdir()) == []


def test_the_timeline_explains_what_it_takes(tmp_path: Path) -> None:
    shown = signalbox(tmp_path, "audit", "timeline", "--help").stdout
    for name in ("message_id", "msg_", "sms-org_myorg-1", "TENANT/ID", "--tenant"):
        assert name in shown


@pytest.mark.parametrize("process", ["up", "relay", "replay --until 1"])
def test_an_unreachable_database_is_named_without_its_password(
    tmp_path: Path, process: str
) -> None:
    url = "postgresql://u:hush@127.0.0.1:1/x"
    line = refusal(tmp_path, *process.split(), SECRET_KEY=SECRET_KEY, DATABASE_URL=url)
    assert "DATABASE_URL (database.url): " in line
    assert "Connection refused" in line
    assert "hush" not in line


def test_a_taken_port_is_named_before_anything_is_prepared(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (tmp_path / "signalbox.toml").write_text(f"[server]\nport = {port}\n", encoding="ascii")
        line = refusal(tmp_path, "up")
    assert line == f"signalbox: PORT (server.port): 127.0.0.1:{port} is in use\n"
    assert [path.name for path in tmp_path.iterdir()] == ["signalbox.toml"]


def test_a_host_of_another_machine_is_named(tmp_path: Path) -> None:
    (tmp_path / "signalbox.toml").write_text('[server]\nhost = "192.0.2.1"\n', encoding="ascii")
    assert "PORT (server.port): cannot listen on 192.0.2.1:8088" in refusal(tmp_path, "up")


def test_a_mistake_in_the_configuration_is_named(tmp_path: Path) -> None:
    config = tmp_path / "box.toml"
    config.write_text("\n[server]\nprot = 1\n", encoding="ascii")
    line = refusal(tmp_path, "up", "--config", "box.toml")
    assert line == "signalbox: box.toml line 3: server.prot: unknown key (is port meant?)\n"
    assert "no.toml: cannot read" in refusal(tmp_path, "web", "--config", "no.toml")


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for command in ("up", "web"):
        environ = {"SIGNALBOX_HOME": str(tmp_path / "file" / "home")}
        assert "SIGNALBOX_HOME: " in refusal(tmp_path, command, **environ)


def test_commands_patch_before_anything_else_is_imported(tmp_path: Path) -> None:
    code = "import sys; from signalbox.ops import main; print('ssl' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_metrics_of_processes_that_are_gone_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    folder.mkdir()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for name in (f"counter_{gone.pid}.db", f"gauge_all_{os.getpid()}.db"):
        (folder / name).touch()
    code = f"""if True:
        import os, queue
        from pathlib import Path
        from signalbox.ops.patched import prepare_metrics
        import socket
        print(prepare_metrics(Path({str(tmp_path)!r})))
        print(os.environ["PROMETHEUS_MULTIPROC_DIR"])
        print(socket.socket.__module__, queue.Queue.__module__)
    """
    done = subprocess.run(
        [sys.executable, "-c", code], env={}, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [str(folder)] * 2 + ["gevent._socket3 queue"]
    assert [path.name for path in folder.iterdir()] == [f"gauge_all_{os.getpid()}.db"]


def test_a_port_of_the_demo_smsc_that_is_none_is_refused(tmp_path: Path) -> None:
    said = refusal(tmp_path, "demo-smsc", "--port", "80800")
    assert said == "signalbox: --port: expected 0 to 65535, got 80800\n"
