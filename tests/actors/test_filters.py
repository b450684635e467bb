"""What content filters refuse, what stays of it, and that no text can make them slow."""

from collections.abc import Iterator
from dataclasses import dataclass
from time import process_time
from typing import Any

import pytest
from prometheus_client import REGISTRY
from support.gateway import StartGateway, handset, request
from support.smsc import NodeSmsc

from signalbox.actors.filters import BadPattern, Filters, Pattern, Rule, snippet
from signalbox.domain.errors import IdempotencyConflict, RejectedByFilter, UnknownLink
from signalbox.domain.rejection import MessageRejected
from signalbox.domain.text import PARTS_MAX
from signalbox.eventstore.errors import Unavailable

CASINO = Rule(name="casino", message="(?i)casino")
LONGEST = PARTS_MAX * 153  # characters; 3GPP TS 23.040, 9.2.3.24.1


@dataclass
class Asked:
    """A message as filters see it."""

    app_id: int = 7
    source: str = "Signalbox"
    destination: str = "+491700000001"
    text: str = "Come to the Casino"


@pytest.fixture(scope="module")
def smsc() -> Iterator[NodeSmsc]:
    with NodeSmsc(DLR_DELAY_MS=10) as smsc:
        yield smsc


def verdict(*rules: Rule, **asked: Any) -> str | None:  # noqa: ANN401
    return Filters(rules).refusing(Asked(**asked))


# rules


def test_without_filters_everything_passes() -> None:
    assert verdict() is None


@pytest.mark.parametrize(
    ("conditions", "refused"),
    [
        ({"message": "(?i)casino"}, True),
        ({"message": "casino"}, False),
        ({"message": "o the C"}, True),
        ({"message": "^to"}, False),
        ({"source": "^Signal", "message": "Casino"}, True),
        ({"source": "^[0-9]+$", "message": "Casino"}, False),
        ({"destination": r"^\+49", "source": "box$", "message": "Come"}, True),
        ({"destination": r"^\+43", "source": "box$", "message": "Come"}, False),
        ({"applications": (6, 7)}, True),
        ({"applications": (6,)}, False),
        ({"applications": (7,), "message": "Casino"}, True),
        ({"applications": (7,), "message": "Bingo"}, False),
        ({"applications": (6,), "message": "Casino"}, False),
    ],
)
def test_a_blacklist_refuses_what_meets_every_condition(
    conditions: dict[str, Any],
    refused: bool,  # noqa: FBT001
) -> None:
    assert verdict(Rule(name="f", **conditions)) == ("f" if refused else None)


@pytest.mark.parametrize(
    ("conditions", "refused"),
    [
        ({"destination": r"^\+49"}, False),
        ({"destination": r"^\+43"}, True),
        ({"destination": r"^\+49", "source": "^Signal"}, False),
        ({"destination": r"^\+49", "source": "^Other"}, True),
        ({"destination": r"^\+43", "applications": (7,)}, True),
        ({"destination": r"^\+43", "applications": (6,)}, False),
    ],
)
def test_an_allow_list_refuses_what_it_is_for_and_does_not_match(
    conditions: dict[str, Any],
    refused: bool,  # noqa: FBT001
) -> None:
    assert verdict(Rule(name="f", blacklist=False, **conditions)) == ("f" if refused else None)


def test_the_first_filter_that_refuses_decides() -> None:
    other, second = Rule(name="other", message="Bingo"), Rule(name="second", message="Casino")
    assert verdict(other, CASINO, second) == "casino"
    assert verdict(other, second, CASINO) == "second"


@pytest.mark.parametrize("blacklist", [True, False])
def test_an_inactive_filter_refuses_nothing(blacklist: bool) -> None:  # noqa: FBT001
    expression = "Casino" if blacklist else "Bingo"
    rule = Rule(name="f", blacklist=blacklist, message=expression)
    inactive = Rule(name="f", blacklist=blacklist, message=expression, active=False)
    assert verdict(rule) == "f"
    assert verdict(inactive) is None


def test_patterns_know_the_letters_of_every_alphabet() -> None:
    assert verdict(Rule(name="f", message="(?i)ÜBER.€"), text="das kostet über 5€ 😀 über") is None
    assert verdict(Rule(name="f", message="(?i)ÜBER.€"), text="😀 über5€") == "f"


@pytest.mark.parametrize("expression", ["(?=x)", "(?<!x)y", r"(a)\1", "[", "(", "a{1001}", "\\"])
def test_what_re2_cannot_search_in_linear_time_is_no_pattern(expression: str) -> None:
    with pytest.raises(BadPattern, match="not an RE2 pattern"):
        Pattern(expression)


def test_a_pattern_beyond_its_memory_is_refused_where_it_is_compiled() -> None:
    with pytest.raises(BadPattern, match="too large"):
        Pattern(r"(?:\pL{0,500}){2}" * 20)


