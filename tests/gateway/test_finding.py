"""Bridges that nobody configured: whom we follow, when we search, where we go and where never."""

import itertools

import pytest

from nuki2mqtt.errors import BridgeError, BridgeErrorKind
from nuki2mqtt.gateway.finding import DEAD_S, LATER_S, REJECTED_S, SOON_S, SOON_TIMES
from nuki2mqtt.gateway.vocabulary import (
    BridgeMemory,
    BridgePaired,
    BridgesFound,
    CallBridge,
    Effect,
    FindBridges,
    Memory,
    OpenCallbackDoor,
    ReachBridge,
    Remember,
)
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.bridge_api import InfoAnswer, InfoRequest, ListAnswer, ListRequest
from nuki2mqtt.protocol.bridge_auth import AuthMode
from nuki2mqtt.protocol.discovery import Candidate, How, Tried, Verdict, host_names
from tests.gateway.builders import BRIDGE_ID, LINK, LOCKED, TOKEN, Hand, entry, info, logged, only, said, wall

NO_BRIDGES = "version: 1\ncallback: {enabled: false}\n"
STAY = NO_BRIDGES + "find: {follow: false}\n"
LISTED = "version: 1\ncallback: {enabled: false}\nbridges:\n  - {host: 192.0.2.10, token: abcdef}\n"
NEW = "192.0.2.44:8080"
GONE = BridgeError(BridgeErrorKind.TIMEOUT, "silence")
OTHER_ID = NukiId(0x0BADBAD0)


def learnt(auth: AuthMode | None = AuthMode.ENCRYPTED, at: str | None = None) -> Memory:
    return Memory({LINK: BridgeMemory(BRIDGE_ID, TOKEN, auth, at)})


def tried(
    host: str = "192.0.2.44",
    bridge_id: NukiId | None = BRIDGE_ID,
    verdict: Verdict = Verdict.BRIDGE,
    also: tuple[str, ...] = (),
    port: int = 8080,
) -> Tried:
    return Tried(Candidate(host, port, bridge_id, (How.MDNS,)), verdict, "wants a token (401)", also)


def started(config: str = NO_BRIDGES, memory: Memory | None = None) -> tuple[Hand, list[Effect]]:
    hand = Hand.with_config(config, memory)
    return hand, hand.gateway.begin() + hand.own_base()


def followed(config: str = NO_BRIDGES, memory: Memory | None = None) -> Hand:
    """A Bridge that has answered its identity and a list."""
    hand, effects = started(config, memory or learnt())
    hand.follow(entry(LOCKED, 0.0), asked=effects)
    return hand


def calls(effects: list[Effect]) -> list[CallBridge]:
    return only(effects, CallBridge)


def die(hand: Hand, seconds: float = DEAD_S + 60, error: BridgeError = GONE) -> list[Effect]:
    """Nothing that is asked meanwhile is answered otherwise."""
    effects = hand.wait(1)
    told: list[Effect] = []
    for _ in range(1000):
        told += effects
        open_calls = calls(effects)
        if not open_calls and seconds <= 0:
            return told
        if open_calls:
            effects = hand.answer(open_calls[0], error)
        else:
            effects = hand.wait(5)
            seconds -= 5
    raise AssertionError("it does not come to rest")


def dead(config: str = NO_BRIDGES, memory: Memory | None = None) -> tuple[Hand, FindBridges]:
    hand = followed(config, memory)
    (search,) = only(die(hand), FindBridges)
    return hand, search


def found(hand: Hand, *finds: Tried) -> list[Effect]:
    """A search ends with these; the old address is asked once more and is silent."""
    effects = hand.tell(BridgesFound(finds))
    for _ in range(3):
        for call in calls(effects):
            assert call.request == InfoRequest()
            return effects + hand.answer(call, GONE)
        effects += hand.wait(1)
    return effects


def answer_until(hand: Hand, effects: list[Effect], answer: InfoAnswer | BridgeError) -> list[Effect]:
    """The first identity question from now on is answered so; what follows."""
    for _ in range(50):
        for call in calls(effects):
            assert isinstance(call.request, InfoRequest)
            return hand.answer(call, answer)
        effects = hand.wait(5)
    raise AssertionError("nobody is asked")


