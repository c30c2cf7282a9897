"""The control API's one table of routes, and how a request finds its own. Pure.

docs/simulator.md describes the same table; a test compares them.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from nuki2mqtt.simulator import control_bridges as bridges
from nuki2mqtt.simulator import control_cloud as cloud
from nuki2mqtt.simulator import control_cloud_faults as cloud_faults
from nuki2mqtt.simulator import control_devices as devices
from nuki2mqtt.simulator import control_faults as faults
from nuki2mqtt.simulator import control_keypads as keypads
from nuki2mqtt.simulator.bodies import iso
from nuki2mqtt.simulator.control_values import Asked, ControlError, Json
from nuki2mqtt.simulator.estate import Estate, ServedBridge, ServedCloud
from nuki2mqtt.simulator.house import SimulatedDevice
from nuki2mqtt.simulator.web_device import KnownDevice

_PLACE = re.compile(r"\{(\w+)\}")
_LAST_PLACE = "endpoint"  # holds slashes, as in callback/list


@dataclass(frozen=True, slots=True)
class Route:
    """One thing that can be asked; `template` has its values in braces."""

    method: str
    template: str
    what: str
    work: Callable[[Estate, Asked], Json]

    def places(self, path: str) -> dict[str, str] | None:
        """The values in the path; None if it is another route's."""
        pattern = _PLACE.sub(
            lambda name: f"(?P<{name[1]}>{'.+' if name[1] == _LAST_PLACE else '[^/]+'})", self.template
        )
        found = re.fullmatch(pattern, path)
        return None if found is None else found.groupdict()


class Found(NamedTuple):
    """A route and the values in its path."""

    route: Route
    places: Mapping[str, str]


def find_route(method: str, path: str) -> Found:
    """The route of a request; raises ControlError."""
    found = [Found(route, places) for route in ROUTES if (places := route.places(path)) is not None]
    for one in found:
        if one.route.method == method:
            return one
    if found:
        known = " or ".join(sorted({one.route.method for one in found}))
        raise ControlError(405, f"{path} takes {known}, not {method}.")
    raise ControlError(404, f"There is nothing at {path}; GET / lists what there is.")


def _of_bridge(work: Callable[[ServedBridge], Json]) -> Callable[[Estate, Asked], Json]:
    """Work that needs a Bridge, and no parameters."""

    def work_there(estate: Estate, asked: Asked) -> Json:
        asked.fields()
        return work(bridges.find_bridge(estate, asked.places["bridge"]))

    return work_there


def _to_bridge(work: Callable[[ServedBridge, Asked], Json]) -> Callable[[Estate, Asked], Json]:
    return lambda estate, asked: work(bridges.find_bridge(estate, asked.places["bridge"]), asked)


def _around_bridge(work: Callable[[Estate, ServedBridge, Asked], Json]) -> Callable[[Estate, Asked], Json]:
    return lambda estate, asked: work(estate, bridges.find_bridge(estate, asked.places["bridge"]), asked)


def _to_device(work: Callable[[SimulatedDevice, Asked], Json]) -> Callable[[Estate, Asked], Json]:
    return lambda estate, asked: work(devices.find_device(estate, asked.places["device"]), asked)


def _of_cloud(work: Callable[[ServedCloud], Json]) -> Callable[[Estate, Asked], Json]:
    """Work that needs the cloud, and no parameters."""

    def work_there(estate: Estate, asked: Asked) -> Json:
        asked.fields()
        return work(cloud.find_cloud(estate))

    return work_there


def _to_cloud(work: Callable[[ServedCloud, Asked], Json]) -> Callable[[Estate, Asked], Json]:
    return lambda estate, asked: work(cloud.find_cloud(estate), asked)


def _to_known(work: Callable[[KnownDevice, Asked], Json]) -> Callable[[Estate, Asked], Json]:
    return lambda estate, asked: work(keypads.find_known(estate, asked.places["device"]), asked)


def _list_routes(_: Estate, __: Asked) -> Json:
    return [{"method": route.method, "path": route.template, "does": route.what} for route in ROUTES]


def _show_house(estate: Estate, _: Asked) -> Json:
    house = estate.house
    return {"now": iso(house.now), "devices": [devices.describe_device(estate, device) for device in house.devices]}


def _list_bridges(estate: Estate, _: Asked) -> Json:
    return [bridges.describe_bridge(estate, one) for one in estate.bridges]


def _replace(one: ServedBridge, asked: Asked) -> Json:
    status = asked.query.get("status", "200")
    if not (status.isdecimal() and len(status) == 3 and 200 <= int(status) <= 599):
        raise ControlError(400, "status has to be an HTTP status from 200 to 599.")
    return faults.replace_answer(one, _endpoint(asked), asked.body, int(status))


def _restore(one: ServedBridge, asked: Asked) -> Json:
    return faults.restore_answer(one, _endpoint(asked))


def _endpoint(asked: Asked) -> str:
    return "/" + asked.places[_LAST_PLACE]


