"""From two states of a device to the events between them."""

from datetime import datetime

from nuki2mqtt.model.device import DeviceKind, kind_of
from nuki2mqtt.model.event import BatteryPart, DeviceEvent, EventType, StateChange
from nuki2mqtt.model.state import (
    DOOR_CLOSED_CODE,
    DOOR_OPEN_CODE,
    JAMMED_CODE,
    DeviceState,
    Source,
    door_of,
    mode_of,
    state_of,
)


def visible_facts(device_type: int, state: DeviceState) -> tuple[str, str | None, str | None]:
    """What `changed` is about: state (with it ring-to-open), door and, for an Opener, continuous mode."""
    is_opener = kind_of(device_type) is DeviceKind.OPENER
    mode = mode_of(state.mode_code) if is_opener and state.mode_code is not None else None
    door = None if state.door_code is None else door_of(state.door_code)
    return state_of(device_type, state.state_code), door, mode


def changes_between(
    device_type: int,
    before: DeviceState,
    after: DeviceState,
    door_before: int | None,
    at: datetime,
    source: Source,
) -> tuple[DeviceEvent, ...]:
    """The events between two states; `door_before` is the last definite door."""
    events: list[DeviceEvent] = []

    def add(event_type: EventType, details: StateChange | BatteryPart | None = None) -> None:
        events.append(DeviceEvent(event_type, at, source, details))

    if before.state_code != after.state_code:
        change = StateChange(
            state_of(device_type, before.state_code),
            state_of(device_type, after.state_code),
            before.state_code,
            after.state_code,
        )
        add(EventType.STATE_CHANGED, change)
        if after.state_code == JAMMED_CODE and kind_of(device_type) is not DeviceKind.OPENER:
            add(EventType.JAMMED)
    # A sensor that is unknown for some seconds has not moved: only closed and open are compared.
    if after.door_code == DOOR_OPEN_CODE and door_before == DOOR_CLOSED_CODE:
        add(EventType.DOOR_OPENED)
    elif after.door_code == DOOR_CLOSED_CODE and door_before == DOOR_OPEN_CODE:
        add(EventType.DOOR_CLOSED)
    if after.battery.critical is True and before.battery.critical is False:
        add(EventType.BATTERY_LOW, BatteryPart.LOCK)
    if after.keypad_battery_critical is True and before.keypad_battery_critical is False:
        add(EventType.BATTERY_LOW, BatteryPart.KEYPAD)
    return tuple(events)