# --- whom we follow ---


def test_with_no_bridge_in_the_settings_those_with_a_token_are_followed_at_their_addresses() -> None:
    _, effects = started(memory=Memory({LINK: BridgeMemory(BRIDGE_ID, TOKEN), "192.0.2.11:8080": BridgeMemory()}))

    assert only(effects, ReachBridge) == [ReachBridge(LINK, "192.0.2.10", 8080)]
    assert [call.link for call in calls(effects)] == [LINK]
    assert logged(effects, "warning") == []


def test_with_bridges_in_the_settings_a_token_of_another_one_is_kept_but_not_used() -> None:
    hand, effects = started(LISTED, Memory({"192.0.2.77:8080": BridgeMemory(OTHER_ID, Secret("other"))}))
    effects += hand.follow(entry(LOCKED, 0.0), asked=effects)

    assert [call.link for call in calls(effects)] == [LINK, LINK]
    assert only(effects, ReachBridge) == []
    assert only(effects, Remember)[-1].memory.bridges["192.0.2.77:8080"].token == Secret("other")


@pytest.mark.parametrize(
    "link", ["", "192.0.2.10", "192.0.2.10:0", "192.0.2.10:99999", "a b:8080", "h:1_0", "[::1]x:80"]
)
def test_what_is_no_address_in_the_state_file_is_not_followed(link: str) -> None:
    _, effects = started(memory=Memory({link: BridgeMemory(BRIDGE_ID, TOKEN)}))

    assert (calls(effects), only(effects, ReachBridge)) == ([], [])


def test_a_paired_bridge_is_followed_at_once_with_its_callbacks() -> None:
    hand, _ = started("version: 1\n")
    effects = hand.tell(BridgePaired(LINK, TOKEN))

    assert only(effects, ReachBridge) == [ReachBridge(LINK, "192.0.2.10", 8080)]
    (door,) = only(effects, OpenCallbackDoor)
    assert [(path.link, path.host) for path in door.paths] == [(LINK, "192.0.2.10")]
    assert effects.index(only(effects, ReachBridge)[0]) < effects.index(calls(effects)[0])
    assert only(effects, Remember)[-1].memory.bridges == {LINK: BridgeMemory(None, TOKEN)}


def test_where_a_bridge_has_moved_it_is_followed_after_a_restart_and_keeps_its_name() -> None:
    hand, effects = started(memory=learnt(at=NEW))
    hand.follow(entry(LOCKED, 0.0), asked=effects)

    assert only(effects, ReachBridge) == [ReachBridge(LINK, "192.0.2.44", 8080)]
    assert hand.gateway._following.remember_bridges() == learnt(at=NEW).bridges


def test_two_that_have_exchanged_their_addresses_keep_their_tokens() -> None:
    """By reading: after a new router one was at the other's former address, and the other one's token was lost."""
    other = BridgeMemory(OTHER_ID, Secret("other"), AuthMode.ENCRYPTED)
    memory = Memory({LINK: BridgeMemory(BRIDGE_ID, TOKEN, AuthMode.ENCRYPTED, NEW), NEW: other})
    hand, effects = started(memory=memory)

    assert only(effects, ReachBridge) == [ReachBridge(LINK, "192.0.2.44", 8080), ReachBridge(NEW, "192.0.2.44", 8080)]
    assert hand.gateway._following.remember_bridges() == memory.bridges


def test_what_is_paired_at_the_former_address_of_a_moved_one_is_another_bridge() -> None:
    hand, _ = started(memory=learnt(at=NEW))
    effects = hand.tell(BridgePaired(LINK, Secret("other")))

    name = f"{LINK}/2"
    assert only(effects, ReachBridge) == [ReachBridge(name, "192.0.2.10", 8080)]
    assert [(call.link, call.token) for call in calls(effects)] == [(name, Secret("other"))]
    assert only(effects, Remember)[-1].memory.bridges == {
        **learnt(at=NEW).bridges,
        name: BridgeMemory(None, Secret("other"), None, LINK),
    }
    _, again = started(memory=only(effects, Remember)[-1].memory)
    assert ReachBridge(name, "192.0.2.10", 8080) in again


