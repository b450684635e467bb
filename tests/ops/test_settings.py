"""Settings: defaults, the environment over them, and the line of every mistake."""

import re
from pathlib import Path

import pytest

from signalbox.domain.groupings import PUBLISHED_DOMAINS, PUBLISHED_MX_HOSTS
from signalbox.domain.warmup_status import WarmupStatus
from signalbox.http.channel import ChannelLimits
from signalbox.ops.entries import Application, Filter, Grouping, IpPool, Link
from signalbox.ops.settings import SECTIONS, Settings, SettingsError
from signalbox.ops.web import Gateway

EXAMPLE = Path(__file__).parents[2] / "signalbox.example.toml"
LINK = '[[links]]\nid = {id}\nname = "a"\nhost = "smsc"\nport = 2775\nsystem_id = "me"\n'


def load(tmp_path: Path, text: str, **environ: str) -> Settings:
    path = tmp_path / "signalbox.toml"
    path.write_text(text, encoding="utf-8")
    return Settings.load(path, environ)


def refusal(tmp_path: Path, text: str, **environ: str) -> str:
    with pytest.raises(SettingsError) as refused:
        load(tmp_path, text, **environ)
    return str(refused.value).replace(f"{tmp_path}/", "")


def test_without_a_file_every_default_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings.load(None, {"SIGNALBOX_HOME": "/srv/box"})
    assert settings == Settings(home=Path("/srv/box"))


def test_the_file_of_the_working_folder_is_read_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "signalbox.toml").write_text("[server]\nport = 9000\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert Settings.load(None, {}).server.port == 9000


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot read the configuration: No such file"):
        Settings.load(tmp_path / "missing.toml", {})


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        '[server]\nport = 9000\n[log]\nlevel = "error"\n',
        PORT="9001",
        WEB_CONCURRENCY="3",
        DATABASE_URL="postgresql://db/x",
        LOG_LEVEL="DEBUG",
        LOG_FORMAT="json",
        ADMIN_API_KEY="admin",
    )
    assert (settings.server.port, settings.server.web_concurrency) == (9001, 3)
    assert (settings.log.level, settings.log.format) == ("debug", "json")
    assert (settings.database.url, settings.admin_api_key) == ("postgresql://db/x", "admin")


@pytest.mark.parametrize(
    ("text", "environ", "host"),
    [
        ("", {}, "127.0.0.1"),
        ("", {"PORT": "80"}, "0.0.0.0"),  # noqa: S104
        ('[server]\nhost = "10.0.0.1"\n', {"PORT": "80"}, "10.0.0.1"),
    ],
)
def test_an_assigned_port_opens_the_host_unless_one_is_configured(
    tmp_path: Path, text: str, environ: dict[str, str], host: str
) -> None:
    assert load(tmp_path, text, **environ).server.host == host