@pytest.mark.parametrize(
    ("expression", "unit"),
    [
        ("(a+)+$", "a"),
        ("(a|aa)*c", "a"),
        ("(?:a?){300}a{300}b", "a"),
        (r"(\w+\s?)*!!$", "word "),
        ("(.*)(.*)(.*)(.*)[^a]x$", "a"),
    ],
)
def test_a_hostile_text_costs_in_proportion_to_its_length(expression: str, unit: str) -> None:
    pattern = Pattern(expression)

    def cost_s(characters: int) -> float:
        text = (unit * characters)[:characters] + "!"
        assert not pattern.found_in(text)
        return min(_cpu_s(pattern, text) for _ in range(3))

    # Eight times the text: a backtracking search would need many thousand times as long.
    assert cost_s(LONGEST) <= 8 * 4 * max(cost_s(LONGEST // 8), 0.0005)


def _cpu_s(pattern: Pattern, text: str) -> float:
    begun_s = process_time()
    pattern.found_in(text)
    return process_time() - begun_s


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        (CASINO, 'refuse if message ~ "(?i)casino"'),
        (
            Rule(name="f", source="^1", destination=r"^\+?49", message='"ü"', applications=(1,)),
            (
                r'application in [1]: refuse if source ~ "^1" and destination ~ "^\\+?49"'
                r' and message ~ "\"ü\""'
            ),
        ),
        (Rule(name="f", blacklist=False, source="^A$"), 'refuse unless source ~ "^A$"'),
        (
            Rule(name="f", blacklist=False, source="^A$", applications=(3,)),
            'application in [3]: refuse unless source ~ "^A$"',
        ),
        (Rule(name="f", applications=(3,)), "application in [3]: refuse"),
    ],
)
def test_a_rule_reads_as_one_line(rule: Rule, line: str) -> None:
    assert snippet(rule) == line


# on the way of a message


def rejections() -> float:
    return REGISTRY.get_sample_value("signalbox_rejected_total", {"filter": "casino"}) or 0.0


def test_a_refused_message_leaves_an_event_and_nothing_else(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port)
    sending, destination, before = gateway.sending_anew(rules=[CASINO]), handset(), rejections()
    asked = request(
        destination, "Casino", app_id=4, transaction_id="t-1", campaign="c", by="user-9",
        request_id="r-1",
    )  # fmt: skip
    with pytest.raises(RejectedByFilter, match="rejected by filter casino"):
        sending.send(asked)
    (recorded,) = [one for batch in gateway.log.everything() for one in batch
                   if isinstance(one.event, MessageRejected)]  # fmt: skip
    assert recorded.event == MessageRejected(
        filter="casino",
        app_id=4,
        link_id=1,
        source="Signalbox",
        destination=destination,
        transaction_id="t-1",
        campaign="c",
    )
    assert recorded.stream_id.startswith("rejection-")
    assert (recorded.version, recorded.tenant_id) == (1, "app-4")
    assert (recorded.by, recorded.request_id) == ("user-9", "r-1")
    assert rejections() == before + 1
    assert sending.send(request(destination, "Bingo")).status == "submitted"
    assert len(smsc.seen(destination)) == 1


def test_addresses_of_a_refused_message_are_sealed_and_its_text_is_not_kept(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port)
    destination = handset()
    with pytest.raises(RejectedByFilter):
        gateway.sending_anew(rules=[CASINO]).send(request(destination, "Casino Royale"))
    with gateway.log.pool.connection() as connection:
        row = connection.execute(
            "SELECT convert_from(state, 'UTF8') AS state FROM signalbox.stored_events"
            " WHERE topic = 'message.rejected.1'"
        ).fetchone()
    assert row is not None
    assert "Royale" not in row["state"]
    assert destination not in row["state"]


def test_without_its_link_a_message_is_not_even_filtered(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port)
    with pytest.raises(UnknownLink):
        gateway.sending_anew(rules=[CASINO]).send(request(handset(), "Casino", link_id=9))
    assert gateway.events(MessageRejected) == []


@pytest.mark.parametrize("key", [{"transaction_id": "t-1"}, {"idempotency_key": "k-1"}])
def test_what_was_accepted_before_its_filter_came_keeps_its_result(
    smsc: NodeSmsc, start_gateway: StartGateway, key: dict[str, str]
) -> None:
    gateway = start_gateway(smsc.port)
    asked = request(handset(), "Casino", **key)
    first = gateway.sending.send(asked)
    filtered = gateway.sending_anew(rules=[CASINO])
    assert filtered.send(asked) == first
    assert gateway.events(MessageRejected) == []
    other = {name: value + "x" for name, value in key.items()}
    with pytest.raises(RejectedByFilter):
        filtered.send(request(handset(), "Casino", **other))


def test_a_used_key_with_another_text_is_a_conflict_whatever_filters_say(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port)
    destination = handset()
    gateway.send(destination, "Bingo", idempotency_key="k-1")
    with pytest.raises(IdempotencyConflict):
        gateway.sending_anew(rules=[CASINO]).send(
            request(destination, "Casino", idempotency_key="k-1")
        )


def test_a_refusal_that_cannot_be_stored_is_not_told(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port)
    sending = gateway.sending_anew(rules=[CASINO])
    gateway.close()
    with pytest.raises(Unavailable):
        sending.send(request(handset(), "Casino"))