def test_who_is_listed_at_the_former_address_of_a_moved_one_gets_neither_its_token_nor_its_name() -> None:
    hand, effects = started(LISTED.replace(", token: abcdef", ""), learnt(at=NEW))

    assert calls(effects) == []
    assert hand.gateway._following.links[LINK].bridge_id is None


def test_a_moved_one_that_is_listed_later_needs_no_new_token() -> None:
    settings = "version: 1\ncallback: {enabled: false}\nbridges:\n  - {host: 192.0.2.44}\n"
    hand, effects = started(settings, learnt(at=NEW))

    assert [(call.link, call.token) for call in calls(effects)] == [(NEW, TOKEN)]
    assert list(hand.gateway._following.remember_bridges()) == [NEW]


A, B = "192.0.2.20:8080", "192.0.2.21:8080"
MOVED = {A: BridgeMemory(OTHER_ID, Secret("moved"), AuthMode.ENCRYPTED, B)}


def tokens(hand: Hand) -> dict[str, tuple[str, str | None]]:
    """What is remembered of each Bridge: its token and where it is, by its name."""
    bridges = hand.gateway._following.remember_bridges()
    return {name: (one.token.reveal() if one.token else "", one.at) for name, one in bridges.items() if name != LINK}


def test_the_last_token_of_an_address_is_the_one_that_counts() -> None:
    """A Bridge met at A has moved to B; somebody pairs twice at A, which is not in the settings."""
    hand, _ = started(LISTED, Memory(dict(MOVED)))
    hand.tell(BridgePaired(A, Secret("first")))
    hand.tell(BridgePaired(A, Secret("second")))
    assert tokens(hand) == {A: ("moved", B), f"{A}/2": ("second", A)}


def test_who_is_paired_anew_where_it_has_moved_has_the_new_token() -> None:
    hand, _ = started(LISTED, Memory(dict(MOVED)))
    hand.tell(BridgePaired(B, Secret("fresh")))
    assert tokens(hand) == {A: ("fresh", B)}


def test_a_moved_one_is_kept_beside_who_is_listed_at_its_former_address() -> None:
    hand, _ = started(LISTED.replace("192.0.2.10", "192.0.2.20"), Memory(dict(MOVED)))
    assert tokens(hand) == {A: ("", None), B: ("moved", B)}


@pytest.mark.parametrize(
    ("hosts", "kept"),
    [
        (["192.0.2.21"], {B: ("one", None), f"{B}/2": ("two", A)}),
        (["192.0.2.20"], {A: ("two", None), f"{A}/2": ("one", B)}),
        (["192.0.2.20", "192.0.2.21"], {A: ("two", None), B: ("one", None)}),
    ],
)
def test_of_two_that_have_exchanged_addresses_the_unlisted_one_keeps_its_token(
    hosts: list[str], kept: dict[str, tuple[str, str | None]]
) -> None:
    first = BridgeMemory(BRIDGE_ID, Secret("one"), AuthMode.ENCRYPTED, B)
    second = BridgeMemory(OTHER_ID, Secret("two"), AuthMode.ENCRYPTED, A)
    listed = "".join(f"  - {{host: {host}}}\n" for host in hosts)
    config = f"version: 1\ncallback: {{enabled: false}}\nbridges:\n{listed}"
    hand, _ = started(config, Memory({A: first, B: second}))
    assert tokens(hand) == kept


def test_of_two_that_were_met_at_one_address_the_same_one_is_followed_there_at_each_start() -> None:
    """X has moved to the address of A, which was dead; now that address is listed."""
    config = "version: 1\ncallback: {enabled: false}\nbridges:\n  - {host: 192.0.2.20}\n"
    old = BridgeMemory(BRIDGE_ID, Secret("old"), AuthMode.ENCRYPTED)
    new = BridgeMemory(OTHER_ID, Secret("new"), AuthMode.ENCRYPTED, A)
    memory = Memory({A: old, "192.0.2.30:8080": new})
    for _ in range(4):
        hand, effects = started(config, memory)
        assert [call.token for call in calls(effects)] == [Secret("new")]
        memory = Memory(dict(hand.gateway._following.remember_bridges()))


