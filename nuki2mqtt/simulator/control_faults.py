"""Every fault by its name and parameters, begun and ended from outside. Pure."""

import inspect
from collections.abc import Callable

from nuki2mqtt.simulator.control_values import Asked, ControlError, Fields, Json
from nuki2mqtt.simulator.estate import ServedBridge
from nuki2mqtt.simulator.faults import Fault, FaultName, Faults

# How each parameter of a fault is read; `stuck_state` shows any code.
_READERS: dict[str, Callable[[Fields, str], object]] = {
    "nuki_id": lambda given, name: given.nuki_id(name),
    "path": lambda given, name: given.text(name),
    "acts": lambda given, name: given.switch(name),
    "body": lambda given, name: given.text(name).encode(),  # other bytes by PUT on the endpoint
    "status": lambda given, name: given.within(name, 200, 599),
    "seconds": lambda given, name: given.number(name),
    "code": lambda given, name: given.within(name, 0, 255),
    "count": lambda given, name: given.within(name, 0, 3),
    "lose_states": lambda given, name: given.switch(name),
    "lose_callbacks": lambda given, name: given.switch(name),
}


def parameters(name: FaultName) -> dict[str, bool]:
    """The parameters of a fault, and whether each has to be given."""
    found = inspect.signature(getattr(Faults, name)).parameters.values()
    return {one.name: one.default is inspect.Parameter.empty for one in found if one.name != "self"}


def known_faults() -> Json:
    """Every fault with its parameters and what it does."""
    return {
        str(name): {
            "does": inspect.getdoc(getattr(Faults, name)) or "",
            "needs": [key for key, is_needed in parameters(name).items() if is_needed],
            "takes": [key for key, is_needed in parameters(name).items() if not is_needed],
        }
        for name in FaultName
    }


def begin_fault(one: ServedBridge, asked: Asked) -> Json:
    """Begin a fault; its number, by which it is ended."""
    every = asked.fields("name", *_READERS)
    name = every.text("name")
    if name not in set(FaultName):
        raise ControlError(404, f"There is no fault {name!r}: {', '.join(FaultName)}.")
    known = parameters(FaultName(name))
    asked.fields("name", *known)
    given = {key: _READERS[key](every, key) for key in known if every.has(key) or known[key]}
    if "nuki_id" in given:
        _check_paired(one, given["nuki_id"])
    fault: Fault = getattr(one.bridge.faults, name)(**given)
    fault.begin()
    number = max(one.faults, default=0) + 1
    one.faults[number] = fault
    return describe_fault(number, fault)


def active_faults(one: ServedBridge) -> Json:
    """The faults that have begun and not ended."""
    return [describe_fault(number, fault) for number, fault in one.faults.items() if fault.is_active]


def end_fault(one: ServedBridge, number: str) -> Json:
    """End one fault."""
    fault = one.faults.get(int(number)) if number.isdecimal() and len(number) < 10 else None
    if fault is None or not fault.is_active:
        raise ControlError(404, f"Bridge {one.id} has no active fault {number}.")
    _end(one, fault)
    return describe_fault(int(number), fault)


def end_all_faults(one: ServedBridge) -> Json:
    """End all faults; the number of those that were active."""
    active = [fault for fault in one.faults.values() if fault.is_active]
    for fault in active:
        _end(one, fault)
    return {"ended": len(active)}


def replace_answer(one: ServedBridge, path: str, body: bytes, status: int) -> Json:
    """Let an endpoint do its work and answer these bytes instead; the newest replacement holds."""
    if not one.bridge.has_endpoint(path):
        raise ControlError(404, f"Bridge {one.id} has no endpoint {path}.")
    restore_answer(one, path)
    fault = one.bridge.faults.garbage(path, body, status).begin()
    one.faults[max(one.faults, default=0) + 1] = fault
    return {"path": path, "status": status, "bytes": len(body)}


def restore_answer(one: ServedBridge, path: str) -> Json:
    """Let an endpoint answer by itself again; how many replacements of it ended."""
    replaced = [
        fault
        for fault in one.faults.values()
        if fault.name is FaultName.GARBAGE and fault.path == path and fault.is_active
    ]
    for fault in replaced:
        fault.end()
    return {"path": path, "ended": len(replaced)}


def describe_fault(number: int, fault: Fault) -> Json:
    """A fault as the control API shows it; `hits` is how often it was met."""
    shown: dict[str, Json] = {"fault": number, "name": str(fault.name), "active": fault.is_active, "hits": fault.hits}
    if fault.nuki_id is not None:
        shown["nuki_id"] = f"{fault.nuki_id:08X}"
    if fault.path is not None:
        shown["path"] = fault.path
    return shown


def _end(one: ServedBridge, fault: Fault) -> None:
    try:
        fault.end()
    except OSError as error:  # it is to listen again
        raise ControlError(
            409,
            f"Bridge {one.id} cannot listen at {one.server.url} any more ({error.strerror}); move it to another port.",
        ) from None


def _check_paired(one: ServedBridge, nuki_id: object) -> None:
    if nuki_id not in one.paired:
        raise ControlError(404, f"Bridge {one.id} has no such device; GET /bridges lists its devices.")
