"""Contradicted and lost callbacks, our own address, two Bridges, pairing and the end."""

from nuki2mqtt.errors import BridgeError, BridgeErrorKind
from nuki2mqtt.gateway import bridge_problems
from nuki2mqtt.gateway.vocabulary import (
    BridgePaired,
    CallbackReceived,
    CallBridge,
    Effect,
    Level,
    Log,
)
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.bridge_api import (
    CallbackAddRequest,
    CallbackListAnswer,
    CallbackListRequest,
    InfoRequest,
    ListAnswer,
    ListRequest,
    LockStateRequest,
)
from tests.gateway.builders import (
    CONFIG,
    LINK,
    LOCK,
    LOCKED,
    OTHER_LINK,
    TOKEN,
    UNLOCKED,
    ZERO,
    called,
    entry,
    info,
    logged,
    moment,
    only,
    state,
)
from tests.gateway.scene import TWO, Scene, followed

# --- contradictions and lost callbacks ---


def test_a_contradicted_callback_is_decided_by_one_read() -> None:
    scene = followed()
    scene.following.handle_callback(CallbackReceived(LINK, called(UNLOCKED)), moment(5))
    effects = scene.run(3600)
    snapshot = scene.following.snapshot(LOCK, moment(3600))

    assert [type(call.request) for call in only(effects, CallBridge)].count(LockStateRequest) == 1
    assert (snapshot.state_code, snapshot.source) == (1, "lock_state")
    assert scene.following.links[LINK].unconfirmed_hints == 0


def test_with_the_budget_spent_the_callback_stands_and_is_counted_once() -> None:
    scene = followed(f"{CONFIG}poll: {{forced_per_day: 0}}\n")
    scene.following.handle_callback(CallbackReceived(LINK, called(UNLOCKED)), moment(5))
    effects = scene.run(3600)
    snapshot = scene.following.snapshot(LOCK, moment(3600))

    assert (snapshot.state_code, snapshot.source) == (3, "callback")
    assert scene.following.links[LINK].unconfirmed_hints == 1
    assert len([text for text in logged(effects, "debug") if "reads of the day are spent" in text]) == 1


def test_a_stuck_transition_is_no_hint_that_could_be_unconfirmed() -> None:
    scene = Scene.of(f"{CONFIG}poll: {{forced_per_day: 0}}\n")
    scene.reports = (entry(state(4, 2), -5),)
    scene.activate()
    scene.run(600)

    assert scene.following.links[LINK].unconfirmed_hints == 0


def test_a_callback_brings_the_list_forward() -> None:
    scene = followed()
    scene.now = 10
    scene.following.handle_callback(CallbackReceived(LINK, called(UNLOCKED)), moment(10))

    assert scene.following.next_deadline(ZERO + 10) == ZERO + 11


def test_three_lost_callbacks_poll_three_times_as_often_and_warn_once() -> None:
    scene = followed()
    effects = list[Effect]()
    for number, said in enumerate((UNLOCKED, LOCKED, UNLOCKED)):
        scene.reports = (entry(said, 10 + 60 * number),)
        effects += scene.run(70 + 60 * number)
    warned = logged(effects, "warning")
    lists = [call for call in only(scene.run(scene.now + 120), CallBridge) if isinstance(call.request, ListRequest)]

    assert warned == [bridge_problems.losing_callbacks(LINK, 8321)]
    assert scene.following.watches[LINK].lost == 3
    assert len(lists) == 12


def test_a_lost_callback_lets_the_lease_be_looked_at_at_once() -> None:
    scene = followed()
    scene.reports = (entry(UNLOCKED, 10),)
    effects = scene.run(60)

    assert [type(call.request).__name__ for call in only(effects, CallBridge)] == [
        "ListRequest",
        "CallbackListRequest",
    ]


def test_without_a_held_lease_no_callback_is_lost() -> None:
    scene = Scene.of()
    scene.activate()
    scene.run(5)
    scene.reports = (entry(UNLOCKED, 10),)
    scene.run(600)

    assert scene.following.watches[LINK].lost == 0
    assert scene.happened == ["state_changed"]


def test_a_callback_about_an_unlisted_device_is_told_once_and_published_never() -> None:
    scene = followed()
    stranger = NukiId(0xDEADBEEF)
    told = [
        scene.following.handle_callback(CallbackReceived(LINK, called(UNLOCKED, nuki_id=stranger)), moment(5 + number))
        for number in range(3)
    ]

    assert [len(effects) for effects in told] == [1, 0, 0]
    assert "DEADBEEF" in logged(told[0], "warning")[0]
    assert list(scene.following.shown_ids()) == [LOCK]


def test_entries_that_cannot_be_read_are_told_once() -> None:
    scene = Scene.of()
    scene.activate()
    answers = [ListAnswer((entry(LOCKED, -5),), ("entry 2: nukiId is missing",))] * 2
    told = [scene.answer(scene.until(ListRequest), answer) for answer in answers]

    assert told == [[Log(Level.WARNING, f"Bridge {LINK}: entry 2: nukiId is missing")], []]


