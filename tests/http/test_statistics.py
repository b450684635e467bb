"""The dashboard's figures and the campaigns, for everybody who may look."""

from dataclasses import replace
from typing import Any

import falcon.testing
import pytest
from support.sms_proxy import ADMIN, HOUR_S, ROW, STATISTICS, USER, FakePool, Surface

from signalbox.projections.activity import Minute
from signalbox.projections.campaigns import OFFSET_MAX
from signalbox.projections.dashboard import Statistics

TWINS = [("", USER), ("/admin", ADMIN)]
STATS = [
    ("/dashboard/stats", {}),
    ("/api/v1/dashboard/stats", USER),
    ("/api/v1/admin/dashboard/stats", ADMIN),
]
CAMPAIGNS = "/api/v1/admin/metrics/campaigns"


def stats_of(surface: Surface, hour: Statistics) -> Any:  # noqa: ANN401  (JSON)
    surface.reads.hour = hour
    return surface.client().simulate_get("/dashboard/stats").json["data"]


@pytest.mark.parametrize(("path", "headers"), STATS)
def test_the_same_statistics_are_behind_every_door(
    client: falcon.testing.TestClient, path: str, headers: dict[str, str]
) -> None:
    answer = client.simulate_get(path, headers=headers)
    assert answer.status_code == 200
    body = answer.json
    assert list(body["data"]) == ["rps", "errors", "topCampaignStats", "system"]
    rps, errors = body["data"]["rps"], body["data"]["errors"]
    assert body["success"] is True
    assert (len(rps["data"]), len(errors["data"])) == (60, 60)
    assert rps["current"] == 1200
    assert rps["data"][-2:] == [
        {"time": "07:59", "rps": 1150.02},
        {"time": "08:00", "rps": 1200.0},
    ]
    assert rps["data"][0] == {"time": "07:01", "rps": 0.0}
    assert errors["data"][0] == {"time": "07:01", "errors": 0, "rate": 0.0}
    assert errors["data"][-2] == {"time": "07:59", "errors": 3, "rate": 0.0}
    assert body["data"]["topCampaignStats"] == [
        {"index": 1, "name": "campaign-abc", "short_name": "campaign-abc", "messages": 54_321},
        {
            "index": 2,
            "name": "a campaign with a long name",
            "short_name": "a campaign with a lo",
            "messages": 1,
        },
    ]
    assert body["data"]["system"] == {"cpu": 23.4, "ram": 65.0, "disk": 41.2}


def test_rates_are_floats_and_the_present_is_a_whole_number(
    client: falcon.testing.TestClient,
) -> None:
    text = client.simulate_get("/dashboard/stats").text
    assert '"current":1200,' in text
    assert '"rps":0.0' in text
    assert '"rate":0.0' in text


@pytest.mark.parametrize(
    ("minute", "rate"),
    [
        (Minute(HOUR_S, accepted=1150, failed=3), 0.26),
        (Minute(HOUR_S, accepted=1, rejected=1), 50.0),
        (Minute(HOUR_S, rejected=4), 100.0),
        (Minute(HOUR_S, failed=4), 0.0),
        (Minute(HOUR_S, accepted=3, failed=1), 33.33),
    ],
)
def test_the_rate_is_a_percentage_of_what_was_asked_for(
    surface: Surface, minute: Minute, rate: float
) -> None:
    errors = stats_of(surface, replace(STATISTICS, minutes=(minute,)))["errors"]
    assert (errors["rate"], errors["data"][0]["rate"]) == (rate, rate)


def test_the_rate_of_the_hour_is_not_the_mean_of_its_minutes(surface: Surface) -> None:
    minutes = (Minute(HOUR_S - 60, accepted=99), Minute(HOUR_S, accepted=1, failed=1))
    assert stats_of(surface, replace(STATISTICS, minutes=minutes))["errors"]["rate"] == 1.0


@pytest.mark.parametrize(
    ("now_s", "rps"),
    [(HOUR_S, 30.0), (HOUR_S + 0.5, 30.0), (HOUR_S + 15, 2.0), (HOUR_S + 59, 0.51)],
)
def test_the_running_minute_counts_for_as_long_as_it_runs(
    surface: Surface, now_s: float, rps: float
) -> None:
    hour = Statistics(now_s=now_s, minutes=(Minute(HOUR_S, accepted=30),))
    assert stats_of(surface, hour)["rps"]["data"] == [{"time": "08:00", "rps": rps}]


def test_statistics_can_be_closed() -> None:
    client = Surface(stats_auth="admin").client()
    client_open = falcon.testing.TestClient(client.app)  # not the answers that are described
    closed = client_open.simulate_get("/dashboard/stats")
    assert (closed.status_code, closed.json) == (401, {"error": "invalid or missing admin key"})
    assert client_open.simulate_get("/dashboard/stats", headers=USER).status_code == 401
    assert client_open.simulate_get("/dashboard/stats", headers=ADMIN).status_code == 200


