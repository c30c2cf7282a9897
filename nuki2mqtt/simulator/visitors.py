"""What people do at a device that only the cloud's log can tell: keypads, fingers, tags, the app, buttons. Pure.

Whether a code is right is the lock's own business: what the cloud lists does not matter. Numbers of the log: reference
of the Web API, section 3.6.
"""

from nuki2mqtt.simulator import house as physical
from nuki2mqtt.simulator.doer import APP, BUTTON, CODE, FINGERPRINT, KEYPAD, TAP, Doer
from nuki2mqtt.simulator.doer import AUTO_LOCK as AUTO
from nuki2mqtt.simulator.keypad import Refusal, StoredAuth
from nuki2mqtt.simulator.web_device import KnownDevice
from nuki2mqtt.simulator.web_log import INVALID_CODE, INVALID_FINGERPRINT, INVALID_TAG


def enter_code(known: KnownDevice, code: int, *, action: int | None = None) -> StoredAuth | Refusal:
    """Type a code; the right one moves the motor, a wrong one is told by the log. Raises ValueError without a keypad.

    `action` is what the keypad asks for: unlocking if not given, of an Opener the electric strike.
    """
    _demand_keypad(known)
    verdict = known.memory.judge_code(code, known.cloud.house.now)
    return _let_in(known, verdict, CODE, INVALID_CODE, action)


def touch(known: KnownDevice, finger: str, *, action: int | None = None) -> StoredAuth | Refusal:
    """Lay a finger on the keypad, by the id under which the lock knows it; raises ValueError without a keypad."""
    _demand_keypad(known)
    verdict = known.memory.judge_finger(finger, known.cloud.house.now)
    return _let_in(known, verdict, FINGERPRINT, INVALID_FINGERPRINT, action)


def tap_unknown_tag(known: KnownDevice) -> None:
    """Hold a tag to the keypad that nobody has given a right to; raises ValueError without a keypad."""
    _demand_keypad(known)
    _fail(known, TAP, INVALID_TAG)


def act_by_app(known: KnownDevice, number: int, action: int) -> None:
    """Order with a phone, as the authorization of this number on the lock; raises KeyError."""
    stored = known.memory.stored[number]
    _order(known, Doer(APP, name=stored.name, number=number), action)


def press_button(known: KnownDevice, action: int) -> None:
    """Press the button of the device, which is set to do this."""
    _order(known, Doer(BUTTON), action)


def lock_by_itself(known: KnownDevice) -> None:
    """The lock locks after its time, as `autoLock` lets it."""
    _order(known, Doer(AUTO), physical.LOCK)


def _demand_keypad(known: KnownDevice) -> None:
    if not known.has_keypad:
        raise ValueError(f"{known.nuki_id:08X} has no keypad")


def _let_in(
    known: KnownDevice, verdict: StoredAuth | Refusal, source: int, failure: int, action: int | None
) -> StoredAuth | Refusal:
    if isinstance(verdict, Refusal):
        _fail(known, source, failure)
        return verdict
    usual = physical.STRIKE if known.is_opener else physical.UNLOCK
    doer = Doer(KEYPAD, source, verdict.name, verdict.number)
    _order(known, doer, usual if action is None else action)
    return verdict


def _fail(known: KnownDevice, source: int, state: int) -> None:
    usual = physical.STRIKE if known.is_opener else physical.UNLOCK
    known.cloud.log.write(known, usual, Doer(known.cloud.conduct.failed_trigger, source), state=state)


def _order(known: KnownDevice, doer: Doer, action: int) -> None:
    cloud = known.cloud
    with cloud.house.witnesses.doing(doer):
        known.device.order(action, cloud.motor)
