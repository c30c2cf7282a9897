"""The words of a log entry, and who did it by what (web reference 3.6 and 4)."""

from dataclasses import replace

import pytest

from nuki2mqtt.model.action import Action
from nuki2mqtt.model.activity import (
    Activity,
    ActivityAction,
    Completion,
    OpenerActivity,
    Trigger,
    Via,
    activity_action_of,
    trigger_of,
)
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.keypad import AuthorizationKind

LOCK, OPENER = 4, 2
ENTRY = Activity(nuki_id=NukiId(1), device_type=LOCK, action_code=1, trigger_code=0, completion_code=0)
RING = Activity(nuki_id=NukiId(2), device_type=OPENER, action_code=224, trigger_code=0, completion_code=0)

SHARED_ACTIONS = {
    11: "factory_reset",
    208: "door_ajar",
    209: "door_status_mismatch",
    224: "doorbell",
    240: "door_opened",
    241: "door_closed",
    242: "door_sensor_jammed",
    243: "firmware_update",
    250: "door_log_enabled",
    251: "door_log_disabled",
    252: "initialization",
    253: "calibration",
    254: "log_enabled",
    255: "log_disabled",
    0: "unknown",
    99: "unknown",
}
LOCK_ACTIONS = {1: "unlock", 2: "lock", 3: "unlatch", 4: "lock_n_go", 5: "lock_n_go_unlatch", 6: "unknown"}
OPENER_ACTIONS = {
    1: "activate_rto",
    2: "deactivate_rto",
    3: "electric_strike",
    4: "unknown",
    5: "unknown",
    6: "activate_cm",
    7: "deactivate_cm",
}


@pytest.mark.parametrize("device_type", [0, 3, 4, 5, 77])
def test_actions_of_locks(device_type: int) -> None:
    for code, word in (LOCK_ACTIONS | SHARED_ACTIONS).items():
        assert activity_action_of(device_type, code) is ActivityAction(word)


def test_actions_of_openers() -> None:
    for code, word in (OPENER_ACTIONS | SHARED_ACTIONS).items():
        assert activity_action_of(OPENER, code) is ActivityAction(word)


def test_orders_are_spelled_as_our_own() -> None:
    words = {*LOCK_ACTIONS.values(), *OPENER_ACTIONS.values()} - {"unknown"}

    assert [str(action) for action in ActivityAction][:10] == [str(action) for action in Action]
    assert words == {str(action) for action in Action}


@pytest.mark.parametrize(
    ("code", "word"),
    [
        (0, "system"),
        (1, "manual"),
        (2, "button"),
        (3, "automatic"),
        (4, "web"),
        (5, "app"),
        (7, "accessory"),
        (253, "keypad_error"),
        (254, "nuki_mode"),
        (255, "keypad"),
        (8, "unknown"),
        (252, "unknown"),
    ],
)
def test_triggers(code: int, word: str) -> None:
    assert trigger_of(LOCK, code) is Trigger(word)
    assert trigger_of(OPENER, code) is Trigger(word)


def test_trigger_six_by_type() -> None:
    assert trigger_of(LOCK, 6) is Trigger.AUTO_LOCK
    assert trigger_of(3, 6) is Trigger.AUTO_LOCK
    assert trigger_of(OPENER, 6) is Trigger.CONTINUOUS_MODE


COMPLETIONS = {
    0: "success",
    1: "motor_blocked",
    2: "canceled",
    3: "too_recent",
    4: "busy",
    5: "low_motor_voltage",
    6: "clutch_failure",
    7: "motor_power_failure",
    8: "incomplete",
    9: "rejected",
    10: "rejected_night_mode",
    224: "invalid_code",
    225: "invalid_fingerprint",
    226: "invalid_nfc_tag",
    254: "other_error",
    255: "unknown_error",
    11: "unknown",
    37: "unknown",
}
TAP_COMPLETIONS = {
    0: "access_revoked",
    1: "nfc_failed",
    2: "nfc_control_flow",
    3: "nfc_time_expired",
    4: "unknown",
    7: "nfc_invalid_data",
    37: "nfc_invalid_rights",
    255: "unknown_error",
}


def test_completions() -> None:
    for code, word in COMPLETIONS.items():
        assert replace(ENTRY, completion_code=code).completion is Completion(word)
        assert replace(ENTRY, completion_code=code, source_code=3).completion is Completion(word)
        assert replace(ENTRY, completion_code=code, trigger_code=253).completion is Completion(word)
    for code, word in TAP_COMPLETIONS.items():
        tap = replace(ENTRY, completion_code=code, source_code=3, trigger_code=253)
        assert tap.completion is Completion(word)


def test_an_entry_that_says_nothing() -> None:
    nothing = Activity(nuki_id=NukiId(1), device_type=LOCK)

    assert (nothing.action, nothing.trigger, nothing.completion, nothing.via()) == ("unknown",) * 4
    assert nothing.actor({}) is None
    assert not nothing.is_actuation
    assert not nothing.is_door_event
    assert not nothing.is_entry_refused


