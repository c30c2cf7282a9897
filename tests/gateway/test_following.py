"""From what Bridges say to snapshots that we vouch for: the parts joined, before anything is published."""

from dataclasses import replace

import pytest

from nuki2mqtt.errors import BridgeError, BridgeErrorKind
from nuki2mqtt.gateway.evidence import Observation
from nuki2mqtt.gateway.following import Following
from nuki2mqtt.gateway.vocabulary import (
    CallbackPath,
    CallbackReceived,
    CallBridge,
    Memory,
    OpenCallbackDoor,
)
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.model.state import Source
from nuki2mqtt.protocol.bridge_api import (
    Answer,
    InfoRequest,
    ListAnswer,
    ListRequest,
    LockStateAnswer,
    LockStateRequest,
)
from tests.gateway.builders import (
    BRIDGE_ID,
    CONFIG,
    LINK,
    LOCK,
    LOCKED,
    OPENER,
    OTHER_LINK,
    UNLOCKED,
    ZERO,
    called,
    entry,
    info,
    moment,
    only,
    read,
)
from tests.gateway.scene import TWO, Scene, followed

# --- switching ---


def test_activation_opens_a_door_with_a_path_per_bridge_and_asks_each() -> None:
    scene = Scene.of(TWO)
    (door,) = scene.activate()
    assert isinstance(door, OpenCallbackDoor)

    assert [(path.link, path.host) for path in door.paths] == [(LINK, "192.0.2.10"), (OTHER_LINK, "192.0.2.11")]
    assert len({path.path for path in door.paths}) == 2
    for path in door.paths:
        assert path.path.reveal().startswith("/callback/1234abcd/")
        assert len(path.path.reveal()) == len("/callback/1234abcd/") + 32
    assert [call.link for call in scene.next_calls()] == [LINK, OTHER_LINK]
    assert scene.activate() == []


def test_the_path_is_the_same_in_the_next_process_and_another_with_another_secret() -> None:
    def paths(secret: str) -> list[CallbackPath]:
        following = Following(
            read(), Memory(), instance="1234abcd", callback_secret=Secret(secret), in_container=False, started=ZERO
        )
        return [path for door in only(following.activate(moment(0)), OpenCallbackDoor) for path in door.paths]

    assert paths("5ecret") == paths("5ecret")
    assert paths("5ecret") != paths("0ther")


@pytest.mark.parametrize("config", [f"{CONFIG}callback: {{enabled: false}}\n", "version: 1\n"])
def test_without_callbacks_or_bridges_no_door_is_opened(config: str) -> None:
    assert Scene.of(config).activate() == []


def test_before_activation_nothing_is_asked_or_heard() -> None:
    scene = Scene.of()

    assert scene.following.next_deadline(ZERO) is None
    assert scene.following.handle_timer(moment(500)) == []
    assert scene.following.handle_callback(CallbackReceived(LINK, called(LOCKED)), moment(500)) == []


def test_a_deactivated_one_asks_nothing_hears_nothing_and_vouches_for_nothing() -> None:
    scene = followed()
    scene.following.deactivate()

    assert (scene.following.next_deadline(ZERO + 5), scene.run(900)) == (None, [])
    assert scene.following.handle_callback(CallbackReceived(LINK, called(UNLOCKED)), moment(900)) == []
    assert (scene.is_fresh(), scene.happened) == (False, [])


def test_what_happened_before_another_gateway_took_the_base_is_its_to_tell() -> None:
    scene = followed()
    scene.following.handle_callback(CallbackReceived(LINK, called(UNLOCKED)), moment(5))
    scene.following.deactivate()

    assert scene.happened == []


def test_a_device_is_fresh_again_by_a_report_after_a_new_activation() -> None:
    scene = followed()
    scene.following.deactivate()
    scene.now = 1000
    scene.activate()
    before = scene.is_fresh()
    scene.run(1005)

    assert (before, scene.is_fresh()) == (False, True)


# --- freshness by what is told ---


def test_a_listed_device_is_fresh_and_named_by_its_bridge() -> None:
    scene = followed()
    snapshot = scene.following.snapshot(LOCK, moment(5))

    assert (snapshot.stale, snapshot.bridge, snapshot.name, snapshot.state_code) == (False, BRIDGE_ID, "Front door", 1)


def test_the_configured_name_is_shown() -> None:
    scene = followed(f"{CONFIG}devices:\n  1A2B3C4D: {{name: Main entrance}}\n")

    assert scene.following.snapshot(LOCK, moment(5)).name == "Main entrance"


