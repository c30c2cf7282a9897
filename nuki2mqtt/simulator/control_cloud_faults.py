"""Every fault of the cloud by its name and parameters, begun and ended from outside. Pure."""

import inspect
from collections.abc import Callable

from nuki2mqtt.simulator.control_values import Asked, ControlError, Fields, Json
from nuki2mqtt.simulator.estate import ServedCloud
from nuki2mqtt.simulator.web_faults import CloudFault, CloudFaultName, CloudFaults, Write

_READERS: dict[str, Callable[[Fields, str], object]] = {
    "nuki_id": lambda given, name: given.nuki_id(name),
    "path": lambda given, name: given.text(name),
    "kind": lambda given, name: _kind(given.text(name)),
    "acts": lambda given, name: given.switch(name),
    "body": lambda given, name: given.text(name).encode(),
    "status": lambda given, name: given.within(name, 200, 599),
    "seconds": lambda given, name: given.number(name),
}


def parameters(name: CloudFaultName) -> dict[str, bool]:
    """The parameters of a fault, and whether each has to be given."""
    found = inspect.signature(getattr(CloudFaults, name)).parameters.values()
    return {one.name: one.default is inspect.Parameter.empty for one in found if one.name != "self"}


def known_faults() -> Json:
    """Every fault with its parameters and what it does."""
    return {
        str(name): {
            "does": inspect.getdoc(getattr(CloudFaults, name)) or "",
            "needs": [key for key, is_needed in parameters(name).items() if is_needed],
            "takes": [key for key, is_needed in parameters(name).items() if not is_needed],
        }
        for name in CloudFaultName
    }


def begin_fault(one: ServedCloud, asked: Asked) -> Json:
    """Begin a fault; its number, by which it is ended."""
    every = asked.fields("name", *_READERS)
    name = every.text("name")
    if name not in set(CloudFaultName):
        raise ControlError(404, f"There is no fault {name!r}: {', '.join(CloudFaultName)}.")
    known = parameters(CloudFaultName(name))
    asked.fields("name", *known)
    given = {key: _READERS[key](every, key) for key in known if every.has(key) or known[key]}
    nuki_id = given.get("nuki_id")
    if isinstance(nuki_id, int) and one.cloud.find_known(nuki_id) is None:
        raise ControlError(404, "The cloud has no such device; GET /cloud lists its devices.")
    fault: CloudFault = getattr(one.cloud.faults, name)(**given)
    fault.begin()
    number = max(one.faults, default=0) + 1
    one.faults[number] = fault
    return describe_fault(number, fault)


def active_faults(one: ServedCloud) -> Json:
    """The faults that have begun and not ended."""
    return [describe_fault(number, fault) for number, fault in one.faults.items() if fault.is_active]


def end_fault(one: ServedCloud, number: str) -> Json:
    """End one fault."""
    fault = one.faults.get(int(number)) if number.isdecimal() and len(number) < 10 else None
    if fault is None or not fault.is_active:
        raise ControlError(404, f"The cloud has no active fault {number}.")
    _end(one, fault)
    return describe_fault(int(number), fault)


def end_all_faults(one: ServedCloud) -> Json:
    """End all faults; the number of those that were active."""
    active = [fault for fault in one.faults.values() if fault.is_active]
    for fault in active:
        _end(one, fault)
    return {"ended": len(active)}


def describe_fault(number: int, fault: CloudFault) -> Json:
    """A fault as the control API shows it; `hits` is how often it was met."""
    shown: dict[str, Json] = {"fault": number, "name": str(fault.name), "active": fault.is_active, "hits": fault.hits}
    if fault.nuki_id is not None:
        shown["nuki_id"] = f"{fault.nuki_id:08X}"
    if fault.path is not None:
        shown["path"] = fault.path
    if fault.kind is not None:
        shown["kind"] = str(fault.kind)
    return shown


def _end(one: ServedCloud, fault: CloudFault) -> None:
    try:
        fault.end()
    except OSError as error:  # it is to listen again
        raise ControlError(409, f"The cloud cannot listen at {one.server.url} any more ({error.strerror}).") from None


def _kind(text: str) -> Write:
    if text not in set(Write):
        raise ControlError(400, f"kind has to be one of {', '.join(Write)}.")
    return Write(text)