def test_the_address_of_another_bridge_that_answers_is_no_place_to_go() -> None:
    """A stale list of Nuki's names the dead one there."""
    living = {A: BridgeMemory(OTHER_ID, Secret("living"), AuthMode.ENCRYPTED)}
    hand, effects = started(NO_BRIDGES, Memory(learnt().bridges | living))

    is_alive = {LINK: True, A: True}

    def live_on(effects: list[Effect], turns: int) -> list[Effect]:
        """Both are asked, and answer as long as they live; gives all effects of so many turns."""
        told: list[Effect] = []
        for _ in range(turns):
            told += effects
            open_calls = calls(effects)
            if not open_calls:
                effects = hand.wait(5)
                continue
            link = open_calls[0].link
            answer = info(hand.now, bridge_id=BRIDGE_ID if link == LINK else OTHER_ID)
            is_info = isinstance(open_calls[0].request, InfoRequest)
            said = (answer if is_info else ListAnswer(())) if is_alive[link] else GONE
            effects = [*open_calls[1:], *hand.answer(open_calls[0], said)]
        return told

    live_on(effects, 12)
    is_alive[LINK] = False
    (search,) = only(live_on(hand.wait(5), 140), FindBridges)
    assert search.followed_ids == {OTHER_ID}
    stale = Candidate("192.0.2.20", 8080, None, (How.CLOUD,), BRIDGE_ID)
    told = live_on(hand.tell(BridgesFound((Tried(stale, Verdict.BRIDGE, "is followed already"),))), 60)
    assert only(told, ReachBridge) == []
    assert LINK in {call.link for call in calls(told)}
    assert {(call.link, call.token) for call in calls(told)} <= {(LINK, TOKEN), (A, Secret("living"))}


# --- when we search ---


def test_with_no_bridge_at_all_a_search_begins_at_once() -> None:
    hand, effects = started()

    assert only(effects, FindBridges) == [FindBridges()]
    assert only(hand.wait(3600), FindBridges) == []  # it lasts as long as it lasts


def test_searches_come_each_minute_then_every_ten() -> None:
    hand, effects = started()
    times: list[float] = []
    for _ in range(SOON_TIMES + 2):
        assert len(only(effects, FindBridges)) == 1
        times.append(hand.now)
        hand.wait(5)
        hand.tell(BridgesFound(()))
        effects = hand.wait(SOON_S if len(times) < SOON_TIMES else LATER_S)

    gaps = [round(later - sooner - 5) for sooner, later in itertools.pairwise(times)]
    assert gaps == [SOON_S] * (SOON_TIMES - 1) + [LATER_S] * 2


def test_what_was_found_is_told_once_with_the_command_that_pairs() -> None:
    hand, _ = started()
    effects = hand.tell(BridgesFound((tried(),)))

    assert logged(effects, "warning") == [
        f"Nuki Bridge {BRIDGE_ID} is at {NEW} (found by mDNS). Pair with it: nuki2mqtt pair --host 192.0.2.44"
    ]
    hand.wait(SOON_S)
    assert logged(hand.tell(BridgesFound((tried(),))), "warning") == []


def test_when_nothing_was_found_a_person_is_told_once_what_to_do() -> None:
    hand, _ = started()
    effects = hand.tell(BridgesFound((), ("mDNS is not possible: no network.",)))

    first, second = logged(effects, "warning")
    assert first == "mDNS is not possible: no network."
    assert second.startswith("No Bridge is configured or paired, and none was found")
    hand.wait(SOON_S)
    assert logged(hand.tell(BridgesFound(())), "warning") == []


def test_without_a_way_to_search_nothing_is_searched() -> None:
    hand, effects = started("version: 1\nfind: {mdns: false, hostnames: false}\n")

    assert only(effects + hand.wait(7200), FindBridges) == []


def test_a_healthy_bridge_is_no_reason_to_search() -> None:
    hand = followed()
    effects = hand.wait(30)
    for _ in range(200):
        for call in calls(effects):
            answer = info(hand.now) if isinstance(call.request, InfoRequest) else ListAnswer((entry(LOCKED, 0.0),))
            effects = hand.answer(call, answer)
            break
        else:
            effects = hand.wait(30)
        assert only(effects, FindBridges) == []


