"""Several processes on one terminal: in order down, and nobody left behind."""

import json
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from signalbox.ops.up import PROCESSES

POLITE = "trap 'sleep 0.2; exit 0' TERM; while :; do sleep 0.05; done"
SPLIT = "while :; do sleep 0.05; done"


def foreman(
    *commands: str, healthy: str = "lambda: True", in_json: bool = False
) -> subprocess.Popen[str]:
    """Start a foreman of `commands`, named p0, p1, …, in a process of its own."""
    code = f"""
        import sys
        from signalbox.ops.foreman import Foreman
        foreman = Foreman({healthy}, lambda: print('"begun"', flush=True), in_json={in_json})
        for index, command in enumerate({list(commands)!r}):
            foreman.add_process(f"p{{index}}", command)
        foreman.loop()
        sys.exit(0 if foreman.asked_to_stop else 1)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    if "True" in healthy:
        for line in process.stdout:
            if "started" in line and f"p{len(commands) - 1}" in line:
                break
    return process


def alive(process: psutil.Process) -> bool:
    """Tell whether it runs; in a container nobody may reap it when it is done."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=20)
    return process.returncode, output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_one_after_the_other(number: signal.Signals) -> None:
    process = foreman(POLITE, POLITE, POLITE)
    time.sleep(0.3)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    returncode, output = ended(process)
    assert returncode == 0
    stopped = [line.split("| ")[1] for line in output.splitlines() if "stopped" in line]
    assert stopped == ["p0 stopped (rc=0)", "p1 stopped (rc=0)", "p2 stopped (rc=0)"]
    assert not any(alive(child) for child in children)


def test_in_json_every_line_is_an_object_and_those_that_were_stay_as_they_are() -> None:
    says = """echo '{"process": "relay", "link": 1}'; echo 'not {json}'; echo 1; sleep 0.2"""
    _, output = ended(foreman(says, healthy="lambda: not 0", in_json=True))
    lines = [line for line in output.splitlines() if line != '"begun"']
    assert '{"process": "relay", "link": 1}' in lines
    told = [(line.get("process"), line.get("message")) for line in map(json.loads, lines)]
    assert {("p0", "not {json}"), ("p0", "1"), ("system", "p0 stopped (rc=0)")} <= set(told)


def test_when_one_ends_by_itself_the_others_are_stopped_and_it_is_an_error() -> None:
    returncode, output = ended(foreman("sleep 0.5; exit 0", POLITE))
    assert returncode == 1
    assert "p1 stopped (rc=0)" in output


def test_when_the_database_is_gone_all_are_stopped_and_it_is_an_error() -> None:
    returncode, output = ended(foreman(POLITE, healthy="lambda: False"))
    assert returncode == 1
    assert "p0 stopped" in output


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children")
def test_killed_it_leaves_nobody_behind() -> None:
    process = foreman(SPLIT, SPLIT)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 4
    process.kill()
    deadline_s = time.monotonic() + 10
    while any(map(alive, children)) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    assert not any(map(alive, children))
    process.communicate()


def test_up_runs_what_the_procfile_lists() -> None:
    procfile = Path(__file__).parents[2] / "Procfile"
    lines = procfile.read_text(encoding="ascii").splitlines()
    assert lines == [f"{name}: signalbox {name}" for name in PROCESSES]
