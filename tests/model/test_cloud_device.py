"""How the cloud numbers devices, and what only the cloud says of them."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nuki2mqtt.model.cloud_device import (
    CloudDevice,
    CloudFacts,
    ServerState,
    device_type_of,
    nuki_id_of,
    server_state_of,
    smartlock_id_of,
)
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.state import DeviceState, Report, Source

# A loaded machine is no reason to fail.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize(
    ("device_type", "hex_id", "smartlock_id"),
    [
        (4, "3ED0AFC5", 18233733061),  # web reference 5: live ids
        (2, "1E24DD52", 9095667026),
        (5, "1A2B3C4D", 21913877581),
        (4, "398172F4", 18144654068),
        (0, "1A2B3C4D", 0x1A2B3C4D),
        (4, "0C2A77A2", 0x4_0C2A_77A2),  # a leading zero stays
    ],
)
def test_numbers_of_devices(device_type: int, hex_id: str, smartlock_id: int) -> None:
    nuki_id = NukiId.from_hex(hex_id)

    assert smartlock_id_of(device_type, nuki_id) == smartlock_id
    assert nuki_id_of(smartlock_id) == nuki_id
    assert device_type_of(smartlock_id) == device_type


@PATIENT
@given(st.integers(0, 2**31 - 1), st.integers(0, 2**32 - 1))
def test_numbers_come_back(device_type: int, value: int) -> None:
    smartlock_id = smartlock_id_of(device_type, NukiId(value))

    assert (device_type_of(smartlock_id), nuki_id_of(smartlock_id)) == (device_type, NukiId(value))


@pytest.mark.parametrize(
    ("code", "word"),
    [
        (0, "ok"),
        (1, "unregistered"),
        (2, "auth_uuid_invalid"),
        (3, "auth_invalid"),
        (4, "offline"),
        (5, "unknown"),
    ],
)
def test_server_states(code: int, word: str) -> None:
    assert server_state_of(code) is ServerState(word)
    assert CloudFacts(server_state_code=code).server_state == word


@pytest.mark.parametrize(
    ("first", "second", "has_keypad"),
    [
        (None, None, None),
        (False, None, False),
        (None, False, False),
        (False, False, False),
        (True, None, True),
        (False, True, True),
    ],
)
def test_either_keypad_will_do(
    first: bool | None,  # noqa: FBT001 - a column
    second: bool | None,  # noqa: FBT001 - a column
    has_keypad: bool | None,  # noqa: FBT001 - a column
) -> None:
    assert CloudFacts(keypad_paired=first, keypad2_paired=second).has_keypad is has_keypad


def device(smartlock_id: int, *, said: int | None = None, state: int | None = None, **facts: int) -> CloudDevice:
    known = None if state is None else DeviceState(state_code=state)
    report = Report(nuki_id=nuki_id_of(smartlock_id), source=Source.WEB, device_type=said, state=known)
    return CloudDevice(smartlock_id, report, CloudFacts(**facts))  # type: ignore[arg-type]  # only numbers here


def test_the_type_that_is_said_goes_before_that_of_the_number() -> None:
    assert device(0x4_0000_0001).device_type == 4
    assert device(0x4_0000_0001, said=3).device_type == 3
    assert device(1).device_type == 0


def test_words_are_those_of_the_type() -> None:
    opener = device(0x2_0000_0001, last_action_code=6, trigger_code=6)
    lock = device(0x4_0000_0001, last_action_code=2, trigger_code=6)

    assert (opener.last_action, opener.trigger) == ("activate_cm", "continuous_mode")
    assert (lock.last_action, lock.trigger) == ("lock", "auto_lock")
    assert (device(1).last_action, device(1).trigger) == (None, None)


def test_a_state_that_is_no_position() -> None:
    assert [state for state in range(256) if device(1, state=state).is_entry_refused] == [224, 225]
    assert not device(1).is_entry_refused


def test_nothing_known() -> None:
    facts = CloudFacts()

    assert (facts.server_state, facts.has_keypad, facts.time_zone_name) == (None, None, None)
    assert not facts.has_operation
    assert CloudFacts(time_zone_id=37).time_zone_name == "Europe/Berlin"
