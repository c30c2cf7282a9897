"""The cloud's calls about devices: their list, what they are told to do, their settings. Pure.

Source: reference of the Web API, sections 2.1, 4 and 5; statuses where the description is silent: section 1.2.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from nuki2mqtt.model.device import DeviceKind, kind_of
from nuki2mqtt.simulator import house as physical
from nuki2mqtt.simulator import web_bodies as bodies
from nuki2mqtt.simulator.doer import BY_WEB
from nuki2mqtt.simulator.web_config import changed
from nuki2mqtt.simulator.web_device import KnownDevice
from nuki2mqtt.simulator.web_faults import Write
from nuki2mqtt.simulator.web_values import CloudAsked, CloudRefusalError, Json, not_valid

if TYPE_CHECKING:
    from nuki2mqtt.simulator.web import SimulatedCloud

Reply: TypeAlias = "tuple[int, Json]"

_ACTIONS = {  # section 4: numbers of the cloud, and of the device itself
    DeviceKind.SMART_LOCK: {number: number for number in range(1, 6)},
    DeviceKind.SMART_DOOR: {number: number for number in range(1, 6)},
    DeviceKind.OPENER: {1: 1, 2: 2, 3: 3, 6: physical.ACTIVATE_CM, 7: physical.DEACTIVATE_CM},
    DeviceKind.BOX: {1: 1},
}
_UNLATCHING = frozenset({physical.UNLATCH, physical.LOCK_N_GO_UNLATCH})
_OPTIONS = 7
_TRIGGERED = {1: "UnlockAction", 2: "LockAction", 3: "UnlatchAction", 4: "LockNGoAction", 5: "LockNGoUnlatchAction"}


def find(cloud: "SimulatedCloud", asked: CloudAsked, *, status: int = 404) -> KnownDevice:
    """The device in the path; raises CloudRefusalError with this status where the account has none such."""
    text = asked.places["smartlockId"]
    if text.isascii() and text.isdecimal() and len(text) <= 18:
        for known in cloud.devices:
            if known.smartlock_id == int(text):
                return known
    raise CloudRefusalError(status)


def list_all(cloud: "SimulatedCloud", asked: CloudAsked) -> Reply:
    """`GET /smartlock`."""
    kind, auth_id = asked.number("type"), asked.number("authId")
    return 200, [
        bodies.smartlock(known, cloud.house.now)
        for known in cloud.devices
        if kind in {None, known.device.device_type} and auth_id in {None, known.auth_id}
    ]


def show(cloud: "SimulatedCloud", asked: CloudAsked) -> Reply:
    """`GET /smartlock/{smartlockId}`."""
    return 200, bodies.smartlock(find(cloud, asked), cloud.house.now)


def rename(cloud: "SimulatedCloud", asked: CloudAsked) -> Reply:
    """`POST /smartlock/{smartlockId}`: the cloud's own name and favourite; the lock keeps its name."""
    known, given = find(cloud, asked, status=403), asked.members()
    name, favorite = given.text("name"), given.switch("favorite")
    known.name = known.name if name is None else name
    known.favorite = known.favorite if favorite is None else favorite
    known.touch()
    cloud.hooks.master_data(known)
    return 204, None


def act(cloud: "SimulatedCloud", asked: CloudAsked) -> Reply:
    """`POST /smartlock/{smartlockId}/action`."""
    known = find(cloud, asked)
    _order(known, _action(known, asked))
    return 204, None


def act_advanced(cloud: "SimulatedCloud", asked: CloudAsked) -> Reply:
    """The same with an id, under which a webhook tells the end."""
    known = find(cloud, asked)
    return 200, _order_with_id(known, _action(known, asked))


def act_simply(action: int, *, is_advanced: bool = False) -> "Callable[[SimulatedCloud, CloudAsked], Reply]":
    """`.../action/lock` and `.../action/unlock`, which only locks have."""

    def work(cloud: "SimulatedCloud", asked: CloudAsked) -> Reply:
        known = find(cloud, asked)
        if known.is_opener or action not in _actions_of(known):
            raise CloudRefusalError(405)
        if is_advanced:
            return 200, _order_with_id(known, action)
        _order(known, action)
        return 204, None

    return work


def sync(cloud: "SimulatedCloud", asked: CloudAsked) -> Reply:
    """`POST /smartlock/{smartlockId}/sync`."""
    known = find(cloud, asked)
    known.later(Write.SYNC, partial(known.sync, is_forced=True))
    return 204, None


def configure(key: str) -> "Callable[[SimulatedCloud, CloudAsked], Reply]":
    """`POST /smartlock/{smartlockId}/config` and its `/advanced/...` sisters."""

    def work(cloud: "SimulatedCloud", asked: CloudAsked) -> Reply:
        known, given = find(cloud, asked), asked.members()
        if key == "config":
            before = known.config
        elif known.advanced is not None and known.advanced[0] == key:
            before = known.advanced[1]
        else:
            raise not_valid("smartlockId", known.smartlock_id)
        after = changed(key, before, given)
        _demand_free(known)
        known.write_config(key, after)
        return 204, None

    return work


def configure_web(cloud: "SimulatedCloud", asked: CloudAsked) -> Reply:
    """`POST /smartlock/{smartlockId}/web/config`: what is left out stays; nothing of it is the device's."""
    known = find(cloud, asked)
    warns = asked.members().switch("batteryWarningPerMailEnabled")
    if warns is not None:
        known.web_config["batteryWarningPerMailEnabled"] = warns
    return 204, None


def _actions_of(known: KnownDevice) -> dict[int, int]:
    return _ACTIONS.get(kind_of(known.device.device_type), {})


def _action(known: KnownDevice, asked: CloudAsked) -> int:
    """The device's number of the action that the body asks for; raises CloudRefusalError."""
    given = asked.members()
    number, option = given.values.get("action"), given.values.get("option")
    if isinstance(number, bool) or not isinstance(number, int) or number not in _actions_of(known):
        raise not_valid("action", number)
    if not known.has_unlatch and not known.is_opener and number in _UNLATCHING:  # section 5, markets
        raise not_valid("action", number)
    if option is not None and (isinstance(option, bool) or not isinstance(option, int) or not 0 <= option <= _OPTIONS):
        raise not_valid("option", option)
    return _actions_of(known)[number]


def _demand_free(known: KnownDevice) -> None:
    """Raise CloudRefusalError where an operation holds the device (section 1.2: the body does not say so)."""
    if known.operation_id is not None:
        raise CloudRefusalError(423)


def _order(known: KnownDevice, action: int, done: Callable[[], None] | None = None) -> None:
    _demand_free(known)

    def do() -> bool:
        cloud = known.cloud
        with cloud.house.witnesses.doing(BY_WEB):
            known.device.order(action, cloud.motor)
        if done is not None:
            done()
        return True

    known.later(Write.ACTION, do)


def _order_with_id(known: KnownDevice, action: int) -> dict[str, Json]:
    cloud = known.cloud
    request_id = cloud.ids.make(cloud.house.now)
    kind = _TRIGGERED[action] if not known.is_opener else "OpenerAction"  # the names but the first are invented
    _order(known, action, lambda: cloud.hooks.triggered(kind, request_id, known))
    return {"requestId": request_id}
