"""Groupings as configured, at the start and when the file is read again."""

from pathlib import Path
from typing import Final

from signalbox.eventstore.journal import Journal
from signalbox.eventstore.log import EventLog
from signalbox.ops.reload import read_again
from signalbox.ops.settings import Settings
from signalbox.ops.warmup import Warmups

GROUPING: Final = '[[groupings]]\nname = "{name}"\ndomains = ["{domain}", "outlook.com"]\n'


def test_a_configured_grouping_goes_before_the_built_in_ones_and_is_read_again(
    tmp_path: Path, event_log: EventLog, journal: Journal
) -> None:
    path = tmp_path / "signalbox.toml"
    path.write_text(GROUPING.format(name="&house", domain="a.example"), encoding="utf-8")
    settings = Settings.load(path, {})
    warmups = Warmups(settings, event_log, journal)
    of = warmups.groupings.of
    assert [of(one) for one in ("a.example", "outlook.com")] == ["&house", "&house"]
    assert [of(one) for one in ("outlook.de", "gmail.com")] == ["&outlook", "&gmail"]
    path.write_text(GROUPING.format(name="&other", domain="b.example"), encoding="utf-8")
    fresh = read_again(settings)
    assert fresh is not None
    warmups.configure(fresh)
    assert [of(one) for one in ("b.example", "outlook.com")] == ["&other", "&other"]