def test_a_dead_bridge_is_searched_for_after_three_minutes_by_its_names() -> None:
    hand = followed()
    began = hand.now
    effects = die(hand, seconds=DEAD_S - 20)

    assert only(effects, FindBridges) == []
    effects = die(hand, seconds=60)
    assert only(effects, FindBridges) == [FindBridges(host_names({BRIDGE_ID: 8080}))]
    assert hand.now - began < DEAD_S + 120


@pytest.mark.parametrize("kind", [BridgeErrorKind.TOKEN_REFUSED, BridgeErrorKind.BUSY, BridgeErrorKind.RESET])
def test_a_bridge_that_says_something_is_not_dead(kind: BridgeErrorKind) -> None:
    hand = followed()

    assert only(die(hand, 600, BridgeError(kind, "")), FindBridges) == []


def test_a_bridge_that_is_asked_anyway_is_not_asked_by_the_search() -> None:
    second = "192.0.2.11:8080"
    memory = Memory({**learnt().bridges, second: BridgeMemory(OTHER_ID, TOKEN, AuthMode.ENCRYPTED)})
    hand, effects = started(memory=memory)
    found: list[FindBridges] = []
    for _ in range(400):
        found += only(effects, FindBridges)
        if found:
            break
        asked = calls(effects)
        effects = []
        for call in asked:
            alive = info(hand.now, bridge_id=OTHER_ID) if isinstance(call.request, InfoRequest) else ListAnswer(())
            effects += hand.answer(call, alive if call.link == second else GONE)
        effects = effects or hand.wait(2)

    assert found == [
        FindBridges(host_names({BRIDGE_ID: 8080, OTHER_ID: 8080}), frozenset({second}), frozenset({OTHER_ID}))
    ]


# --- where we go ---


def test_a_dead_learnt_bridge_is_asked_who_it_is_where_it_was_found_and_followed_there() -> None:
    hand, _ = dead()
    effects = found(hand, tried())

    assert only(effects, ReachBridge) == [ReachBridge(LINK, "192.0.2.44", 8080)]
    began = hand.now
    (call,) = calls(hand.wait(1))
    assert hand.now - began == 1.0  # the search has just asked there
    assert (call.link, call.request, call.auth) == (LINK, InfoRequest(), AuthMode.ENCRYPTED)
    effects = hand.answer(call, info(hand.now))
    assert logged(effects, "warning")[0] == f"Bridge {BRIDGE_ID} has moved from {LINK} to {NEW}, and is followed there."
    assert only(effects, Remember)[-1].memory.bridges[LINK] == BridgeMemory(BRIDGE_ID, TOKEN, AuthMode.ENCRYPTED, NEW)
    (asked,) = calls(hand.wait(1))
    assert isinstance(asked.request, ListRequest)
    told = hand.answer(asked, ListAnswer((entry(LOCKED, wall(hand.now).timestamp() - wall(0).timestamp()),)))
    assert only(told, ReachBridge) == []


def test_its_callbacks_are_expected_from_there() -> None:
    hand, _ = dead("version: 1\n")
    effects = answer_until(hand, found(hand, tried())[-1:], info(hand.now))

    (door,) = only(effects, OpenCallbackDoor)
    assert [(path.link, path.host) for path in door.paths] == [(LINK, "192.0.2.44")]


def test_at_another_port_of_the_same_host_its_callbacks_come_to_another_path() -> None:
    hand, _ = dead("version: 1\n")
    effects = answer_until(hand, found(hand, tried("192.0.2.10", port=8090))[-1:], info(hand.now))

    (door,) = only(effects, OpenCallbackDoor)
    assert [(path.link, path.host) for path in door.paths] == [(LINK, "192.0.2.10")]
    (former,) = only(started("version: 1\n", learnt())[1], OpenCallbackDoor)
    assert door.paths[0].path != former.paths[0].path


