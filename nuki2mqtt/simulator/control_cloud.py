"""What can be done to the simulated cloud from outside. Pure."""

from dataclasses import fields, replace

from nuki2mqtt.model.device import DEVICE_TYPES
from nuki2mqtt.simulator.bodies import iso
from nuki2mqtt.simulator.bridge import Ending
from nuki2mqtt.simulator.catalogue import Model, make_device
from nuki2mqtt.simulator.control_cloud_faults import active_faults
from nuki2mqtt.simulator.control_values import Asked, ControlError, Fields, Json
from nuki2mqtt.simulator.estate import Estate, ServedCloud
from nuki2mqtt.simulator.keypad import NEW_CAPACITY
from nuki2mqtt.simulator.web import Conduct
from nuki2mqtt.simulator.web_device import KnownDevice
from nuki2mqtt.simulator.web_hooks import FEATURES
from nuki2mqtt.simulator.web_routes import SCOPES

_MOST_DEVICES = 100


def find_cloud(estate: Estate) -> ServedCloud:
    """The cloud; raises ControlError where the simulation has none."""
    if estate.cloud is None:
        raise ControlError(409, "There is no cloud in this simulation; start it with --cloud.")
    return estate.cloud


def describe_cloud(one: ServedCloud) -> Json:
    """The cloud: how to reach it, what its token may do, its devices, and how it is just now."""
    cloud = one.cloud
    return {
        "url": one.server.url,
        "token": one.token,
        "scopes": [scope for scope in SCOPES if scope in cloud.tokens[one.token]],
        "conduct": {each.name: getattr(cloud.conduct, each.name) for each in fields(Conduct)},
        "devices": [_describe_device(known) for known in cloud.devices],
        "webhooks": [{"id": hook.id, "url": hook.url, "features": sorted(hook.features)} for hook in cloud.hooks.hooks],
        "faults": active_faults(one),
    }


def _describe_device(known: KnownDevice) -> Json:
    return {
        "id": f"{known.nuki_id:08X}",
        "smartlock_id": known.smartlock_id,
        "offline": known.is_offline,
        "unlatch": known.has_unlatch,
        "keypad": known.has_keypad,
        "capacity": known.memory.capacity,
        "forced_syncs": known.forced_syncs,
        "daily_syncs": known.daily_syncs,
        "operations": [str(operation.kind) for operation in known.operations],
    }


def list_requests(one: ServedCloud) -> Json:
    """What the cloud was asked, oldest first; without tokens and without bodies, in which codes may be."""
    return [
        {
            "at": iso(request.at),
            "at_s": round(request.at, 3),
            "method": request.method,
            "path": request.path,
            "query": dict(request.query),
            "status": request.status if request.ending is Ending.ANSWERED else None,
            "outcome": str(request.ending),
        }
        for request in one.cloud.requests
    ]


def forget_requests(one: ServedCloud) -> Json:
    """Begin the list of requests anew; how many there were."""
    count = len(one.cloud.requests)
    one.cloud.requests.clear()
    return {"forgotten": count}


def list_writes(one: ServedCloud) -> Json:
    """What the cloud has promised with a 204, oldest first, and what became of it."""
    return [
        {
            "at": iso(operation.asked_at),
            "at_s": round(operation.asked_at, 3),
            "device": f"{operation.nuki_id:08X}",
            "kind": str(operation.kind),
            "end": str(operation.end),
            "ended_at_s": None if operation.ended_at is None else round(operation.ended_at, 3),
        }
        for operation in one.cloud.writes
    ]


def set_scopes(one: ServedCloud, asked: Asked) -> Json:
    """Give the token these scopes and no others."""
    scopes = _words(asked.fields("scopes"), "scopes", SCOPES)
    one.cloud.tokens[one.token] = scopes
    return {"scopes": [scope for scope in SCOPES if scope in scopes]}


def set_conduct(one: ServedCloud, asked: Asked) -> Json:
    """Let the cloud behave differently where its documents say two things or none."""
    names = [each.name for each in fields(Conduct)]
    given = asked.fields(*names)
    if not given.values:
        raise ControlError(400, f"Nothing to do: give one of {', '.join(names)}.")
    changes: dict[str, bool | int] = {
        name: given.within(name, 0, 255) if name == "failed_trigger" else given.switch(name) for name in given.values
    }
    one.cloud.conduct = replace(one.cloud.conduct, **changes)  # type: ignore[arg-type]  # read by their names above
    return {name: getattr(one.cloud.conduct, name) for name in names}


def add_webhook(one: ServedCloud, asked: Asked) -> Json:
    """Post to this address whatever changes, signed with this secret."""
    given = asked.fields("url", "secret", "features")
    features = _words(given, "features", FEATURES) if given.has("features") else frozenset(FEATURES)
    hook = one.cloud.hooks.add(given.text("url"), features, given.text("secret") if given.has("secret") else None)
    return {"id": hook.id, "url": hook.url, "secret": hook.secret, "features": sorted(hook.features)}


def remove_webhooks(one: ServedCloud) -> Json:
    """Post nowhere any more, not to what clients have registered either; how many there were."""
    count = len(one.cloud.hooks.hooks)
    one.cloud.hooks.hooks.clear()
    return {"removed": count}


def add_device(estate: Estate, one: ServedCloud, asked: Asked) -> Json:
    """Put a device with Wi-Fi of its own into the house, with which no Bridge is paired."""
    given = asked.fields("model", "id", "name", "door_sensor", "keypad", "unlatch", "capacity")
    model = given.text("model")
    if model not in set(Model):
        raise ControlError(400, f"There is no model {model!r}: {', '.join(Model)}.")
    if len(estate.house.devices) >= _MOST_DEVICES:
        raise ControlError(409, f"The house is full: {_MOST_DEVICES} devices at most.")
    device = make_device(
        Model(model),
        given.nuki_id("id"),
        given.text("name"),
        has_door_sensor=given.switch("door_sensor", default=False),
        has_keypad=given.switch("keypad", default=False),
    )
    if device.device_type not in DEVICE_TYPES:
        raise ControlError(400, "The cloud knows no devices of unknown types.")
    try:
        estate.add_to_cloud(
            one,
            device,
            has_unlatch=given.switch("unlatch", default=True),
            capacity=given.within("capacity", 1, 1000, NEW_CAPACITY),
        )
    except ValueError as error:
        raise ControlError(409, f"{error}") from None
    return _describe_device(one.cloud.known(device.nuki_id))


def _words(given: Fields, name: str, known: tuple[str, ...]) -> frozenset[str]:
    value = given.values.get(name)
    if not isinstance(value, list) or not set(map(str, value)) <= set(known):
        raise ControlError(400, f"{name} has to be a list of these: {', '.join(known)}.")
    return frozenset(map(str, value))
