"""The vendor's tables, row by row: device types, modes, states, door sensor, actions.

Sources: Bridge API 1.13.2 sections 4.1 to 4.4 and 4.6 (reference 1.7 to 1.10); the words are those of
docs/topics.md.
"""

from datetime import UTC, datetime

import pytest

from nuki2mqtt.model.action import Action, actions_of
from nuki2mqtt.model.device import DeviceKind, Feature, NukiId, kind_of, model_name
from nuki2mqtt.model.state import (
    Battery,
    Snapshot,
    door_of,
    is_called_back,
    is_transitional,
    lock_word_of,
    mode_of,
    state_of,
)

LOCK_TYPES = [0, 3, 4, 5]
OPENER = 2
UNHEARD_OF = [6, 11, 99]


@pytest.mark.parametrize(
    ("number", "word", "model"),
    [
        (0, "smart_lock", "Smart Lock"),
        (1, "box", "Box"),
        (2, "opener", "Opener"),
        (3, "smart_door", "Smart Door"),
        (4, "smart_lock", "Smart Lock 3.0 or 4th generation"),
        (5, "smart_lock", "Smart Lock 5"),
        (6, "unknown", "Nuki device of unknown type 6"),
        (11, "unknown", "Nuki device of unknown type 11"),
    ],
)
def test_device_type(number: int, word: str, model: str) -> None:
    assert kind_of(number) == word
    assert model_name(number) == model


LOCK_STATES = [
    (0, "uncalibrated", None),
    (1, "locked", "LOCKED"),
    (2, "unlocking", "UNLOCKING"),
    (3, "unlocked", "UNLOCKED"),
    (4, "locking", "LOCKING"),
    (5, "unlatched", "OPEN"),
    (6, "unlocked_lock_n_go", "UNLOCKED"),
    (7, "unlatching", "OPENING"),
    (253, "boot_run", None),
    (254, "motor_blocked", "JAMMED"),
    (255, "undefined", None),
    (8, "unknown", None),
    (9, "unknown", None),
    (252, "unknown", None),
    (256, "unknown", None),
]
OPENER_STATES = [
    (0, "untrained", None),
    (1, "online", "LOCKED"),
    (3, "rto_active", "UNLOCKED"),
    (5, "open", "OPEN"),
    (7, "opening", "OPENING"),
    (253, "boot_run", None),
    (255, "undefined", None),
    (2, "unknown", None),
    (4, "unknown", None),
    (6, "unknown", None),
    (254, "unknown", None),
    (9, "unknown", None),
]


@pytest.mark.parametrize("device_type", [*LOCK_TYPES, 1, *UNHEARD_OF])
@pytest.mark.parametrize("mode", [None, 2, 3])
@pytest.mark.parametrize(("code", "state", "lock"), LOCK_STATES)
def test_lock_state(device_type: int, mode: int | None, code: int, state: str, lock: str | None) -> None:
    assert state_of(device_type, code) == state
    assert lock_word_of(device_type, code, mode) == lock


@pytest.mark.parametrize("mode", [None, 2, 0])
@pytest.mark.parametrize(("code", "state", "lock"), OPENER_STATES)
def test_opener_state(mode: int | None, code: int, state: str, lock: str | None) -> None:
    assert state_of(OPENER, code) == state
    assert lock_word_of(OPENER, code, mode) == lock


@pytest.mark.parametrize(("code", "state", "lock"), OPENER_STATES)
def test_opener_in_continuous_mode_is_unlocked_where_it_would_be_locked(
    code: int, state: str, lock: str | None
) -> None:
    assert state_of(OPENER, code) == state
    assert lock_word_of(OPENER, code, 3) == ("UNLOCKED" if code == 1 else lock)


@pytest.mark.parametrize(
    ("code", "word"),
    [
        (0, "unknown"),
        (1, "deactivated"),
        (2, "closed"),
        (3, "open"),
        (4, "unknown"),
        (5, "calibrating"),
        (16, "uncalibrated"),
        (240, "removed"),
        (255, "unknown"),
        (9, "unknown"),
    ],
)
def test_door(code: int, word: str) -> None:
    assert door_of(code) == word