@pytest.mark.parametrize("answer", [GONE, BridgeError(BridgeErrorKind.TOKEN_REFUSED, ""), info(0, bridge_id=OTHER_ID)])
def test_whoever_is_there_and_is_not_the_bridge_is_asked_once(answer: InfoAnswer | BridgeError) -> None:
    hand, _ = dead()
    found(hand, tried())
    effects = answer_until(hand, hand.wait(1), answer)

    assert only(effects, ReachBridge) == [ReachBridge(LINK, "192.0.2.10", 8080)]
    (text,) = logged(effects, "warning")
    assert f"Bridge {BRIDGE_ID} is not at {NEW}" in text
    assert [one.memory.bridges[LINK].at for one in only(effects, Remember)] == []
    if answer is not GONE:
        for _ in range(5):
            assert only(found(hand, tried()) + die(hand, 60), ReachBridge) == []


def test_where_it_was_tried_in_vain_it_may_be_met_later_and_leave_again() -> None:
    """Storm of moving Bridges, invariant 9, seed 3: the service ended by an exception."""
    hand, _ = dead()
    found(hand, tried())
    answer_until(hand, hand.wait(1), BridgeError(BridgeErrorKind.BUSY))
    die(hand, 60)
    found(hand, tried())
    answer_until(hand, hand.wait(1), info(hand.now))
    die(hand)

    assert only(found(hand, tried(host="192.0.2.45")), ReachBridge)[-1].host == "192.0.2.45"


def test_who_was_silent_or_busy_may_be_asked_after_the_next_search() -> None:
    hand, _ = dead()
    for kind in (BridgeErrorKind.TIMEOUT, BridgeErrorKind.BUSY, BridgeErrorKind.RESET, BridgeErrorKind.REFUSED):
        assert ReachBridge(LINK, "192.0.2.44", 8080) in found(hand, tried())
        answer_until(hand, hand.wait(1), BridgeError(kind))
        die(hand, 60)


def test_it_is_tried_again_after_ten_minutes_and_then_after_twice_as_long() -> None:
    hand, _ = dead()
    for pause in (REJECTED_S, 2 * REJECTED_S, 4 * REJECTED_S):
        assert ReachBridge(LINK, "192.0.2.44", 8080) in found(hand, tried())
        answer_until(hand, hand.wait(1), info(0, bridge_id=OTHER_ID))
        die(hand, max(pause - 120, DEAD_S))
        assert only(found(hand, tried()), ReachBridge) == []
        die(hand, 400)


def test_the_next_place_of_the_same_bridge_is_tried_after_the_first() -> None:
    hand, _ = dead()
    finds = (tried(), tried(host="192.0.2.45"))
    found(hand, *finds)
    answer_until(hand, hand.wait(1), BridgeError(BridgeErrorKind.TOKEN_REFUSED))
    die(hand, 60)

    assert ReachBridge(LINK, "192.0.2.45", 8080) in found(hand, *finds)


def test_a_place_that_nobody_probed_or_that_was_busy_is_not_tried_for_being_beside_one() -> None:
    hand, _ = dead()
    found(hand, tried(also=("192.0.2.45:8080",)), tried(host="192.0.2.46", verdict=Verdict.UNCLEAR))
    answer_until(hand, hand.wait(1), BridgeError(BridgeErrorKind.TOKEN_REFUSED))
    die(hand, 60)

    assert only(found(hand, tried(also=("192.0.2.45:8080",))), ReachBridge) == []


@pytest.mark.parametrize("verdict", [Verdict.BRIDGE, Verdict.UNCLEAR, Verdict.OTHER])
def test_where_the_search_has_found_the_old_place_alive_nobody_else_is_asked(verdict: Verdict) -> None:
    hand, _ = dead()
    effects = found(hand, tried(host="192.0.2.66"), tried(host="192.0.2.10", verdict=verdict))

    assert only(effects + die(hand, 30), ReachBridge) == []


def test_our_own_network_may_have_been_dead_the_old_place_is_asked_once_more() -> None:
    hand, _ = dead()
    effects = hand.tell(BridgesFound((tried(),)))
    (call,) = calls(effects) or calls(hand.wait(1))
    effects = hand.answer(call, info(hand.now))

    assert only(effects + hand.wait(5), ReachBridge) == []


