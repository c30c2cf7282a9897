"""Webhooks: what they say shows at once and is read once; forged, repeated and lost ones change nothing for long."""

import json
from typing import Any

import pytest

from nuki2mqtt.simulator.visitors import enter_code
from nuki2mqtt.simulator.web_faults import Write
from nuki2mqtt.simulator.web_hooks import signed
from tests.stories.cloud_world import HOOK_SECRET, LOCK, CloudHome

HOOKS = f"  keypad: {{manage: true}}\n  webhook: {{secret: {HOOK_SECRET}}}\n"
ONE = "/smartlock/21913877581"


def home_with_hooks(**options: Any) -> CloudHome:
    home = CloudHome(**options)
    home.hook()
    home.start(HOOKS)
    home.world.run(20)
    return home


def status(home: CloudHome, state: int, secret: str = HOOK_SECRET) -> list[int]:
    """Somebody posts that the lock is in this state."""
    body = json.dumps(
        {
            "feature": "DEVICE_STATUS",
            "smartlockId": home.known.smartlock_id,
            "state": {"mode": 2, "state": state, "trigger": 1, "lastAction": 1, "doorState": 2},
            "serverState": 0,
            "adminPinState": 0,
        }
    ).encode()
    return home.world.post(signed(body, secret), body)


def test_a_change_shows_at_once_and_is_confirmed_by_one_read() -> None:
    home = home_with_hooks()
    since = home.world.now
    home.lock.turn(3)
    home.world.run(3)

    assert home.snapshot["state"] == "unlocked"
    assert [(one["to"], one["source"]) for one in home.events("state_changed", since=since)] == [("unlocked", "web")]
    assert len(home.asked("GET", ONE, since)) == 1


def test_a_post_with_a_wrong_signature_is_refused_and_changes_nothing() -> None:
    home = home_with_hooks()
    since = home.world.now
    assert status(home, 3, secret="guessed") == [403]
    body = b'{"feature":"DEVICE_STATUS"}'
    assert home.world.post({}, body) == [403]
    home.world.run(5)

    assert home.snapshot["state"] == "locked"
    assert home.asked("GET", ONE, since) == []


def test_without_a_secret_no_door_is_opened() -> None:
    home = CloudHome()
    home.hook()
    home.start()

    assert status(home, 3) == [502]


def test_a_late_one_is_put_right_by_the_read_that_it_causes() -> None:
    home = home_with_hooks()
    since = home.world.now
    assert status(home, 3) == [204]
    home.world.run(3)

    assert home.snapshot["state"] == "locked"
    assert [one["to"] for one in home.events("state_changed", since=since)] == ["unlocked", "locked"]
    assert len(home.asked("GET", ONE, since)) == 1


@pytest.mark.parametrize(("action", "before", "said"), [("unlock", 1, 3), ("unlatch", 3, 7), ("lock", 3, 1)])
def test_a_late_one_is_no_evidence_that_an_order_was_carried_out(action: str, before: int, said: int) -> None:
    home = CloudHome(state=before)
    home.hook()
    home.start(HOOKS)
    home.world.run(20)
    with home.cloud.faults.lost_writes(kind=Write.ACTION):
        home.world.command("front_door", {"action": action, "transaction": 1})
        home.world.run(1)
        assert status(home, said) == [204]
        home.world.run(120)

    assert home.orders() == [{"unlock": 1, "lock": 2, "unlatch": 3}[action]]
    assert home.world.end("front_door", 1)["status"] == "unconfirmed"
    assert home.snapshot["state_code"] == before


@pytest.mark.parametrize("action", ["unlock", "unlatch", "lock"])
def test_with_webhooks_an_order_is_confirmed_by_what_is_read(action: str) -> None:
    home = CloudHome(state=1 if action == "unlock" else 3)
    home.hook()
    home.start(HOOKS)
    home.world.run(20)
    home.world.command("front_door", {"action": action, "transaction": 1})
    home.world.run(30)

    assert home.world.end("front_door", 1)["status"] == "confirmed"


def test_doubled_ones_are_one_change_and_one_name() -> None:
    home = home_with_hooks()
    home.order_code("create", name="Anna", code="839275")
    home.world.run(60)
    since = home.world.now
    with home.cloud.faults.repeated_webhooks():
        enter_code(home.known, 839275)
        home.world.run(200)

    assert [(one["event_type"], one.get("to"), one.get("actor")) for one in home.events(since=since)] in (
        [("state_changed", "unlocking", None), ("state_changed", "unlocked", None), ("attributed", None, "Anna")],
        [("state_changed", "unlocked", None), ("attributed", None, "Anna")],
    )


def test_of_a_lock_at_a_bridge_a_webhook_contradicts_nobody() -> None:
    home = CloudHome(has_bridge=True, device_type=4)
    home.hook()
    home.start(HOOKS)
    home.world.run(60)
    since = home.world.now
    for _ in range(20):
        status(home, 3)
        home.world.run(2)

    assert home.events(since=since) == []
    assert home.snapshot["state"] == "locked"
    assert len(home.world.reads(since)) <= 1


def test_a_refused_code_is_told_when_the_log_says_it() -> None:
    home = home_with_hooks()
    enter_code(home.known, 777777)
    home.world.run(90)

    assert [(one["via"], one["completion"]) for one in home.events("code_refused")] == [("code", "invalid_code")]


def test_a_code_is_active_as_soon_as_the_cloud_says_that_it_is_there() -> None:
    home = home_with_hooks()
    home.order_code("create", name="Anna", code="839275")
    home.world.run(30)

    assert home.keypad_end() == ("active", None)


def test_what_somebody_else_does_with_codes_shows_soon() -> None:
    home = home_with_hooks()
    home.known.auths.add_by_app(name="Owner", code=918273)
    home.known.sync(is_forced=False)
    home.world.run(30)

    assert home.codes() == {"Owner": ("foreign", None)}


def test_polls_grow_rare_while_webhooks_flow_and_come_back_when_one_is_lost() -> None:
    home = home_with_hooks()
    home.lock.turn(3)
    home.world.run(310)
    since = home.world.now
    home.world.run(3000)
    rare = len(home.asked("GET", "/smartlock", since))
    assert rare <= 10
    assert home.availability == "online"
    assert (home.health()["cloud"]["webhooks"], home.health()["cloud"]["poll_s"]) == (True, 300.0)

    with home.cloud.faults.silent_webhooks():
        home.lock.turn(1)
        home.world.run(320)
    since = home.world.now
    home.world.run(600)

    assert home.snapshot["state"] == "locked"
    assert len(home.asked("GET", "/smartlock", since)) >= 9
    assert home.health()["cloud"]["poll_s"] == 60.0


def test_webhooks_of_a_device_that_is_not_known_yet_bring_the_list_forward_and_no_more() -> None:
    home = home_with_hooks()
    since = home.world.now
    for _ in range(50):
        body = b'{"feature":"DEVICE_STATUS","smartlockId":17779568221,"state":{"state":3},"serverState":0}'
        assert home.world.post(signed(body, HOOK_SECRET), body) == [204]
        home.world.run(1)

    assert len(home.asked("GET", "/smartlock", since)) <= 11
    assert len(home.world.retained("nuki2mqtt/gateway/devices")) == 1


def test_an_offline_lock_is_told_by_the_webhook_and_comes_back_by_it() -> None:
    home = home_with_hooks()
    with home.cloud.faults.offline(LOCK):
        home.world.run(5)
        assert home.availability == "offline"
    home.world.run(5)
    assert home.availability == "online"
