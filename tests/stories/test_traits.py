"""docs/traits.md, row by row: what a platform expects of a lock is read from a running gateway as the page says.

The gateway is floors 0 to 2 with a simulated cloud and virtual time. What is published and what is read stands in the
page only; here stands what happens to the lock.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from nuki2mqtt.gateway.vocabulary import Publish
from nuki2mqtt.simulator.house import SimulatedLock
from nuki2mqtt.simulator.keypad import KEYPAD_CODE, StoredAuth
from nuki2mqtt.simulator.visitors import enter_code
from tests.gateway.builders import only
from tests.gateway.cloud_site import CLOUD_CONFIG, TOKEN, CloudSite, front_door, simulated_cloud

PAGE = Path(__file__).parents[2] / "docs" / "traits.md"
TRAITS = ("Lock", "BatteryLevel", "PinCodeCredential", "Connectivity")
SOON_S, LOG_S, FULL = 70.0, 240.0, 200
MESSAGE = re.compile(r"`(nuki2mqtt/\S+)` `(.*)`")


class Row(NamedTuple):
    """One row of the page; `order` is what is published, if anything is."""

    trait: str
    what: str
    happens: str
    order: tuple[str, str] | None
    topic: str
    member: str
    value: str


def rows() -> list[Row]:
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    found = []
    for line in lines[1:]:
        trait, what, action, topic, member, value = (cell.strip() for cell in line.strip("|").split(" | "))
        order = MESSAGE.search(action)
        happens = MESSAGE.sub("", action).strip(" :")
        message = None if order is None else (order[1], order[2])
        found.append(Row(trait, what, happens, message, topic.strip("`"), member.strip("`"), value.strip("`")))
    return found


# --- What happens -------------------------------------------------------------------------------------------------


def lock_of(site: CloudSite) -> SimulatedLock:
    device = site.known.device
    assert isinstance(device, SimulatedLock)
    return device


def turn(code: int) -> Callable[[CloudSite], None]:
    return lambda site: lock_of(site).turn(code)


def fill(site: CloudSite) -> None:
    """So many authorizations that there is no room, made with the app, and the cloud has learnt of them."""
    known = site.known
    for number in range(FULL - len(known.memory.stored)):
        code = int("3" + "".join(str(1 + number // 9**place % 9) for place in range(5)))
        known.auths.add_by_app(name=f"Guest {number}", code=code, type=KEYPAD_CODE)
    known.sync(is_forced=False)


def come(site: CloudSite) -> None:
    site.wait(LOG_S)  # whatever was before is told
    assert isinstance(enter_code(site.known, 739_164), StoredAuth)
    site.wait(LOG_S)


def fail(site: CloudSite) -> None:
    enter_code(site.known, 111_111)
    lock_of(site).set_battery(level=84)
    site.wait(LOG_S)


def refuse(site: CloudSite) -> None:
    site.cloud.tokens.clear()


HAPPENINGS: dict[str, Callable[[CloudSite], object]] = {
    "": lambda _: None,
    "all is well": lambda _: None,
    "there is a code for Anna": lambda _: None,
    "somebody locks": turn(1),
    "somebody unlocks": turn(3),
    "somebody holds the latch": turn(5),
    "the motor locks": turn(4),
    "the motor unlocks": turn(2),
    "the motor is blocked": turn(254),
    "the lock is not calibrated": turn(0),
    "somebody opens the door": lambda site: lock_of(site).set_door(3),
    "the battery has 63 %": lambda site: lock_of(site).set_battery(level=63),
    "the battery has 24 %": lambda site: lock_of(site).set_battery(level=24),
    "the lock says that its battery is critical": lambda site: lock_of(site).set_battery(critical=True),
    "the battery is charging": lambda site: lock_of(site).set_battery(charging=True),
    "the keypad says that its battery is critical": lambda site: lock_of(site).set_battery(keypad_critical=True),
    "Anna types her code": come,
    "somebody types a wrong code": fail,
    "the lock is full": fill,
    "the cloud does not reach the lock": lambda site: site.cloud.faults.offline(site.known.nuki_id).begin(),
    "the token is refused": refuse,
    "the gateway stops": lambda site: site.stop(),
}
# What has to be so before, else the row would show what was so anyway.
UNLOCKED_BEFORE = {"locked", "set to locked"}
NO_CODE_BEFORE = {"create", "limit: room"}


def before(row: Row) -> CloudSite:
    site = CloudSite.at_work_with(simulated_cloud(front_door()), CLOUD_CONFIG)
    if row.what in UNLOCKED_BEFORE:
        lock_of(site).turn(3)
        site.wait(SOON_S)
    if row.trait == "PinCodeCredential" or row.happens == "Anna types her code":
        if row.what not in NO_CODE_BEFORE:
            order = {"op": "create", "name": "Anna", "code": "739164"}
            site.receive("nuki2mqtt/front_door/keypad/set", order)
        site.wait(SOON_S)
    return site


def read(site: CloudSite, row: Row) -> Any:
    """The newest message on the topic, and in it what the row means."""
    payload = [one.payload for one in only(site.effects, Publish) if one.topic == row.topic][-1]
    if row.member == "-":
        return payload.decode()
    value = json.loads(payload)
    for step in row.member.split("."):
        value = value[int(step) if step.isdigit() else step]
    return value


def wanted(row: Row) -> Any:
    return row.value if row.member == "-" else json.loads(row.value)


# --- The page -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.trait}, {row.what}")
def test_a_row_of_the_page_is_so(row: Row) -> None:
    site = before(row)
    HAPPENINGS[row.happens](site)
    site.wait(SOON_S)
    if row.order is not None:
        site.receive(*row.order)
        site.wait(SOON_S)

    assert read(site, row) == wanted(row)


def test_the_page_has_all_traits_and_nothing_is_played_for_nothing() -> None:
    found = rows()

    assert {row.trait for row in found} == set(TRAITS)
    assert {row.happens for row in found} == set(HAPPENINGS)
    assert len({(row.trait, row.what) for row in found}) == len(found)
    assert {row.what for row in found} >= UNLOCKED_BEFORE | NO_CODE_BEFORE


def test_the_page_shows_no_secret() -> None:
    assert TOKEN not in PAGE.read_text(encoding="utf-8")