def test_an_ignored_device_is_not_shown_and_its_callbacks_are_nothing() -> None:
    scene = followed(f"{CONFIG}devices:\n  1A2B3C4D: {{ignore: true}}\n")
    effects = scene.following.handle_callback(CallbackReceived(LINK, called(UNLOCKED)), moment(5))

    assert (list(scene.following.shown_ids()), effects, scene.happened) == ([], [], [])


@pytest.mark.parametrize(
    ("answer", "is_fresh"),
    [
        (LockStateAnswer(success=False), False),
        (BridgeError(BridgeErrorKind.DEVICE_OFFLINE), False),
        (BridgeError(BridgeErrorKind.BUSY), True),
        (BridgeError(BridgeErrorKind.NOT_PAIRED), True),
        (LockStateAnswer(success=True, state=None), True),
        (LockStateAnswer(success=True, state=UNLOCKED), True),
    ],
)
def test_a_forced_read_that_does_not_reach_the_lock_makes_it_stale(
    answer: Answer | BridgeError, *, is_fresh: bool
) -> None:
    scene = followed()
    scene.following.handle_callback(CallbackReceived(LINK, called(UNLOCKED)), moment(5))
    scene.answer(scene.until(LockStateRequest), answer)

    assert scene.is_fresh() is is_fresh


def test_a_callback_makes_an_unreachable_lock_fresh_again() -> None:
    scene = followed()
    scene.following.handle_callback(CallbackReceived(LINK, called(UNLOCKED)), moment(5))
    scene.answer(scene.until(LockStateRequest), LockStateAnswer(success=False))
    scene.following.handle_callback(CallbackReceived(LINK, called(UNLOCKED)), moment(scene.now))

    assert scene.is_fresh()


def test_a_lock_listed_without_a_state_is_read_once_at_the_start() -> None:
    scene = Scene.of()
    scene.reports = (entry(None, None),)
    scene.activate()
    effects = scene.run(3600)

    assert [type(call.request) for call in only(effects, CallBridge)].count(LockStateRequest) == 1
    assert scene.is_fresh()


@pytest.mark.parametrize(
    ("bridge_type", "scan", "is_fresh"),
    [(1, (OPENER,), False), (1, (LOCK, OPENER), True), (1, (), True), (2, (OPENER,), True), (None, (OPENER,), True)],
)
def test_five_scans_of_a_hardware_bridge_that_miss_a_device_make_it_stale(
    bridge_type: int | None, scan: tuple[NukiId, ...], *, is_fresh: bool
) -> None:
    scene = followed()
    scene.answer(scene.until(InfoRequest), info(scene.now, scan=[LOCK]))
    for _ in range(5):
        scene.answer(scene.until(InfoRequest), replace(info(scene.now, scan=scan), bridge_type=bridge_type))

    assert scene.is_fresh() is is_fresh


def test_the_signal_of_the_last_scan_that_heard_the_device_is_shown() -> None:
    scene = followed()
    scene.answer(scene.until(InfoRequest), info(scene.now, scan=[LOCK]))
    scene.answer(scene.until(InfoRequest), info(scene.now, scan=[OPENER]))

    assert scene.following.snapshot(LOCK, moment(scene.now)).rssi_dbm == -67


def test_after_the_bridge_s_clock_was_set_back_its_entries_are_taken_again() -> None:
    scene = followed()
    scene.reports = (entry(UNLOCKED, -3000),)
    scene.run(200)
    before = scene.following.snapshot(LOCK, moment(scene.now)).state_code
    scene.answer(scene.until(InfoRequest), info(scene.now - 3600))
    scene.answer(scene.until(ListRequest), ListAnswer(scene.reports))

    assert (before, scene.following.snapshot(LOCK, moment(scene.now)).state_code) == (1, 3)


def test_503_prolongs_and_401_does_not() -> None:
    busy, refused = followed(), followed()
    for scene, kind in ((busy, BridgeErrorKind.BUSY), (refused, BridgeErrorKind.TOKEN_REFUSED)):
        while scene.now < 90:
            for call in scene.next_calls():
                scene.answer(call, BridgeError(kind))

    assert (busy.is_fresh(), refused.is_fresh()) == (True, False)


def test_a_read_proves_what_was_so_when_it_was_sent() -> None:
    """Its answer may have been on its way while a command was given by another Bridge."""
    scene = followed()
    scene.following.handle_callback(CallbackReceived(LINK, called(UNLOCKED)), moment(5))
    call = scene.until(LockStateRequest)
    sent = ZERO + scene.now
    scene.following.take_news()
    scene.now += 20
    scene.answer(call, LockStateAnswer(success=True, state=LOCKED))

    seen = [news for news in scene.following.take_news() if isinstance(news, Observation)]
    assert [(one.source, one.time) for one in seen] == [(Source.LOCK_STATE, sent)]