@pytest.mark.parametrize(
    ("entry", "kind", "via"),
    [
        (replace(ENTRY, trigger_code=255, source_code=1), None, "code"),
        (replace(ENTRY, trigger_code=255, source_code=2), AuthorizationKind.KEYPAD_CODE, "fingerprint"),
        (replace(ENTRY, trigger_code=255, source_code=3), None, "tap"),
        (replace(ENTRY, trigger_code=255, source_code=0), None, "keypad"),
        (replace(ENTRY, trigger_code=255), None, "keypad"),
        (replace(ENTRY, trigger_code=255), AuthorizationKind.KEYPAD_CODE, "code"),
        (replace(ENTRY, trigger_code=253, completion_code=224), None, "keypad"),
        (replace(ENTRY, trigger_code=0), None, "system"),
        (replace(ENTRY, trigger_code=0), AuthorizationKind.APP, "app"),
        (replace(ENTRY, trigger_code=0), AuthorizationKind.BRIDGE, "bridge"),
        (replace(ENTRY, trigger_code=0), AuthorizationKind.FOB, "fob"),
        (replace(ENTRY, trigger_code=0), AuthorizationKind.KEYPAD, "keypad"),
        (replace(ENTRY, trigger_code=0), AuthorizationKind.KEYPAD_CODE, "code"),
        (replace(ENTRY, trigger_code=0), AuthorizationKind.VIRTUAL, "system"),
        (replace(ENTRY, trigger_code=0, auto_unlock=True), AuthorizationKind.APP, "auto_unlock"),
        (replace(ENTRY, trigger_code=1), AuthorizationKind.APP, "manual"),
        (replace(ENTRY, trigger_code=2), None, "button"),
        (replace(ENTRY, trigger_code=3), None, "automatic"),
        (replace(ENTRY, trigger_code=4), None, "web"),
        (replace(ENTRY, trigger_code=5), None, "app"),
        (replace(ENTRY, trigger_code=6), None, "auto_lock"),
        (replace(ENTRY, trigger_code=7), None, "accessory"),
        (replace(ENTRY, trigger_code=254), None, "nuki_mode"),
        (replace(ENTRY, trigger_code=99), AuthorizationKind.APP, "unknown"),
        (RING, None, "doorbell"),
        (replace(RING, action_code=6, trigger_code=6), None, "continuous_mode"),
        (replace(RING, action_code=1, opener=OpenerActivity(source_code=1)), None, "time_control"),
        (replace(RING, action_code=1, opener=OpenerActivity(source_code=4)), AuthorizationKind.APP, "fob"),
        (replace(RING, action_code=1, opener=OpenerActivity(source_code=0)), AuthorizationKind.APP, "app"),
        (replace(RING, action_code=3, trigger_code=2, opener=OpenerActivity(source_code=2)), None, "button"),
    ],
)
def test_via(entry: Activity, kind: AuthorizationKind | None, via: str) -> None:
    assert entry.via(kind) is Via(via)


@pytest.mark.parametrize(
    ("source", "via"),
    [
        (0, "system"),
        (1, "time_control"),
        (2, "app"),
        (3, "button"),
        (4, "fob"),
        (5, "bridge"),
        (6, "keypad"),
        (7, "system"),
        (None, "system"),
    ],
)
@pytest.mark.parametrize("action", [1, 2, 3, 6, 7])
def test_what_activated_an_opener(action: int, source: int | None, via: str) -> None:
    entry = replace(RING, action_code=action, opener=OpenerActivity(source_code=source))

    assert entry.via() is Via(via)


def test_a_door_event_of_an_opener_has_no_cause() -> None:
    assert replace(RING, action_code=252, opener=OpenerActivity(source_code=2)).via() is Via.SYSTEM


@pytest.mark.parametrize(
    ("trigger", "completion", "refused"),
    [
        (255, 224, True),
        (255, 225, True),
        (255, 226, True),
        (0, 224, True),
        (253, 0, True),
        (253, None, True),
        (255, 9, True),  # a known code outside of its hours
        (255, 10, True),
        (255, 0, False),
        (255, 1, False),
        (0, 9, False),
        (5, 10, False),
    ],
)
def test_a_keypad_refused_somebody(trigger: int, completion: int | None, refused: bool) -> None:  # noqa: FBT001
    entry = replace(ENTRY, trigger_code=trigger, completion_code=completion)

    assert entry.is_entry_refused is refused


def test_orders_and_door_events() -> None:
    codes = range(256)
    lock = {code for code in codes if replace(ENTRY, action_code=code).is_actuation}
    opener = {code for code in codes if replace(RING, action_code=code).is_actuation}
    door = {code for code in codes if replace(ENTRY, action_code=code).is_door_event}

    assert (lock, opener, door) == ({1, 2, 3, 4, 5}, {1, 2, 3, 6, 7}, {208, 209, 240, 241, 242})


@pytest.mark.parametrize(
    ("name", "auth_id", "actor"),
    [
        ("Person A", "x", "Person A"),
        ("Person B ", None, "Person B"),
        ("", "x", "Listed"),
        (None, "x", "Listed"),
        ("  ", "y", None),
        (None, None, None),
    ],
)
def test_who_it_was(name: str | None, auth_id: str | None, actor: str | None) -> None:
    assert replace(ENTRY, name=name, auth_id=auth_id).actor({"x": "Listed", "": "Nobody"}) == actor