@pytest.mark.parametrize(("prefix", "headers"), TWINS)
def test_pools_are_listed_with_what_their_links_may_submit(
    prefix: str, headers: dict[str, str]
) -> None:
    pools = [FakePool("pool-1", ("smpp-link-1", "smpp-link-2")), FakePool("pool-2", ("other",))]
    surface = Surface(pools=pools)
    surface.reads.rows = [
        ROW,
        replace(ROW, id=2, name="smpp-link-2"),
        replace(ROW, id=3, name="other", enabled=False),
    ]
    path = f"/api/v1{prefix}/dashboard/load-balancers"
    answer = surface.client().simulate_get(path, headers=headers)
    assert answer.json == {
        "success": True,
        "data": [
            {"id": 0, "name": "pool-1", "links": ["smpp-link-1", "smpp-link-2"], "total_tps": 200},
            {"id": 1, "name": "pool-2", "links": ["other"], "total_tps": 0},
        ],
    }


def test_without_pools_there_is_an_empty_list(client: falcon.testing.TestClient) -> None:
    answer = client.simulate_get("/api/v1/dashboard/load-balancers", headers=USER)
    assert answer.json == {"success": True, "data": []}


@pytest.mark.parametrize(("prefix", "headers"), TWINS)
@pytest.mark.parametrize("name", ["metrics", "smpp-links", "load-balancers"])
def test_a_dashboard_that_can_not_be_read_is_the_references_500(
    surface: Surface, prefix: str, headers: dict[str, str], name: str
) -> None:
    surface.reads.away = True
    answer = surface.client().simulate_get(f"/api/v1{prefix}/dashboard/{name}", headers=headers)
    assert (answer.status_code, answer.json) == (
        500,
        {"success": False, "error": "service unavailable, try again"},
    )
    assert answer.headers["retry-after"] == "3"


@pytest.mark.parametrize(("path", "headers"), STATS)
def test_statistics_that_can_not_be_read_say_so(
    surface: Surface, path: str, headers: dict[str, str]
) -> None:
    surface.reads.away = True
    answer = surface.client().simulate_get(path, headers=headers)
    assert (answer.status_code, answer.json) == (
        500,
        {"success": False, "error": "failed to get top campaigns"},
    )
    assert answer.headers["retry-after"] == "3"


def test_campaigns_come_in_pages(surface: Surface, client: falcon.testing.TestClient) -> None:
    answer = client.simulate_get(CAMPAIGNS, headers=ADMIN)
    assert (answer.status_code, answer.json) == (
        200,
        {
            "success": True,
            "data": [
                {
                    "campaign_uuid": "abc-123",
                    "messages_sent": 1000,
                    "messages_failed": 5,
                    "messages_total": 1005,
                    "sme": 1,
                    "messages_partial": 2,
                    "app_id": 7,
                }
            ],
            "pagination": {"page": 1, "limit": 50, "total": 120, "totalPages": 3},
        },
    )
    assert surface.reads.asked_for == [(0, 50)]


@pytest.mark.parametrize(
    ("query", "page", "limit"),
    [
        ("page=3&limit=10", 3, 10),
        ("limit=100", 1, 100),
        ("limit=101", 1, 100),
        (f"limit={'9' * 5000}", 1, 100),
        ("page=0&limit=0", 1, 50),
        (f"page=-{'9' * 5000}&limit=-1", 1, 50),
        ("page=007", 7, 50),
    ],
)
def test_a_page_is_kept_within_bounds(
    surface: Surface, client: falcon.testing.TestClient, query: str, page: int, limit: int
) -> None:
    answer = client.simulate_get(CAMPAIGNS, headers=ADMIN, query_string=query)
    pages = -(-120 // limit)
    assert answer.json["pagination"] == {
        "page": page, "limit": limit, "total": 120, "totalPages": pages,
    }  # fmt: skip
    assert surface.reads.asked_for == [((page - 1) * limit, limit)]


@pytest.mark.parametrize("name", ["page", "limit"])
@pytest.mark.parametrize(
    "value", ["a", "1.0", "1e3", "", "+1", "0x1", "\u0661", "1;2", "--1", "1,2"]
)
def test_a_page_is_a_number(client: falcon.testing.TestClient, name: str, value: str) -> None:
    answer = client.simulate_get(CAMPAIGNS, headers=ADMIN, params={name: value})
    assert (answer.status_code, answer.json) == (
        400,
        {"success": False, "error": f"{name}: expected a number"},
    )


@pytest.mark.parametrize("page", [OFFSET_MAX, 2**63 - 1, 2**63, 10**100])
def test_a_page_too_far_back_is_refused(client: falcon.testing.TestClient, page: int) -> None:
    answer = client.simulate_get(CAMPAIGNS, headers=ADMIN, query_string=f"page={page}")
    assert (answer.status_code, answer.json) == (
        400,
        {"success": False, "error": "page: too far back"},
    )


def test_campaigns_of_a_store_that_is_away_may_be_asked_for_again(surface: Surface) -> None:
    surface.reads.away = True
    answer = surface.client().simulate_get(CAMPAIGNS, headers=ADMIN)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