def test_the_server_is_reached_on_loopback_when_it_listens_everywhere(tmp_path: Path) -> None:
    assert load(tmp_path, "", PORT="81").server.url == "http://127.0.0.1:81"
    assert load(tmp_path, '[server]\nhost = "::1"\n').server.url == "http://[::1]:8088"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[server]\n\nport = "x"\n', "line 3: server.port: expected int, got str"),
        ("[server]\nport = true\n", "line 2: server.port: expected int, got bool"),
        ("[server]\nport = 0\n", "line 2: server.port: expected int >= 1"),
        ("[server]\nprot = 1\n", "line 2: server.prot: unknown key (is port meant?)"),
        ("[sever]\nport = 1\n", "line 1: sever: unknown section (is server meant?)"),
        ("server = 1\n", "line 1: server: expected a table: [server]"),
        ('server.port = "x"\n', "line 1: server.port: expected int, got str"),
        ("[server]\nport = 1\nport = 2\n", "line 3: Cannot overwrite a value"),
        ("[server]\nport = [\n", "line 2: Invalid value (at end of document)"),
        ("[journal]\nwait_s_max = inf\n", "line 2: journal.wait_s_max: expected float <="),
        ("[journal]\nwait_s_max = nan\n", "line 2: journal.wait_s_max: expected float >"),
        ('[log]\nlevel = "loud"\n', "expected one of debug, info, warning, error, got 'loud'"),
        ('[server]\ntrusted_proxies = ["10.0.0.1/8"]\n', "trusted_proxies: 10.0.0.1/8 has host"),
        ("[leases]\nrenew_s = 8\n", "line 2: leases.renew_s: renew_s + safety_s must stay below"),
        ('[database]\nurl = "mysql://x"\n', "line 2: database.url: expected postgresql://"),
        (
            "[websockets]\nping_s = 80\n",
            "line 2: websockets.ping_s: must stay below silence_s (70)",
        ),
        ('[websockets]\nallowed_origins = ["a.example"]\n', "allowed_origins: expected such as"),
        ('[websockets]\nallowed_origins = ["https://a.example/x"]\n', "expected such as https://"),
        ("[links]\nid = 1\n", "line 1: links: expected an array of tables: [[links]]"),
        ("[[links]]\nid = 1\n", "line 1: links[0].name: missing, and there is no default"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    assert refusal(tmp_path, text).startswith("signalbox.toml line ")
    assert message in refusal(tmp_path, text)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('tps = "x"', "links[1].tps: expected int, got str"),
        ("window = 0", "links[1].window: expected int >= 1"),
        ("dlr_msgid = 3", "links[1].dlr_msgid: expected one of 0, 1, 2, got 3"),
        ('long_mode = "udh"', "links[1].long_mode: expected one of udh8, udh16, sar, payload"),
        ("reconnect_initial_s = 61", "links[1].reconnect_initial_s: must not exceed"),
        ('password_env = "SMSC_PW"', "password_env: the environment variable SMSC_PW is not set"),
        ("password = 'x'\npassword_env = 'Y'", "give password or password_env, not both"),
        ("response_timeout = 1\nresponse_timeout_s = 1", "given twice, also as response_timeout_s"),
    ],
)
def test_a_mistake_in_a_link_is_found_in_its_own_table(
    tmp_path: Path, line: str, message: str
) -> None:
    text = LINK.format(id=1) + "tps = 1\n" + LINK.format(id=2)
    found = refusal(tmp_path, text + line + "\n")
    assert message in found
    number = re.search(r"line (\d+)", found)
    assert number is not None
    assert int(number[1]) > len(text.splitlines())


def test_two_links_cannot_share_an_id(tmp_path: Path) -> None:
    found = refusal(tmp_path, LINK.format(id=1) + LINK.format(id=1))
    assert found == "signalbox.toml line 8: links[1].id: 1 is given twice"


def test_a_link_takes_its_password_from_the_environment(tmp_path: Path) -> None:
    text = LINK.format(id=1) + 'password_env = "SMSC_PW"\n'
    assert load(tmp_path, text, SMSC_PW="hush").links[0].password == "hush"


