"""The golden vectors of IP warm-up, and their configurations as schedules."""

import json
from datetime import date
from pathlib import Path
from typing import Any, Final

from signalbox.domain.ramp import Point, Schedule

VECTORS: Final[dict[str, list[dict[str, Any]]]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "ip_warmup.json").read_text(encoding="utf-8")
)


def schedule_of(config: dict[str, Any]) -> Schedule:
    start_date = date.fromisoformat(config["start"]["date"])
    if config["mode"] == "AUTO":
        end = Point(date.fromisoformat(config["end"]["date"]), config["end"]["volume"])
        planned = Schedule.auto(
            config["grouping"], Point(start_date, config["start"]["volume"]), end
        )
        messages = planned.messages
    else:
        messages = tuple(day["messages"] for day in config["schedule"])
    return Schedule(
        grouping=config["grouping"],
        mode=config["mode"],
        start_date=start_date,
        messages=messages,
        paused=config["paused"],
    )
