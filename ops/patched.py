"""Import this first: blocking calls of the standard library become switches between greenlets.

`queue` stays as it is: on Python 3.12 and older the event library adds `shutdown` to `queue.Queue`,
which gevent's patched class refuses, and every subscription would die.
"""

import os
import re
from pathlib import Path
from typing import Final

import psutil
from gevent import monkey

if not monkey.is_module_patched("socket"):
    monkey.patch_all(queue=False)

METRICS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_OWNER: Final = re.compile(r".*_(\d+)\.db")


def prepare_metrics(home: Path) -> Path:
    """Give the processes of `home` one folder of metrics, before prometheus_client is imported.

    Files of processes that are gone are removed: their counters start again at zero.
    """
    folder = Path(os.environ.setdefault(METRICS_VARIABLE, str(home / "metrics")))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in folder.glob("*.db"):
        owner = _OWNER.fullmatch(file.name)
        if owner and not psutil.pid_exists(int(owner[1])):
            file.unlink(missing_ok=True)
    return folder