def test_a_link_accepts_the_short_spellings_of_its_timers(tmp_path: Path) -> None:
    text = LINK.format(id=1) + "response_timeout = 7\nenquire_link = 8\n"
    link = load(tmp_path, text).links[0]
    assert (link.response_timeout_s, link.enquire_link_s) == (7.0, 8.0)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("PORT", "http", "PORT: expected int"),
        ("PORT", "70000", "PORT: expected int <= 65535"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL: expected one of debug, info, warning, error, got 'loud'"),
        ("SECRET_KEY", "short", "SECRET_KEY: expected at least 32 bytes, got 5"),
        ("LICENSE_KEY", "short", "LICENSE_KEY: expected at least 32 bytes, got 5"),
        ("LICENSE_KEY", "-----BEGIN X", "LICENSE_KEY: expected an Ed25519 public key in PEM"),
        ("LICENSE_REQUIRED", "maybe", "LICENSE_REQUIRED: expected bool"),
        ("DATABASE_URL", "mysql://u:pw@h", "DATABASE_URL: expected postgresql://user:password@"),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(
    tmp_path: Path, variable: str, value: str, message: str
) -> None:
    assert refusal(tmp_path, "", **{variable: value}).startswith(message)


@pytest.mark.parametrize(("text", "required"), [("1", True), ("true", True), ("0", False)])
def test_a_licence_is_required_by_the_environment(
    tmp_path: Path, text: str, *, required: bool
) -> None:
    assert load(tmp_path, "", LICENSE_REQUIRED=text).license.required is required


def test_no_secret_is_shown(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        LINK.format(id=1) + 'password = "hush-1"\n',
        SECRET_KEY="hush-2" * 6,
        ADMIN_API_KEY="hush-3",
        LICENSE_KEY="hush-5" * 6,
        DATABASE_URL="postgresql://u:hush-4@db/x",
    )
    assert "hush" not in repr(settings)
    assert "hush" not in str(settings.links)


def test_the_example_gives_every_default_and_explains_every_key() -> None:
    settings = Settings.load(EXAMPLE, {"SIGNALBOX_HOME": "/srv/box"})
    text = EXAMPLE.read_text(encoding="utf-8")
    sections = [name for name in Settings.__struct_fields__ if f"\n[{name}]\n" in text]
    assert sections == list(SECTIONS)
    for name in sections:
        section = getattr(settings, name)
        assert section == type(section)(), name
        assert documented(text, f"[{name}]") == list(type(section).__struct_fields__)
    assert documented(text, "[[links]]") == list(Link.__struct_fields__)
    required = {"id": 1, "name": "a", "host": "h", "port": 1, "system_id": "s"}
    shown = {name: getattr(settings.links[0], name) for name in required}
    assert settings.links == (Link(**shown),)


FILTER = '[[filters]]\nname = "{name}"\n'


def test_a_filter_is_active_and_refuses_what_it_matches_unless_told_otherwise(
    tmp_path: Path,
) -> None:
    text = FILTER.format(name="casino") + 'message = "(?i)casino"\napplications = [7]\n'
    (found,) = load(tmp_path, text).filters
    assert found == Filter(name="casino", message="(?i)casino", applications=(7,))
    assert (found.active, found.blacklist) == (True, True)


@pytest.mark.parametrize(
    ("lines", "line", "message"),
    [
        ("message = '(?=x)'", 3, "filters[0].message: filter a: not an RE2 pattern"),
        ("blacklist = true\nsource = '(a)\\1'", 4, "filters[0].source: filter a: not an RE2"),
        ("destination = '['", 3, "filters[0].destination: filter a: not an RE2 pattern"),
        ("message = 'x{1001}'", 3, "filters[0].message: filter a: not an RE2 pattern"),
        ("active = false\nmessage = '('", 4, "filters[0].message: filter a: not an RE2 pattern"),
        ("", 2, "filters[0].name: filter a has no condition"),
        ("blacklist = false\napplications = [1]", 3, "filters[0].blacklist: filter a is an allow-"),
        ("applications = [0]", 3, "filters[0].applications: expected int >= 1"),
        ("mesage = 'x'", 3, "filters[0].mesage: unknown key (is message meant?)"),
        ("message = 'x'\n[[filters]]\nname = 'a'\nmessage = 'y'", 5, "filters[1].name: a is given"),
        (f"message = 'x'\n[[filters]]\nname = '{'b' * 65}'", 5, "filters[1].name: expected str of"),
    ],
)
def test_a_filter_that_cannot_work_is_named_at_start(
    tmp_path: Path, lines: str, line: int, message: str
) -> None:
    found = refusal(tmp_path, FILTER.format(name="a") + lines + "\n")
    assert found.startswith(f"signalbox.toml line {line}: {message}")


@pytest.mark.parametrize(
    ("collector", "url"),
    [
        ("otel-collector:4318", "http://otel-collector:4318/v1/traces"),
        ("http://10.0.0.1:4318/", "http://10.0.0.1:4318/v1/traces"),
        ("https://traces.example.com", "https://traces.example.com/v1/traces"),
        ("https://example.com/otlp/traces", "https://example.com/otlp/traces"),
    ],
)
def test_a_collector_is_an_address_or_a_url(tmp_path: Path, collector: str, url: str) -> None:
    text = f'[monitoring]\notel = true\ncollector = "{collector}"\n'
    assert load(tmp_path, text).monitoring.collector_url == url


@pytest.mark.parametrize(
    ("lines", "line", "message"),
    [
        ("otel = true", 1, "monitoring.collector: needed for otel = true"),
        ('collector = "grpc://c:4317"', 2, "monitoring.collector: expected host:port, or a URL"),
        ('collector = ":4318"', 2, "monitoring.collector: expected host:port, or a URL"),
        ('collector = "c:70000"', 2, "monitoring.collector: expected host:port, or a URL"),
        ('collector = "[::1"', 2, "monitoring.collector: expected host:port, or a URL"),
        ("sampling = 1.1", 2, "monitoring.sampling: expected float <= 1.0"),
        ("sampling = -0.1", 2, "monitoring.sampling: expected float >= 0.0"),
        ("sampling = nan", 2, "monitoring.sampling: expected float"),
    ],
)
def test_tracing_without_a_collector_or_a_share_is_refused(
    tmp_path: Path, lines: str, line: int, message: str
) -> None:
    found = refusal(tmp_path, f"[monitoring]\n{lines}\n")
    assert found.startswith(f"signalbox.toml line {line}: {message}")


def test_the_example_explains_every_key_of_a_filter() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    assert documented(text, "[[filters]]") == list(Filter.__struct_fields__)
    (shown,) = Settings.load(EXAMPLE, {"SIGNALBOX_HOME": "/srv/box"}).filters
    changed = {"name": shown.name, "active": False, "message": shown.message}
    assert shown == Filter(**changed)


def documented(text: str, header: str) -> list[str]:
    """Return the keys below `header`, in order."""
    table = text.split(f"\n{header}\n")[1].split("\n[", maxsplit=1)[0]
    return re.findall(r"^(\w+) = ", table, re.MULTILINE)


POOL = '[[pools]]\nname = "p"\nlinks = ["a", "b"]\n'
PAIR = LINK.format(id=1) + LINK.format(id=2).replace('"a"', '"b"')


def test_a_pool_names_its_links(tmp_path: Path) -> None:
    (pool,) = load(tmp_path, PAIR + POOL).pools
    assert (pool.name, pool.links) == ("p", ("a", "b"))
    assert (pool.queue_wait_s_max, pool.failover_after_s, pool.balance) == (5.0, 1.0, False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PAIR + POOL + POOL, "pools[1].name: p is given twice"),
        (PAIR + POOL + POOL.replace('"p"', '"q"'), "pools[1].links: a is in pool p already"),
        (PAIR + POOL.replace('"b"', '"a"'), "pools[0].links: a is in pool p already"),
        (PAIR + POOL.replace('"b"', '"c"'), "pools[0].links: no links are named c"),
        (LINK.format(id=1) + LINK.format(id=2) + POOL, "pools[0].links: 2 links are named a"),
        (PAIR + POOL.replace('["a", "b"]', "[]"), "pools[0].links: expected"),
        (
            PAIR + 'long_mode = "sar"\n' + POOL,
            "pools[0].links: members differ in long_mode or default_alphabet",
        ),
    ],
)
def test_a_mistake_in_a_pool_is_found(tmp_path: Path, text: str, message: str) -> None:
    assert message in refusal(tmp_path, text)