ROUTES = (
    Route("GET", "/", "lists these routes", _list_routes),
    Route("GET", "/house", "the state of the house: every device, as it truly is", _show_house),
    Route("GET", "/bridges", "every Bridge with its address, token, clock, callbacks and faults", _list_bridges),
    Route(
        "GET",
        "/bridges/{bridge}/requests",
        "what this Bridge was asked, each with its time and outcome",
        _of_bridge(bridges.list_requests),
    ),
    Route("DELETE", "/bridges/{bridge}/requests", "begins that list anew", _of_bridge(bridges.forget_requests)),
    Route("POST", "/bridges/{bridge}/button", "presses the button of the Bridge", _of_bridge(bridges.press_button)),
    Route("POST", "/bridges/{bridge}/clock", "sets its clock, or lets it drift", _around_bridge(bridges.set_clock)),
    Route("POST", "/bridges/{bridge}/address", "moves it to another address", _around_bridge(bridges.move_address)),
    Route("POST", "/bridges/{bridge}/reboot", "lets it reboot", _to_bridge(bridges.reboot)),
    Route(
        "GET", "/faults", "every fault that a Bridge can have, and its parameters", lambda _, __: faults.known_faults()
    ),
    Route("GET", "/bridges/{bridge}/faults", "the faults that it has now", _of_bridge(faults.active_faults)),
    Route("POST", "/bridges/{bridge}/faults", "begins a fault", _to_bridge(faults.begin_fault)),
    Route("DELETE", "/bridges/{bridge}/faults", "ends all its faults", _of_bridge(faults.end_all_faults)),
    Route(
        "DELETE",
        "/bridges/{bridge}/faults/{fault}",
        "ends one fault",
        _to_bridge(lambda one, asked: faults.end_fault(one, asked.places["fault"])),
    ),
    Route(
        "PUT",
        "/bridges/{bridge}/answers/{endpoint}",
        "lets an endpoint answer the bytes of this request's body",
        _to_bridge(_replace),
    ),
    Route("DELETE", "/bridges/{bridge}/answers/{endpoint}", "lets it answer by itself again", _to_bridge(_restore)),
    Route(
        "POST",
        "/bridges/{bridge}/devices",
        "puts another device into the house and pairs it with this Bridge",
        _around_bridge(devices.add_device),
    ),
    Route("POST", "/devices/{device}/turn", "turns a lock by hand", _to_device(devices.turn)),
    Route("POST", "/devices/{device}/door", "opens or closes its door", _to_device(devices.move_door)),
    Route("POST", "/devices/{device}/ring", "rings at an Opener", _to_device(devices.ring)),
    Route("POST", "/devices/{device}/battery", "drains or fills a battery", _to_device(devices.set_battery)),
    Route("POST", "/devices/{device}/jam", "lets the motor block, or frees it", _to_device(devices.jam)),
    Route("GET", "/cloud", "the cloud with its address, token, devices and faults", _of_cloud(cloud.describe_cloud)),
    Route(
        "GET", "/cloud/requests", "what it was asked, each with its time and outcome", _of_cloud(cloud.list_requests)
    ),
    Route("DELETE", "/cloud/requests", "begins that list anew", _of_cloud(cloud.forget_requests)),
    Route("GET", "/cloud/writes", "what it promised, and what became of it", _of_cloud(cloud.list_writes)),
    Route("PUT", "/cloud/scopes", "gives its token these scopes and no others", _to_cloud(cloud.set_scopes)),
    Route("PUT", "/cloud/conduct", "lets it behave as other sources say", _to_cloud(cloud.set_conduct)),
    Route("POST", "/cloud/webhooks", "posts to an address whatever changes", _to_cloud(cloud.add_webhook)),
    Route("DELETE", "/cloud/webhooks", "posts nowhere any more", _of_cloud(cloud.remove_webhooks)),
    Route(
        "POST",
        "/cloud/devices",
        "puts a device into the house that only the cloud has",
        lambda estate, asked: cloud.add_device(estate, cloud.find_cloud(estate), asked),
    ),
    Route(
        "GET",
        "/faults/cloud",
        "every fault that the cloud can have, and its parameters",
        lambda _, __: cloud_faults.known_faults(),
    ),
    Route("GET", "/cloud/faults", "the faults that the cloud has now", _of_cloud(cloud_faults.active_faults)),
    Route("POST", "/cloud/faults", "begins a fault", _to_cloud(cloud_faults.begin_fault)),
    Route("DELETE", "/cloud/faults", "ends all its faults", _of_cloud(cloud_faults.end_all_faults)),
    Route(
        "DELETE",
        "/cloud/faults/{fault}",
        "ends one fault",
        _to_cloud(lambda one, asked: cloud_faults.end_fault(one, asked.places["fault"])),
    ),
    Route(
        "GET",
        "/devices/{device}/auths",
        "who may use it: what the lock knows, and what the cloud lists",
        _to_known(lambda known, _: keypads.list_auths(known)),
    ),
    Route("POST", "/devices/{device}/codes", "makes a code with the app at the lock", _to_known(keypads.add_code)),
    Route("POST", "/devices/{device}/ghost", "lets the lock forget somebody", _to_known(keypads.make_ghost)),
    Route("POST", "/devices/{device}/keypad", "uses its keypad", _to_known(keypads.use_keypad)),
    Route("POST", "/devices/{device}/app", "orders with a phone", _to_known(keypads.use_app)),
    Route("POST", "/devices/{device}/button", "presses its button", _to_known(keypads.press_button)),
    Route("POST", "/devices/{device}/auto_lock", "lets it lock by itself", _to_known(keypads.lock_by_itself)),
)