def test_a_search_of_before_the_minutes_were_over_moves_nobody() -> None:
    """Its Bridge was still spared then: whatever called itself so was not probed."""
    hand = followed()
    die(hand, DEAD_S - 60)
    hand.gateway._following.finding.ask()
    hand.gateway._rests_until = None  # as after the request of a person
    (search,) = only(hand.wait(1), FindBridges)
    assert search.followed_ids == {BRIDGE_ID}
    die(hand, 120)

    assert only(found(hand, tried()), ReachBridge) == []


def test_an_answer_of_the_old_place_meanwhile_keeps_us_there() -> None:
    hand, _ = dead()
    effects = hand.wait(120)
    (call,) = calls(effects)
    assert only(hand.tell(BridgesFound((tried(),))), ReachBridge) == []  # a request is under way
    assert only(hand.wait(10), ReachBridge) == []
    effects = hand.answer(call, info(hand.now))

    assert only(effects + hand.wait(1), ReachBridge) == []
    assert logged(effects, "info") == [f"Bridge {LINK} answers again."]


@pytest.mark.parametrize(
    "one",
    [
        tried(bridge_id=OTHER_ID),
        tried(bridge_id=None),
        tried(verdict=Verdict.UNCLEAR),
        tried(verdict=Verdict.SILENT),
        tried(verdict=Verdict.OTHER),
        tried(host="192.0.2.10"),
    ],
)
def test_what_is_not_surely_called_so_elsewhere_is_no_place_to_go(one: Tried) -> None:
    hand, _ = dead()
    effects = found(hand, one)

    assert (only(effects + die(hand, 30), ReachBridge), logged(effects, "warning")) == ([], [])


def test_while_the_bridge_answers_a_rogue_announcer_gets_nothing() -> None:
    hand = followed()
    effects = hand.tell(BridgesFound((tried(),))) + hand.wait(31)

    assert only(effects, ReachBridge) == []
    assert [call.link for call in calls(effects)] == [LINK]


def test_a_configured_address_is_never_left_but_the_finding_is_told() -> None:
    hand, _ = dead(LISTED, learnt())
    effects = found(hand, tried())

    assert only(effects + die(hand, 60), ReachBridge) == []
    (text,) = logged(effects, "warning")
    assert text == (
        f"Bridge {BRIDGE_ID} does not answer at {LINK}, and something that calls itself so does at {NEW}. If the Nuki "
        "app or your router has it there, too, set host: 192.0.2.44 in `bridges`"
    )
    assert logged(hand.tell(BridgesFound((tried(),))), "warning") == []


@pytest.mark.parametrize(("config", "auth"), [(STAY, AuthMode.ENCRYPTED), (NO_BRIDGES, AuthMode.PLAIN)])
def test_neither_against_the_settings_nor_with_a_readable_token_does_it_follow(config: str, auth: AuthMode) -> None:
    hand, _ = dead(config, learnt(auth))
    effects = hand.tell(BridgesFound((tried(),)))

    assert only(effects, ReachBridge) == []
    assert logged(effects, "warning")[0].endswith("run: nuki2mqtt pair --host 192.0.2.44")


def test_a_bridge_that_was_paired_anew_elsewhere_is_followed_there_only() -> None:
    hand, _ = dead()
    effects = hand.tell(BridgePaired(NEW, Secret("newt0ken")))
    effects = answer_until(hand, effects, info(hand.now))

    assert f"Bridge {BRIDGE_ID} is followed at {NEW} now, and not at {LINK} any more." in logged(effects, "error")
    assert list(only(effects, Remember)[-1].memory.bridges) == [NEW]
    assert {call.link for call in calls(hand.wait(300))} == {NEW}


def test_who_was_paired_last_is_kept_though_its_former_self_still_seems_to_live() -> None:
    hand = followed()
    effects = hand.tell(BridgePaired(NEW, Secret("newt0ken")))
    effects = answer_until(hand, effects, info(hand.now))

    assert f"Bridge {BRIDGE_ID} is followed at {NEW} now, and not at {LINK} any more." in logged(effects, "error")
    assert list(only(effects, Remember)[-1].memory.bridges) == [NEW]
    assert {call.link for call in calls(hand.wait(300))} == {NEW}