EXPORTER = "[statistic_exporter]\nenabled = true\n"


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("influx:8086", "https://influx:8086"),
        ("[::1]:8086", "https://[::1]:8086"),
        ("https://metrics.example.com/influx", "https://metrics.example.com/influx"),
    ],
)
def test_statistics_go_to_an_address_or_a_url(tmp_path: Path, target: str, url: str) -> None:
    text = f'{EXPORTER}target = "{target}"\nbucket = "b"\n'
    exporter = load(tmp_path, text, STATISTIC_EXPORTER_TOKEN="hush").statistic_exporter
    assert (exporter.url, exporter.token) == (url, "hush")
    assert "hush" not in repr(exporter)


def test_statistics_may_go_unencrypted_when_that_is_said(tmp_path: Path) -> None:
    text = f'{EXPORTER}tls = false\nbucket = "b"\ntarget = "influx:8086"\n'
    assert load(tmp_path, text).statistic_exporter.url == "http://influx:8086"


@pytest.mark.parametrize(
    ("lines", "line", "message"),
    [
        ("", 1, "target: needed for enabled = true"),
        ('target = "influx:8086"', 1, "bucket: needed for enabled = true"),
        ('target = "udp://influx"', 3, "target: expected host:port, or a URL with http or https"),
        ('target = ":8086"', 3, "target: expected host:port, or a URL with http or https"),
        ('target = "me:x@influx:1"', 3, "target: must not hold a user or password"),
        ('target = "http://influx:8086"', 3, "target: contradicts tls = true"),
        ('tls = false\ntarget = "https://influx"', 4, "target: contradicts tls = false"),
        ("interval_s = 601", 3, "interval_s: expected float <= 600"),
        ("interval_s = 0", 3, "interval_s: expected float > 0"),
    ],
)
def test_an_exporter_that_cannot_work_is_refused_at_start(
    tmp_path: Path, lines: str, line: int, message: str
) -> None:
    found = refusal(tmp_path, f"{EXPORTER}{lines}\n")
    assert found.startswith(f"signalbox.toml line {line}: statistic_exporter.{message}")