# --- our own address ---


def test_our_address_is_the_one_that_we_reach_the_bridge_from() -> None:
    own = followed().following.callback_of(LINK)

    assert own is not None
    assert (own.host, own.port, own.instance) == ("192.0.2.5", 8321, "1234abcd")


def test_a_configured_address_goes_first() -> None:
    own = followed(f"{CONFIG}callback: {{host: 192.0.2.200}}\n").following.callback_of(LINK)

    assert own is not None
    assert own.host == "192.0.2.200"


def test_without_an_open_door_nothing_is_registered() -> None:
    scene = Scene.of()
    scene.activate()
    effects = scene.run(60)

    assert scene.following.callback_of(LINK) is None
    assert not [call for call in only(effects, CallBridge) if isinstance(call.request, CallbackAddRequest)]


def test_an_address_inside_a_container_is_not_registered_and_told_once() -> None:
    scene = Scene.of(in_container=True)
    scene.activate()
    scene.following.door_opened(8321, moment(0))
    effects = [
        scene.answer(scene.until(InfoRequest), info(scene.now), "172.17.0.2"),
        scene.answer(scene.until(InfoRequest), info(scene.now), "172.17.0.2"),
    ]

    assert effects == [[Log(Level.WARNING, bridge_problems.container_address(LINK, "172.17.0.2"))], []]
    assert scene.following.callback_of(LINK) is None


# --- two Bridges, pairing, the end ---


def test_one_bridge_under_two_addresses_is_asked_at_one_only() -> None:
    scene = Scene.of(TWO)
    scene.activate()
    effects = list[Effect]()
    for call in scene.next_calls():
        effects += scene.answer(call, info(0))
    later = scene.run(600)

    assert effects == [Log(Level.ERROR, bridge_problems.same_bridge(OTHER_LINK, LINK))]
    assert {call.link for call in only(later, CallBridge)} == {LINK}


def test_a_device_on_two_bridges_is_fresh_as_long_as_one_of_them_answers() -> None:
    scene = followed(TWO)
    while scene.now < 200:
        for call in scene.next_calls():
            scene.answer(call, scene.usual(call) if call.link == OTHER_LINK else BridgeError(BridgeErrorKind.TIMEOUT))

    assert scene.is_fresh()
    assert not scene.following.vouching.is_bridge_online(LINK, ZERO + scene.now)


def test_a_paired_token_is_used_at_once() -> None:
    scene = Scene.of("version: 1\nbridges:\n  - {host: 192.0.2.10}\n")
    scene.activate()
    before = (scene.following.needs_pairing, scene.following.next_deadline(ZERO))
    effects = scene.following.handle_finding(BridgePaired(LINK, TOKEN), moment(10))
    scene.now = 10
    (call,) = scene.next_calls()

    assert (before, scene.following.needs_pairing) == ((True, None), False)
    assert effects == [Log(Level.INFO, f"Bridge {LINK} is paired.")]
    assert (call.request, call.token) == (InfoRequest(), TOKEN)


def test_a_token_for_an_unknown_bridge_is_not_taken() -> None:
    scene = followed()
    effects = scene.following.handle_finding(BridgePaired("10.0.0.1:8080", TOKEN), moment(5))

    assert [len(logged(effects, "warning")), "10.0.0.1:8080" in logged(effects, "warning")[0]] == [1, True]


def test_a_token_paired_while_another_gateway_owns_the_base_asks_nothing() -> None:
    scene = followed()
    scene.following.deactivate()
    scene.following.handle_finding(BridgePaired(LINK, Secret("new")), moment(5))

    assert (scene.following.next_deadline(ZERO + 5), scene.run(100)) == (None, [])
    assert scene.following.links[LINK].token == Secret("new")


def test_at_the_end_nothing_is_vouched_for_and_the_slots_are_given_back() -> None:
    scene = followed()
    scene.following.release(moment(5))
    before = (scene.is_fresh(), scene.following.is_released)
    (call,) = scene.next_calls()
    scene.answer(call, CallbackListAnswer(()))

    assert (before, scene.following.is_released) == ((False, False), True)
    assert isinstance(call.request, CallbackListRequest)


def test_an_event_carries_when_we_received_it() -> None:
    scene = followed()
    scene.following.handle_callback(CallbackReceived(LINK, called(state(3, 3))), moment(7))
    happened = scene.following.take_events()

    assert [(item.nuki_id, item.event.event_type, item.received) for item in happened] == [
        (LOCK, "state_changed", ZERO + 7),
        (LOCK, "door_opened", ZERO + 7),
    ]
    assert scene.following.take_events() == []


def test_at_most_1000_events_wait_to_be_taken() -> None:
    scene = followed()
    for number in range(1010):
        report = called(UNLOCKED if number % 2 == 0 else LOCKED)
        scene.following.handle_callback(CallbackReceived(LINK, report), moment(5))

    assert (len(scene.following.take_events()), scene.following.events_dropped) == (1000, 10)