@pytest.mark.parametrize(
    ("code", "word"),
    [(2, "door"), (3, "continuous"), (0, "unknown"), (1, "unknown"), (4, "unknown"), (9, "unknown")],
)
def test_mode(code: int, word: str) -> None:
    assert mode_of(code) == word


@pytest.mark.parametrize("device_type", [*LOCK_TYPES, 99])
def test_states_that_a_lock_leaves_by_itself(device_type: int) -> None:
    assert {code for code in range(256) if is_transitional(device_type, code)} == {2, 4, 6, 7}


def test_states_that_an_opener_leaves_by_itself() -> None:
    assert {code for code in range(256) if is_transitional(OPENER, code)} == {7}


@pytest.mark.parametrize("device_type", [*LOCK_TYPES, OPENER])
def test_states_that_are_called_back(device_type: int) -> None:
    assert {code for code in range(256) if is_called_back(device_type, code)} == {1, 3}


# number, opens, passes through, settles at
LOCK_ACTIONS = {
    "unlock": (1, True, {2}, {3}),
    "lock": (2, False, {4}, {1}),
    "unlatch": (3, True, {2, 7, 5}, {5, 3}),
    "lock_n_go": (4, True, {2, 6, 3, 4}, {6, 3, 1}),
    "lock_n_go_unlatch": (5, True, {2, 7, 5, 6, 3, 4}, {5, 6, 3, 1}),
}
OPENER_ACTIONS = {
    "activate_rto": (1, True, set[int](), {3}),
    "deactivate_rto": (2, False, set[int](), {1}),
    "electric_strike": (3, True, {7, 5}, {5, 1, 3}),
    "activate_cm": (4, True, set[int](), {1, 3}),
    "deactivate_cm": (5, False, set[int](), {1, 3}),
}


def written(device_type: int) -> dict[str, tuple[int, bool, set[int], set[int]]]:
    """The action table of a type as plain values."""
    return {
        str(action): (facts.code, facts.opens, set(facts.passes), set(facts.settles))
        for action, facts in actions_of(device_type).items()
    }


@pytest.mark.parametrize("device_type", LOCK_TYPES)
def test_actions_of_a_lock(device_type: int) -> None:
    assert written(device_type) == LOCK_ACTIONS


def test_actions_of_an_opener() -> None:
    assert written(OPENER) == OPENER_ACTIONS


def test_a_box_has_no_actions_through_a_bridge() -> None:
    assert written(1) == {}


@pytest.mark.parametrize("device_type", UNHEARD_OF)
def test_an_unheard_of_type_is_never_unlatched(device_type: int) -> None:
    assert written(device_type) == {"unlock": LOCK_ACTIONS["unlock"], "lock": LOCK_ACTIONS["lock"]}


# What counts as seeing that an action works: proves, agrees, mode, derived, opens_door (docs/topics.md, "Confirmed").
# Relocking (1, 4) is in none of the opening ones; continuous mode shows in the mode alone.
EVIDENCE_OF_LOCKS = {
    "unlock": ({2}, {3}, None, 2, False),
    "lock": ({4}, {1}, None, 4, False),
    "unlatch": ({2, 7, 5}, {5, 3}, None, 7, True),
    "lock_n_go": ({2, 6}, {5, 6, 3}, None, 2, True),
    "lock_n_go_unlatch": ({2, 7, 5, 6}, {5, 6, 3}, None, 7, True),
}
EVIDENCE_OF_OPENERS = {
    "activate_rto": (set[int](), {3}, None, None, False),
    "deactivate_rto": (set[int](), {1}, None, None, False),
    "electric_strike": ({7, 5}, {5, 1, 3}, None, 7, False),
    "activate_cm": (set[int](), set[int](), 3, None, False),
    "deactivate_cm": (set[int](), set[int](), 2, None, False),
}


@pytest.mark.parametrize(("device_type", "table"), [(4, EVIDENCE_OF_LOCKS), (OPENER, EVIDENCE_OF_OPENERS)])
def test_what_is_seen_when_an_action_works(
    device_type: int, table: dict[str, tuple[set[int], set[int], int | None, int | None, bool]]
) -> None:
    seen = {
        str(action): (set(facts.proves), set(facts.agrees), facts.mode, facts.derived, facts.opens_door)
        for action, facts in actions_of(device_type).items()
    }

    assert seen == table