APPLICATION = "[[applications]]\nid = 7\n"


def test_an_application_is_bound_to_networks(tmp_path: Path) -> None:
    text = APPLICATION + 'allowed_ips = ["10.0.0.0/8", "2001:db8::1"]\n'
    (found,) = load(tmp_path, text).applications
    assert found == Application(id=7, allowed_ips=("10.0.0.0/8", "2001:db8::1"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[applications]]\n", "line 1: applications[0].id: missing, and there is no default"),
        (APPLICATION + "allowed_ips = ['x']", "line 3: applications[0].allowed_ips: 'x' does not"),
        (APPLICATION + "allowed_ips = ['10.1.1.1/8']", "allowed_ips: 10.1.1.1/8 has host bits set"),
        (APPLICATION.replace("7", "0"), "line 2: applications[0].id: expected int >= 1"),
        (APPLICATION * 2, "line 4: applications[1].id: 7 is given twice"),
    ],
)
def test_an_application_that_is_none_is_named_at_start(
    tmp_path: Path, text: str, message: str
) -> None:
    assert message in refusal(tmp_path, text + "\n")


def test_the_example_explains_every_key_of_an_application() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    assert documented(text, "[[applications]]") == list(Application.__struct_fields__)
    assert Settings.load(EXAMPLE, {"SIGNALBOX_HOME": "/srv/box"}).applications == (
        Application(id=1),
    )


IP_POOL = '[[ip_pools]]\nname = "p"\nips = ["192.0.2.1", "2001:DB8::1"]\n'


def test_a_pool_of_addresses_names_them_as_everything_else_does(tmp_path: Path) -> None:
    (pool,) = load(tmp_path, IP_POOL).ip_pools
    assert pool.canonical_ips == ("192.0.2.1", "2001:db8::1")
    assert (pool.weights, pool.overflow, pool.policy) == ((), "", "defer")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (IP_POOL * 2, "ip_pools[1].name: p is given twice"),
        (IP_POOL.replace("192.0.2.1", "mail"), "line 3: ip_pools[0].ips: "),
        (IP_POOL.replace("192.0.2.1", "2001:db8:0::1"), "ips: an address is given twice"),
        (IP_POOL + "weights = [1]", "weights: expected one for each address, or none"),
        (IP_POOL + 'overflow = "q"', "overflow: no pool is named q"),
        (IP_POOL + 'overflow = "p"', "overflow: p has an overflow itself"),
        (IP_POOL + 'policy = "drop"', "ip_pools[0].policy: "),
    ],
)
def test_a_mistake_in_a_pool_of_addresses_is_found(tmp_path: Path, text: str, message: str) -> None:
    assert message in refusal(tmp_path, text + "\n")


def test_a_pool_of_addresses_overflows_into_another_one_level_deep(tmp_path: Path) -> None:
    second = IP_POOL.replace('"p"', '"q"')
    first, _ = load(tmp_path, IP_POOL + 'overflow = "q"\n' + second).ip_pools
    assert first.overflow == "q"
    third = second.replace('"q"', '"r"')
    text = IP_POOL + 'overflow = "q"\n' + second + 'overflow = "r"\n' + third
    assert "ip_pools[0].overflow: q has an overflow itself" in refusal(tmp_path, text)


def test_the_example_explains_every_key_of_a_pool_of_addresses() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    assert documented(text, "[[ip_pools]]") == list(IpPool.__struct_fields__)
    (pool,) = Settings.load(EXAMPLE, {"SIGNALBOX_HOME": "/srv/box"}).ip_pools
    assert pool == IpPool(name="ips-1", ips=("192.0.2.1",))


