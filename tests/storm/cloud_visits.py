"""Who comes to a door and what he does there, as the cloud's log tells it: by a code, the app, a button, by hand."""

from collections.abc import Mapping
from typing import Any

from nuki2mqtt.simulator import visitors
from nuki2mqtt.simulator.keypad import APP, KEYPAD_CODE, StoredAuth
from nuki2mqtt.simulator.web_device import KnownDevice
from tests.storm.cloud import CloudSite

WRONG_CODE = 998877
_LOCK, _BY_HAND = 2, {1: 3, 2: 1, 3: 5}  # the state to which somebody turns it instead of this action


def visit(site: CloudSite, step: Mapping[str, Any]) -> None:
    """Let somebody do what the step says; `which` is the one of those who may."""
    known, which, action = site.names[step["device"]], int(step["which"]), int(step["action"])
    match step["by"]:
        case "code" if known.has_keypad:
            codes = [one for one in _all(known, KEYPAD_CODE) if one.code is not None]
            if codes:
                visitors.enter_code(known, int(codes[which % len(codes)].code or 0), action=action)
        case "wrong_code" if known.has_keypad:
            visitors.enter_code(known, WRONG_CODE)
        case "app":
            phones = _all(known, APP)
            visitors.act_by_app(known, phones[which % len(phones)].number, action)
        case "button":
            visitors.press_button(known, action)
        case "auto_lock":
            visitors.lock_by_itself(known)
        case _:
            known.device.turn(_BY_HAND[action])


def _all(known: KnownDevice, kind: int) -> list[StoredAuth]:
    return [one for one in known.memory.stored.values() if one.type == kind]