def test_who_is_paired_again_at_its_former_place_is_followed_there() -> None:
    hand = followed(memory=learnt())
    for place, token in ((NEW, TOKEN), (LINK, Secret("newest"))):
        effects = hand.tell(BridgePaired(place, token))
        for call in calls(effects):
            if call.request == InfoRequest():
                hand.answer(call, info(hand.now))
        hand.wait(1)

    bridges = hand.gateway._following.remember_bridges()
    assert {place: one.token for place, one in bridges.items()} == {LINK: Secret("newest")}


def test_what_is_followed_no_more_says_nothing_of_the_bridge() -> None:
    hand, _ = dead()
    effects = hand.tell(BridgePaired(NEW, Secret("newt0ken")))
    effects = answer_until(hand, effects, info(hand.now))
    effects += hand.acknowledge_all(hand.wait(600))

    own = [payload for topic, payload in said(effects) if topic == f"nuki2mqtt/bridge/{BRIDGE_ID}"]
    assert all(NEW in payload for payload in own)
    healths = [payload for topic, payload in said(effects) if topic == "nuki2mqtt/gateway/health"]
    assert LINK not in healths[-1]


def test_a_search_that_ends_while_another_gateway_owns_the_base_is_over() -> None:
    hand, _ = started()
    hand.gateway._following.deactivate()
    hand.tell(BridgesFound(()))
    hand.gateway._following.activate(hand.moment)
    hand.gateway._rests_until = None

    assert len(only(hand.wait(SOON_S + 1), FindBridges)) == 1


def test_a_trial_that_the_base_s_owner_interrupts_was_none() -> None:
    hand, _ = dead()
    found(hand, tried())
    hand.gateway._following.deactivate()
    effects = hand.gateway._following.activate(hand.moment)

    assert only(effects, ReachBridge) == [ReachBridge(LINK, "192.0.2.10", 8080)]


def test_the_answer_of_an_interrupted_trial_says_nothing_of_the_home_address() -> None:
    hand, _ = dead()
    found(hand, tried())
    (trial,) = calls(hand.wait(1))
    hand.gateway._following.deactivate()
    hand.gateway._following.activate(hand.moment)
    effects = hand.answer(trial, info(hand.now))

    assert not hand.gateway._following.links[LINK].is_verified
    assert [call.request for call in calls(effects + hand.wait(5))] == [InfoRequest()]


def test_a_token_that_comes_during_a_trial_is_for_the_place_where_it_was_given() -> None:
    hand, _ = dead()
    found(hand, tried())
    at_home = hand.tell(BridgePaired(LINK, Secret("newt0ken")))
    assert only(at_home, ReachBridge) == [ReachBridge(LINK, "192.0.2.10", 8080)]
    there, _ = dead()
    found(there, tried())
    effects = there.tell(BridgePaired(NEW, Secret("newt0ken")))
    (call,) = calls(effects + there.wait(1))
    effects = there.answer(call, BridgeError(BridgeErrorKind.TOKEN_REFUSED))

    assert only(effects, ReachBridge) == []
    assert only(effects, Remember)[-1:] == [] or only(effects, Remember)[-1].memory.bridges[LINK].at == NEW
    assert there.gateway._following.remember_bridges()[LINK] == BridgeMemory(BRIDGE_ID, Secret("newt0ken"), None, NEW)


def test_an_answer_to_the_former_token_proves_no_mode_of_the_new_one() -> None:
    hand = followed(memory=learnt(AuthMode.HASHED))
    (call,) = calls(hand.wait(31))
    hand.tell(BridgePaired(LINK, Secret("newt0ken")))
    hand.answer(call, ListAnswer((entry(LOCKED, 0.0),)))

    assert hand.gateway._following.remember_bridges()[LINK].auth is None


def test_at_the_end_no_search_begins() -> None:
    hand, _ = started()
    hand.tell(BridgesFound(()))
    hand.gateway._following.release(hand.moment)

    assert only(hand.wait(3600), FindBridges) == []
