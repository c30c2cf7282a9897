"""The cloud's calls about authorizations, keypad codes among them. Pure.

Source: reference of the Web API, sections 2.2, 3.5 and 6. Refusals are those of recorded bodies where there is one.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nuki2mqtt.simulator import web_bodies as bodies
from nuki2mqtt.simulator.keypad import APP, KEYPAD_CODE, Schedule, is_code
from nuki2mqtt.simulator.web_auth_list import ListedAuth
from nuki2mqtt.simulator.web_device import KnownDevice
from nuki2mqtt.simulator.web_locks import Reply, find
from nuki2mqtt.simulator.web_values import CloudAsked, CloudRefusalError, Members, not_valid

if TYPE_CHECKING:
    from nuki2mqtt.simulator.web import SimulatedCloud

MOST_NAME, MOST_CODE_NAME = 32, 20
_TYPES = frozenset({APP, 2, KEYPAD_CODE})
_DAY_MINUTES = 24 * 60
_PAGE_SIZE, _MOST_PAGE_SIZE = 100, 1000


def list_all(cloud: "SimulatedCloud", asked: CloudAsked) -> Reply:
    """`GET /smartlock/auth`: of all devices."""
    return 200, [bodies.authorization(one) for one in _selected(cloud.devices, asked)]


def list_paged(cloud: "SimulatedCloud", asked: CloudAsked) -> Reply:
    """`GET /smartlock/auth/paged`: the same, `size` at a time from page 0 on."""
    page, size = asked.number("page") or 0, asked.number("size") or _PAGE_SIZE
    if page < 0:
        raise not_valid("page", page)
    if not 1 <= size <= _MOST_PAGE_SIZE:
        raise not_valid("size", size)
    every = _selected(cloud.devices, asked)
    pages = -(-len(every) // size)
    return 200, {
        "results": [bodies.authorization(one) for one in every[page * size : (page + 1) * size]],
        "pagination": {
            "totalItems": len(every),
            "totalPages": pages,
            "currentPage": page,
            "nextPage": page + 1 if page + 1 < pages else None,
            "prevPage": page - 1 if page > 0 else None,
            "pageSize": size,
        },
    }


def list_of_lock(cloud: "SimulatedCloud", asked: CloudAsked) -> Reply:
    """`GET /smartlock/{smartlockId}/auth`: never paged."""
    return 200, [bodies.authorization(one) for one in _selected((find(cloud, asked, status=403),), asked)]


def show(cloud: "SimulatedCloud", asked: CloudAsked) -> Reply:
    """`GET /smartlock/{smartlockId}/auth/{id}`."""
    return 200, bodies.authorization(_find(cloud, asked))


def create_on_many(cloud: "SimulatedCloud", asked: CloudAsked) -> Reply:
    """`PUT /smartlock/auth`: on each lock that `smartlockIds` names, or on none."""
    given = asked.members()
    _create(_named(cloud, given), given)
    return 204, None


def create(cloud: "SimulatedCloud", asked: CloudAsked) -> Reply:
    """`PUT /smartlock/{smartlockId}/auth`: no id comes back."""
    known = find(cloud, asked, status=403)
    _create([known], asked.members())
    return 204, None


def create_advanced(cloud: "SimulatedCloud", asked: CloudAsked) -> Reply:
    """`PUT /smartlock/auth/advanced`: invitations to the app only, told by a webhook when they are made."""
    given = asked.members()
    devices = _named(cloud, given)
    _create(devices, Members({**given.values, "type": APP, "code": None}))
    request_id = cloud.ids.make(cloud.house.now)
    for known in devices:
        cloud.hooks.triggered("AuthCreation", request_id, known)
    return 200, {"requestId": request_id}


def update(cloud: "SimulatedCloud", asked: CloudAsked) -> Reply:
    """`POST /smartlock/{smartlockId}/auth/{id}`."""
    one, given = _find(cloud, asked), asked.members()
    what = _change(one, given)
    _demand_free(one)
    one.known.auths.update_later(one, what, given.number("accountUserId"))
    return 204, None


def update_many(cloud: "SimulatedCloud", asked: CloudAsked) -> Reply:
    """`POST /smartlock/auth`: each with its `id`, or none."""
    changes = []
    for item in asked.items():
        if not isinstance(item, dict):
            raise not_valid("body", None)
        given = Members(item)
        one = _find_by_id(cloud, given.text("id"))
        changes.append((one, _change(one, given), given.number("accountUserId")))
        _demand_free(one)
    for one, what, account_user_id in changes:
        one.known.auths.update_later(one, what, account_user_id)
    return 204, None


def delete(cloud: "SimulatedCloud", asked: CloudAsked) -> Reply:
    """`DELETE /smartlock/{smartlockId}/auth/{id}`."""
    one = _find(cloud, asked)
    _demand_free(one)
    one.known.auths.delete_later(one)
    return 204, None


def delete_many(cloud: "SimulatedCloud", asked: CloudAsked) -> Reply:
    """`DELETE /smartlock/auth` with an array of ids as its body."""
    found = [_find_by_id(cloud, item if isinstance(item, str) else None) for item in asked.items()]
    for one in found:
        _demand_free(one)
    for one in found:
        one.known.auths.delete_later(one)
    return 204, None


def _selected(devices: "tuple[KnownDevice, ...]", asked: CloudAsked) -> list[ListedAuth]:
    types, user = asked.numbers("types"), asked.number("accountUserId")
    return [
        one
        for known in devices
        for one in known.auths
        if (types is None or one.shown.type in types)
        and (user is None or (one.account_user_id is None if user < 0 else one.account_user_id == user))
    ]


def _find(cloud: "SimulatedCloud", asked: CloudAsked) -> ListedAuth:
    """The entry in the path; 403 is the only status that the description has for one that is not there."""
    one = find(cloud, asked, status=403).auths.get(asked.places["id"])
    if one is None:
        raise CloudRefusalError(403)
    return one


def _find_by_id(cloud: "SimulatedCloud", auth_id: str | None) -> ListedAuth:
    for known in cloud.devices:
        one = known.auths.get(auth_id or "")
        if one is not None:
            return one
    raise CloudRefusalError(403)


def _named(cloud: "SimulatedCloud", given: Members) -> list[KnownDevice]:
    numbers = given.values.get("smartlockIds")
    if not isinstance(numbers, list) or not numbers:
        raise not_valid("smartlockIds", None)
    return [find(cloud, CloudAsked({"smartlockId": str(number)}), status=403) for number in numbers]


def _demand_free(one: ListedAuth) -> None:
    """Raise CloudRefusalError where an operation holds the entry (section 1.2: the body does not say so)."""
    if one.operation_id is not None:
        raise CloudRefusalError(423)


def _create(devices: list[KnownDevice], given: Members) -> None:
    kind = given.number("type")
    kind = APP if kind is None else kind
    if kind not in _TYPES:
        raise not_valid("type", kind)
    for known in devices:
        if kind == KEYPAD_CODE and not known.has_keypad:
            raise not_valid("type", kind)
    code = _code(given, kind)
    if kind == KEYPAD_CODE and code is None:
        raise not_valid("code", None)
    user = given.number("accountUserId")
    if kind != KEYPAD_CODE and user is None:
        raise not_valid("accountUserId", None)
    what = {
        "type": kind,
        "name": _name(given, kind),
        "remote_allowed": bool(given.switch("remoteAllowed")),
        "code": code,
        "schedule": _schedule(given),
    }
    for known in devices:
        if code is not None and known.auths.has_code(code):
            raise CloudRefusalError(409)
    for known in devices:
        known.auths.create_later(what, user)


def _change(one: ListedAuth, given: Members) -> Mapping[str, Any]:
    """What an update makes of an entry; the parts of the schedule that it leaves out are cleared (section 6.2)."""
    kind = one.shown.type
    code = _code(given, kind)
    if code is not None and one.known.auths.has_code(code, but=one.id):
        raise CloudRefusalError(409)
    what: dict[str, Any] = {"name": _name(given, kind), "schedule": _schedule(given)}
    enabled, remote = given.switch("enabled"), given.switch("remoteAllowed")
    given_or_not = {"code": code, "enabled": enabled, "remote_allowed": remote}
    return what | {key: value for key, value in given_or_not.items() if value is not None}


def _code(given: Members, kind: int) -> int | None:
    code = given.number("code", most=10**9)
    if code is not None and (kind != KEYPAD_CODE or not is_code(code)):
        raise not_valid("code", code)
    return code


def _name(given: Members, kind: int) -> str:
    name = given.text("name")
    if not name or len(name) > (MOST_CODE_NAME if kind == KEYPAD_CODE else MOST_NAME):
        raise not_valid("name", name)
    return name


def _schedule(given: Members) -> Schedule:
    return Schedule(
        given.date("allowedFromDate"),
        given.date("allowedUntilDate"),
        given.number("allowedWeekDays", most=127),
        given.number("allowedFromTime", most=_DAY_MINUTES),
        given.number("allowedUntilTime", most=_DAY_MINUTES),
    )
