"""Who uses a device, and what its keypad knows: what can be done of it from outside. Pure."""

from nuki2mqtt.simulator import house as physical
from nuki2mqtt.simulator import visitors
from nuki2mqtt.simulator.control_cloud import find_cloud
from nuki2mqtt.simulator.control_devices import find_device
from nuki2mqtt.simulator.control_values import Asked, ControlError, Fields, Json
from nuki2mqtt.simulator.estate import Estate
from nuki2mqtt.simulator.keypad import KEYPAD_CODE, Refusal, StoredAuth, is_code
from nuki2mqtt.simulator.web_auth_list import ListedAuth
from nuki2mqtt.simulator.web_device import KnownDevice

_LOCK_WORDS = {
    "unlock": physical.UNLOCK,
    "lock": physical.LOCK,
    "unlatch": physical.UNLATCH,
    "lock_n_go": physical.LOCK_N_GO,
}
_OPENER_WORDS = {"activate_rto": physical.ACTIVATE_RTO, "deactivate_rto": physical.DEACTIVATE_RTO}
_OPENER_WORDS |= {"electric_strike": physical.STRIKE}


def find_known(estate: Estate, text: str) -> KnownDevice:
    """A device of the cloud by its ID; raises ControlError."""
    device = find_device(estate, text)
    known = find_cloud(estate).cloud.find_known(device.nuki_id)
    if known is None:
        raise ControlError(409, f"{device.nuki_id:08X} is not in the cloud; GET /cloud lists what is.")
    return known


def list_auths(known: KnownDevice) -> Json:
    """Everybody who may use the device: `lock` is the truth, `cloud` what the cloud lists."""
    return {
        "lock": [_describe(one) for one in known.memory.stored.values()],
        "cloud": [_describe_listed(one) for one in known.auths],
    }


def _describe_listed(one: ListedAuth) -> dict[str, Json]:
    shown: dict[str, Json] = {"id": one.id, "ghost": one.is_ghost, "operation": one.operation_id is not None}
    return shown | _describe(one.shown)


def _describe(one: StoredAuth) -> dict[str, Json]:
    return {
        "number": one.number,
        "type": one.type,
        "name": one.name,
        "code": one.code,
        "enabled": one.enabled,
        "lock_count": one.lock_count,
    }


def add_code(known: KnownDevice, asked: Asked) -> Json:
    """Make a code with the app at the lock; the cloud learns of it by a sync."""
    given = asked.fields("name", "code")
    _demand_keypad(known)
    code = given.integer("code")
    if not is_code(code):
        raise ControlError(400, "code has to have six digits from 1 to 9, and not to begin with 12.")
    stored = known.auths.add_by_app(name=given.text("name"), code=code, type=KEYPAD_CODE)
    if stored is None:
        raise ControlError(409, "The lock has this code already, or has no room for another.")
    return _describe(stored)


def make_ghost(known: KnownDevice, asked: Asked) -> Json:
    """Let the lock forget an authorization without the cloud's notice."""
    name = asked.fields("name").text("name")
    found = [one for one in known.auths if one.shown.name == name and not one.is_ghost]
    if not found:
        raise ControlError(404, f"The cloud lists nobody {name!r} at {known.nuki_id:08X} whom the lock knows.")
    known.auths.make_ghost(found[0].id)
    return {"id": found[0].id, "ghost": True}


def use_keypad(known: KnownDevice, asked: Asked) -> Json:
    """Type a code, lay a finger on it, or hold an unknown tag to it."""
    given = asked.fields("code", "finger", "tag", "action")
    _demand_keypad(known)
    ways = [name for name in ("code", "finger", "tag") if given.has(name)]
    if len(ways) != 1:
        raise ControlError(400, "Give one of code, finger and tag.")
    action = _action(known, given) if given.has("action") else None
    if ways == ["tag"]:
        visitors.tap_unknown_tag(known)
        return {"opened": False, "why": str(Refusal.UNKNOWN)}
    verdict = (
        visitors.enter_code(known, given.integer("code"), action=action)
        if ways == ["code"]
        else visitors.touch(known, given.text("finger"), action=action)
    )
    if isinstance(verdict, Refusal):
        return {"opened": False, "why": str(verdict)}
    return {"opened": True, "name": verdict.name, "number": verdict.number}


def use_app(known: KnownDevice, asked: Asked) -> Json:
    """Order with a phone near the device, as one of those whom the lock knows."""
    given = asked.fields("action", "number")
    action, number = _action(known, given), given.integer("number", 1)
    if number not in known.memory.stored:
        raise ControlError(404, f"{known.nuki_id:08X} knows no authorization {number}.")
    visitors.act_by_app(known, number, action)
    return {"name": known.memory.stored[number].name}


def press_button(known: KnownDevice, asked: Asked) -> Json:
    """Press the button of the device, which is set to do this."""
    visitors.press_button(known, _action(known, asked.fields("action")))
    return {"pressed": True}


def lock_by_itself(known: KnownDevice, asked: Asked) -> Json:
    """Let the lock lock after its time, as it does with auto lock."""
    asked.fields()
    if known.is_opener:
        raise ControlError(409, f"{known.nuki_id:08X} cannot lock: it is no lock.")
    visitors.lock_by_itself(known)
    return {"locking": True}


def _action(known: KnownDevice, given: Fields) -> int:
    words = _OPENER_WORDS if known.is_opener else _LOCK_WORDS
    word = given.text("action")
    if word not in words:
        raise ControlError(400, f"action has to be one of {', '.join(words)}.")
    return words[word]


def _demand_keypad(known: KnownDevice) -> None:
    if not known.has_keypad:
        raise ControlError(409, f"{known.nuki_id:08X} has no keypad.")