GROUPING = '[[groupings]]\nname = "&house"\ndomains = ["example.com"]\n'


def test_groupings_are_configured(tmp_path: Path) -> None:
    (grouping,) = load(tmp_path, GROUPING + 'mx = [".mx.example.com", "mx.*.example"]\n').groupings
    assert (grouping.name, grouping.domains) == ("&house", ("example.com",))
    assert grouping.mx == (".mx.example.com", "mx.*.example")
    (gone,) = load(tmp_path, '[[groupings]]\nname = "&google"\n').groupings
    assert gone.domains == gone.mx == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GROUPING * 2, "groupings[1].name: &house is given twice"),
        (GROUPING.replace("&", ""), "line 2: groupings[0].name: expected a name like &gmail"),
        (GROUPING.replace('"example.com"', ""), "groupings[0].name: &house has neither domains"),
        (GROUPING.replace("example.com", "a b"), "line 3: groupings[0].domains: "),
        (GROUPING + 'mx = ["mx..example"]', "line 4: groupings[0].mx: "),
        (
            GROUPING + GROUPING.replace("house", "other").replace("example.com", "Example.com"),
            "line 6: groupings[1].domains: Example.com is in grouping &house already",
        ),
    ],
)
def test_a_mistake_in_a_grouping_is_found(tmp_path: Path, text: str, message: str) -> None:
    assert message in refusal(tmp_path, text + "\n")


def test_the_example_explains_every_key_of_a_grouping_with_a_built_in_one() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    assert documented(text, "[[groupings]]") == list(Grouping.__struct_fields__)
    (shown,) = Settings.load(EXAMPLE, {"SIGNALBOX_HOME": "/srv/box"}).groupings
    assert (shown.name, shown.domains) == ("&gmail", PUBLISHED_DOMAINS["&gmail"])
    assert shown.mx == PUBLISHED_MX_HOSTS["&gmail"]


def test_keys_of_the_warm_up_come_from_the_environment_too(tmp_path: Path) -> None:
    warmup = load(tmp_path, '[warmup]\napi_keys = ["a"]\n', WARMUP_API_KEYS="b, c").warmup
    assert warmup.api_keys == ("b", "c")
    assert "api_keys='***'" in repr(warmup)


def test_keys_that_are_none_do_not_open_the_warm_up(tmp_path: Path) -> None:
    assert refusal(tmp_path, "", WARMUP_API_KEYS=" , ").startswith("WARMUP_API_KEYS: ")
    assert "warmup.api_keys" in refusal(tmp_path, '[warmup]\napi_keys = [""]\n')


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "+02:00", "-11:30"])
def test_days_begin_in_a_zone(tmp_path: Path, name: str) -> None:
    assert load(tmp_path, f'[warmup]\ntimezone = "{name}"\n').warmup.timezone == name


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../passwd", "Europe", "+2", "+24:00"])
def test_a_zone_that_is_none_is_found(tmp_path: Path, name: str) -> None:
    found = refusal(tmp_path, f'[warmup]\ntimezone = "{name}"\n')
    assert 'line 2: warmup.timezone: expected "UTC", "Europe/Berlin" or "+02:00"' in found


def test_words_of_a_status_may_be_others(tmp_path: Path) -> None:
    warmup = load(tmp_path, '[warmup]\nstatus_words = { BEHIND = "LATE" }\n').warmup
    assert warmup.status_words == {WarmupStatus.BEHIND: "LATE"}
    found = refusal(tmp_path, '[warmup]\nstatus_words = { X = "Y" }\n')
    assert "status_words" in found


def test_two_surfaces_do_not_share_a_port_of_their_own(tmp_path: Path) -> None:
    text = "[listeners]\nwarmup = 8090\nsms_proxy = 8090\n"
    assert "listeners.warmup: two surfaces have the same port" in refusal(tmp_path, text)


def test_what_is_set_for_websockets_is_what_the_server_gets(tmp_path: Path) -> None:
    assert Gateway(load(tmp_path, "")).channel_limits == ChannelLimits()
    text = '[websockets]\nsilence_s = 60\nallowed_origins = ["https://a.example"]\n'
    limits = Gateway(load(tmp_path, text)).channel_limits
    assert limits == ChannelLimits(silence_s=60, allowed_origins=("https://a.example",))