@pytest.mark.parametrize("device_type", [4, OPENER])
def test_what_proves_an_action_is_passed_and_what_is_derived_proves_it(device_type: int) -> None:
    for facts in actions_of(device_type).values():
        assert facts.proves <= facts.passes
        assert facts.derived is None or facts.derived in facts.proves


def test_every_action_is_in_a_table() -> None:
    assert {str(action) for action in Action} == {*LOCK_ACTIONS, *OPENER_ACTIONS}


@pytest.mark.parametrize(
    ("state", "ring_to_open"),
    [
        (0, None),
        (1, False),
        (3, True),
        (5, False),
        (7, False),
        (253, None),
        (255, None),
        (9, None),
        (None, None),
    ],
)
def test_ring_to_open(state: int | None, ring_to_open: bool | None) -> None:  # noqa: FBT001 - a column
    opener = Snapshot(nuki_id=NukiId(2), device_type=OPENER, name="Intercom", state_code=state)
    lock = Snapshot(nuki_id=NukiId(1), device_type=0, name="Yard", state_code=state)

    assert opener.ring_to_open is ring_to_open
    assert lock.ring_to_open is None


@pytest.mark.parametrize(("mode", "continuous"), [(2, False), (3, True), (0, None), (9, None), (None, None)])
def test_continuous_mode(mode: int | None, continuous: bool | None) -> None:  # noqa: FBT001 - a column
    opener = Snapshot(nuki_id=NukiId(2), device_type=OPENER, name="Intercom", mode_code=mode)
    lock = Snapshot(nuki_id=NukiId(1), device_type=0, name="Yard", mode_code=mode)

    assert opener.continuous_mode is continuous
    assert lock.continuous_mode is None


def test_words_of_a_snapshot() -> None:
    snapshot = Snapshot(
        nuki_id=NukiId(0x1A2B3C4D),
        device_type=4,
        name="Front door",
        state_code=1,
        mode_code=2,
        door_code=2,
        battery=Battery(level=85, critical=False, charging=False),
        has_keypad=True,
        seen=datetime(2026, 11, 21, 20, 15, 3, tzinfo=UTC),
        rssi_dbm=-67,
    )

    assert (snapshot.kind, snapshot.state, snapshot.lock, snapshot.mode, snapshot.door) == (
        "smart_lock",
        "locked",
        "LOCKED",
        "door",
        "closed",
    )
    assert not snapshot.is_opener
    assert snapshot.features == {
        Feature.DOOR,
        Feature.BATTERY_LEVEL,
        Feature.BATTERY_CRITICAL,
        Feature.BATTERY_CHARGING,
        Feature.KEYPAD,
        Feature.RSSI,
    }


def test_a_snapshot_of_which_nothing_is_known() -> None:
    snapshot = Snapshot(nuki_id=NukiId(2), device_type=OPENER, name="Intercom")

    assert snapshot.kind is DeviceKind.OPENER
    assert (snapshot.state, snapshot.lock, snapshot.mode, snapshot.door) == (None, None, None, None)
    assert snapshot.features == {Feature.RING}
    assert snapshot.stale


@pytest.mark.parametrize(
    ("text", "value"),
    [("1A2B3C4D", 0x1A2B3C4D), ("c2a77a2", 0x0C2A77A2), ("0", 0), ("ffffffff", 0xFFFFFFFF)],
)
def test_nuki_id_from_hex(text: str, value: int) -> None:
    assert NukiId.from_hex(text) == NukiId(value)
    assert str(NukiId(value)) == f"{value:08X}"


@pytest.mark.parametrize("text", ["", "123456789", "xyz", "-1", "0x1", " 1", "１"])  # noqa: RUF001 - a foreign digit
def test_text_that_is_no_nuki_id(text: str) -> None:
    with pytest.raises(ValueError, match="is not a Nuki ID"):
        NukiId.from_hex(text)


@pytest.mark.parametrize("value", [-1, 2**32])
def test_number_that_is_no_nuki_id(value: int) -> None:
    with pytest.raises(ValueError, match="is not a Nuki ID"):
        NukiId(value)
