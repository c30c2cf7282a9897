"""Every recorded callback body through the real door to a real broker, with every message written by hand.

How the Bridge's `/list` is kept from disturbing: `list_s` is 3600, and before each POST the simulated device is
brought to what the body says, so that the `/list` which the callback brings forward agrees with it (a frozen
`/list` would contradict each callback, and each contradiction wakes the lock). A `/list` that agrees changes only
`source`; that alone is said at most every 300 s, and stands here wherever time passes for as long.

The recordings are read from beside the checkout; where they carry their arrival (`t`), second 0 is midnight
of 5 January 2026.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nuki2mqtt.simulator.house import House, SimulatedDevice, SimulatedLock, SimulatedOpener
from tests.adapters.brokers import any_broker
from tests.stories.real.household import Household, Said, SteeredClock, household, kept

FOLDER = Path(__file__).parents[3].parent / "shared" / "recorded" / "callback"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the recordings are not beside this checkout")

LOCK_ID, OPENER_ID = 574218836, 541093927
LOCK, OPENER = "haustuer", "gegensprechanlage"


def january(day: int, clock: str) -> datetime:
    return datetime.fromisoformat(f"2026-01-{day:02}T{clock}+00:00")


def z(day: int, clock: str) -> str:
    return f"2026-01-{day:02}T{clock}Z"


def recorded(number: int) -> bytes:
    (path,) = FOLDER.glob(f"{number:02}-*")
    return path.read_bytes()


def become(device: SimulatedDevice, body: dict[str, Any]) -> None:
    """Bring the simulated device to what a callback body says of it."""
    device.state = body["state"]
    device.mode = body.get("mode", device.mode)
    device.door = body.get("doorsensorState", device.door)
    device.battery_level = body.get("batteryChargeState", device.battery_level)
    device.battery_critical = body.get("batteryCritical", device.battery_critical) in {True, "true"}
    if body.get("ringactionTimestamp") is not None:
        device.ring_at = datetime.fromisoformat(body["ringactionTimestamp"]).timestamp()
        device.is_ringing = body["ringactionState"]
    assert device.house is not None
    device.house.tell(device)


class Home:
    """The recorded household: a lock with a door sensor, an Opener, and a door for what they posted."""

    def __init__(self, one: Household) -> None:
        self.one = one
        self.take_said = one.take_said

    async def wait_until(self, at: datetime) -> None:
        await self.one.wait_until(at)

    async def happens(self, body: bytes, at: datetime, *, says: bytes | None = None) -> None:
        """Something happens at this time, and the Bridge posts this body at once (`says`: in other bytes)."""
        await self.one.wait_until(at)
        device_id = json.loads(body)["nukiId"]
        self.one.bridge.house.advance(at.timestamp())
        become(self.one.bridge.device(device_id), json.loads(body))
        assert await self.one.post(says or body) == 200
        await self.one.settle()

    async def replay(self, number: int, at: datetime) -> None:
        """A recorded body, and two seconds later the `/list` that it brought forward."""
        await self.happens(recorded(number), at)
        await self.one.wait_until(at + timedelta(seconds=2))


@asynccontextmanager
async def home(start: datetime, last_ring: datetime) -> AsyncIterator[Home]:
    house = House(now=start.timestamp())
    house.add(
        SimulatedLock(nuki_id=LOCK_ID, device_type=0, name="Haustür", firmware="2.8.15", state=3, door=2, rssi_dbm=-61)
    )
    house.add(
        SimulatedOpener(
            nuki_id=OPENER_ID, name="Gegensprechanlage", firmware="1.5.3", ring_at=last_ring.timestamp(), rssi_dbm=-72
        )
    )
    async with any_broker() as broker, household(broker, house, SteeredClock(start)) as one:
        await one.begin()
        yield Home(one)


def lock(
    state: tuple[str, int, str],
    door: tuple[str, int],
    *,
    level: int = 80,
    source: str = "callback",
    seen: str,
    changed: str | None = None,
) -> Said:
    """The whole snapshot of the recorded Smart Lock 2.0."""
    word, code, reduced = state
    payload = {
        "id": "2239E254",
        "nuki_id": 574218836,
        "type": "smart_lock",
        "device_type": 0,
        "name": "Haustür",
        "firmware": "2.8.15",
        "state": word,
        "state_code": code,
        "lock": reduced,
        "derived": False,
        "mode": "door",
        "mode_code": 2,
        "door": door[0],
        "door_code": door[1],
        "battery": {"level": level, "critical": False, "charging": False},
        "source": source,
        "seen": seen,
        "changed": changed or seen,
        "stale": False,
        "bridge": "0A1B2C3D",
        "rssi_dbm": -61,
    }
    return Said("nuki2mqtt/haustuer", payload, retain=True)


def opener(state: tuple[str, int, str], *, ring: str, source: str = "callback", seen: str, changed: str) -> Said:
    """The whole snapshot of the recorded Opener."""
    word, code, reduced = state
    payload = {
        "id": "20407027",
        "nuki_id": 541093927,
        "type": "opener",
        "device_type": 2,
        "name": "Gegensprechanlage",
        "firmware": "1.5.3",
        "state": word,
        "state_code": code,
        "lock": reduced,
        "derived": False,
        "mode": "door",
        "mode_code": 2,
        "ring_to_open": word == "rto_active",
        "continuous_mode": False,
        "ring": ring,
        "battery": {"critical": False},
        "source": source,
        "seen": seen,
        "changed": changed,
        "stale": False,
        "bridge": "0A1B2C3D",
        "rssi_dbm": -72,
    }
    return Said("nuki2mqtt/gegensprechanlage", payload, retain=True)


def event(device: str, event_type: str, at: str, source: str = "callback", **details: Any) -> Said:
    payload = {"event_type": event_type, "at": at, "source": source, "actor": None} | details
    return Said(f"nuki2mqtt/{device}/event", payload, retain=False)


def moved(
    device: str, at: str, before: tuple[str, int, str], after: tuple[str, int, str], source: str = "callback"
) -> Said:
    names = {"from": before[0], "to": after[0], "from_code": before[1], "to_code": after[1]}
    return event(device, "state_changed", at, source, **names)


LOCKED, UNLOCKED, LOCKING = ("locked", 1, "LOCKED"), ("unlocked", 3, "UNLOCKED"), ("locking", 4, "LOCKING")
LOCK_N_GO, UNLATCHING = ("unlocked_lock_n_go", 6, "UNLOCKED"), ("unlatching", 7, "OPENING")
ONLINE, RTO = ("online", 1, "LOCKED"), ("rto_active", 3, "UNLOCKED")
OPEN, OPENING = ("open", 5, "OPEN"), ("opening", 7, "OPENING")
CLOSED, OPENED, UNSURE = ("closed", 2), ("open", 3), ("unknown", 4)


def is_of_a_device(topic: str) -> bool:
    return topic.split("/")[1] not in {"gateway", "bridge"}


async def test_a_day_and_a_half_of_the_household() -> None:
    """Bodies 01 to 14, in order."""
    async with home(january(5, "02:49:00"), last_ring=january(4, "14:43:38")) as day:
        first = z(5, "02:49:00")
        assert day.take_said() == [
            lock(UNLOCKED, CLOSED, source="list", seen=first),
            Said("nuki2mqtt/haustuer/availability", "online", retain=True),
            opener(ONLINE, ring=z(4, "14:43:38"), source="list", seen=first, changed=first),
            Said("nuki2mqtt/gegensprechanlage/availability", "online", retain=True),
        ]

        await day.replay(1, january(5, "02:51:00"))
        at = z(5, "02:51:00")
        assert day.take_said() == [lock(LOCKED, CLOSED, seen=at), moved(LOCK, at, UNLOCKED, LOCKED)]

        await day.replay(2, january(5, "02:51:10"))
        at = z(5, "02:51:10")
        assert day.take_said() == [lock(UNLOCKED, CLOSED, seen=at), moved(LOCK, at, LOCKED, UNLOCKED)]

        await day.replay(3, january(5, "02:51:20"))
        at = z(5, "02:51:20")
        assert day.take_said() == [lock(UNLOCKED, OPENED, seen=at), event(LOCK, "door_opened", at)]

        await day.replay(4, january(5, "02:51:30"))  # a sensor that is unsure has not moved
        at = z(5, "02:51:30")
        assert day.take_said() == [lock(UNLOCKED, UNSURE, seen=at)]

        await day.replay(5, january(5, "02:51:40"))
        at = z(5, "02:51:40")
        assert day.take_said() == [
            lock(LOCKING, CLOSED, seen=at),
            moved(LOCK, at, UNLOCKED, LOCKING),
            event(LOCK, "door_closed", at),
        ]

        await day.replay(6, january(5, "02:51:50"))
        at = z(5, "02:51:50")
        assert day.take_said() == [lock(LOCK_N_GO, CLOSED, seen=at), moved(LOCK, at, LOCKING, LOCK_N_GO)]

        await day.replay(7, january(5, "02:52:00"))
        at = z(5, "02:52:00")
        assert day.take_said() == [lock(LOCK_N_GO, OPENED, level=76, seen=at), event(LOCK, "door_opened", at)]

        await day.happens(recorded(8), january(5, "02:52:10"))
        at = z(5, "02:52:10")
        assert day.take_said() == [
            lock(UNLATCHING, CLOSED, level=64, seen=at),
            moved(LOCK, at, LOCK_N_GO, UNLATCHING),
            event(LOCK, "door_closed", at),
        ]

        # "unlatched" and what follows it were never called back in that house: /list tells the end.
        day.one.bridge.device(LOCK_ID).turn(3)
        await day.wait_until(january(5, "02:52:12"))
        unlocked = lock(UNLOCKED, CLOSED, level=64, source="list", seen=at)
        assert day.take_said() == [unlocked, moved(LOCK, at, UNLATCHING, UNLOCKED, "list")]

        # An old ring says nothing at all; that the Opener was seen is told when 300 s have passed.
        await day.replay(9, january(5, "03:10:00"))
        assert day.take_said() == []

        await day.replay(10, january(5, "03:16:34"))
        at = z(5, "03:16:34")
        assert day.take_said() == [
            opener(ONLINE, ring=z(4, "14:43:38"), source="list", seen=z(5, "03:10:00"), changed=first),
            opener(ONLINE, ring=at, seen=at, changed=first),
            event(OPENER, "ring", at, ring=at),
        ]

        # The older ring of body 11 is neither told nor shown again.
        await day.replay(11, january(5, "03:18:00"))
        ring, at = z(5, "03:16:34"), z(5, "03:18:00")
        assert day.take_said() == [opener(RTO, ring=ring, seen=at, changed=at), moved(OPENER, at, ONLINE, RTO)]

        await day.replay(12, january(5, "03:18:10"))
        at = z(5, "03:18:10")
        assert day.take_said() == [opener(OPENING, ring=ring, seen=at, changed=at), moved(OPENER, at, RTO, OPENING)]

        await day.replay(13, january(5, "03:18:12"))
        at = z(5, "03:18:12")
        assert day.take_said() == [opener(OPEN, ring=ring, seen=at, changed=at), moved(OPENER, at, OPENING, OPEN)]

        # Nothing happens for 32 hours: that /list agrees is told once.
        for hours in range(32):
            await day.wait_until(january(5, "04:00:00") + timedelta(hours=hours))
        assert day.take_said() == [opener(OPEN, ring=ring, source="list", seen=at, changed=at)]

        # A ring 22 s ahead of its arrival: the arrival counts, the Opener's time is passed on.
        arrival = json.loads(recorded(14))
        await day.happens(json.dumps(arrival["body"]).encode(), datetime.fromisoformat(arrival["utc"]))
        at = z(6, "11:45:33")
        last = opener(ONLINE, ring=z(6, "11:45:55"), seen=at, changed=at)
        assert day.take_said() == [
            last,
            moved(OPENER, at, OPEN, ONLINE),
            event(OPENER, "ring", at, ring=z(6, "11:45:55")),
        ]

        everything = await kept(day.one.broker)
        assert {topic: payload for topic, payload in everything.items() if is_of_a_device(topic)} == {
            "nuki2mqtt/haustuer": unlocked.payload,
            "nuki2mqtt/haustuer/availability": "online",
            "nuki2mqtt/gegensprechanlage": last.payload,
            "nuki2mqtt/gegensprechanlage/availability": "online",
        }
        assert day.one.bridge.wakeups == 0


def second(t: float) -> datetime:
    """The arrival of a wrapped body: `t` counts from midnight of 5 January."""
    return january(5, "00:00:00") + timedelta(seconds=t)


async def test_a_ring_to_open() -> None:
    """Sequence 15, with its own pauses: the ring comes after the door was opened."""
    async with home(january(6, "04:20:00"), last_ring=january(5, "17:58:46")) as day:
        day.take_said()
        posts = [(second(entry["t"]), json.dumps(entry["body"]).encode()) for entry in json.loads(recorded(15))]
        assert len(posts) == 5
        before = z(5, "17:58:46")
        at, body = posts[0]
        await day.happens(body, at)
        began = z(6, "04:22:38")
        assert day.take_said() == [
            opener(RTO, ring=before, seen=began, changed=began),
            moved(OPENER, began, ONLINE, RTO),
        ]
        await day.wait_until(at + timedelta(seconds=2))
        assert day.take_said() == []

        at, body = posts[1]
        await day.happens(body, at)
        opening = z(6, "04:29:30")
        assert day.take_said() == [
            opener(RTO, ring=before, source="list", seen=began, changed=began),
            opener(OPENING, ring=before, seen=opening, changed=opening),
            moved(OPENER, opening, RTO, OPENING),
        ]

        at, body = posts[2]
        await day.happens(body, at)
        opened = z(6, "04:29:31")
        assert day.take_said() == [
            opener(OPEN, ring=before, seen=opened, changed=opened),
            moved(OPENER, opened, OPENING, OPEN),
        ]

        at, body = posts[3]
        await day.happens(body, at)
        rung, ring = z(6, "04:29:33"), z(6, "04:29:35")
        assert day.take_said() == [
            opener(ONLINE, ring=ring, seen=rung, changed=rung),
            moved(OPENER, rung, OPEN, ONLINE),
            event(OPENER, "ring", rung, ring=ring),
        ]
        await day.wait_until(at + timedelta(seconds=2))
        assert day.take_said() == []

        at, body = posts[4]
        await day.wait_until(january(6, "05:20:00"))
        assert day.take_said() == [opener(ONLINE, ring=ring, source="list", seen=rung, changed=rung)]
        await day.happens(body, at)
        again = z(6, "05:50:57")
        assert day.take_said() == [
            opener(RTO, ring=ring, seen=again, changed=again),
            moved(OPENER, again, ONLINE, RTO),
        ]


async def test_one_ring_that_is_posted_twice() -> None:
    """Sequence 16: 18 s apart, told once."""
    async with home(january(7, "08:33:00"), last_ring=january(6, "11:45:55")) as day:
        day.take_said()
        posts = [(second(entry["t"]), json.dumps(entry["body"]).encode()) for entry in json.loads(recorded(16))]
        first, at, ring = z(7, "08:33:00"), z(7, "08:33:18"), z(7, "08:33:27")
        await day.happens(posts[0][1], posts[0][0])
        assert day.take_said() == [
            opener(ONLINE, ring=ring, seen=at, changed=first),
            event(OPENER, "ring", at, ring=ring),
        ]
        await day.happens(posts[1][1], posts[1][0])
        await day.wait_until(posts[1][0] + timedelta(seconds=2))
        assert day.take_said() == []


async def test_the_documents_samples_that_are_no_json() -> None:
    """Samples 25 to 27, with typographic quotes: refused, and nothing is said."""
    async with home(january(5, "02:49:00"), last_ring=january(4, "14:43:38")) as day:
        day.take_said()
        for number in (25, 26, 27):
            assert await day.one.post(recorded(number)) == 400
        await day.one.settle()
        assert day.take_said() == []
        assert recorded(25).startswith("{“".encode())


def strangers() -> House:
    """The devices of the single bodies 18 to 22 and 28, before what those bodies tell of them."""
    house = House(now=january(10, "10:00:00").timestamp())
    old = {"firmware": "1.4.5", "battery_level": None, "battery_charging": None, "device_type": 0}
    house.add(SimulatedLock(nuki_id=237252569, device_type=0, name="Node-RED", battery_level=62))
    house.add(SimulatedLock(nuki_id=987654321, name="Symcon", state=3, **old))  # type: ignore[arg-type]
    house.add(SimulatedLock(nuki_id=374773519, name="Loxone", state=3, **old))  # type: ignore[arg-type]
    house.add(SimulatedLock(nuki_id=123456789, name="LoxBerry", state=1, **old))  # type: ignore[arg-type]
    house.add(SimulatedLock(nuki_id=490318788, device_type=0, name="pynuki", battery_level=70, door=2))
    house.add(SimulatedLock(nuki_id=0x3D29441E, device_type=4, name="Raspi", state=3, battery_level=76, door=3))
    return house


def stranger(topic: str, seen: str, head: dict[str, Any], rest: dict[str, Any]) -> Said:
    """The whole snapshot of one of those devices; `rest` is what it says itself."""
    tail = {"source": "callback", "seen": seen, "changed": seen, "stale": False, "bridge": "0A1B2C3D", "rssi_dbm": -60}
    common = {"type": "smart_lock", "derived": False}
    return Said(f"nuki2mqtt/{topic}", head | common | rest | tail, retain=True)


async def test_single_bodies_of_other_devices() -> None:
    """Bodies 18 to 22 and 28, each for its own device, all within one minute."""
    async with any_broker() as broker, household(broker, strangers(), SteeredClock(january(10, "10:00:00"))) as one:
        await one.begin()
        one.take_said()
        day = Home(one)

        wrapped = json.loads(recorded(18))["state"]
        await day.happens(json.dumps(wrapped).encode(), january(10, "10:01:00"), says=recorded(18))
        at = z(10, "10:01:00")  # its arrival, not the time of 2021 that stands in it
        head = {"id": "0E242FD9", "nuki_id": 237252569, "device_type": 0, "name": "Node-RED", "firmware": "3.5.6"}
        rest = {
            "state": "unlatched",
            "state_code": 5,
            "lock": "OPEN",
            "mode": "door",
            "mode_code": 2,
            "door": None,
            "door_code": None,
            "battery": {"level": 62, "critical": False, "charging": False},
        }
        unlatched = ("unlatched", 5, "OPEN")
        assert day.take_said() == [
            stranger("node_red", at, head, rest),
            moved("node_red", at, LOCKED, unlatched),
        ]

        # The oldest form says neither type nor mode: what /list says of them stays.
        await day.happens(recorded(19), january(10, "10:01:10"))
        at = z(10, "10:01:10")
        head = {"id": "3ADE68B1", "nuki_id": 987654321, "device_type": 0, "name": "Symcon", "firmware": "1.4.5"}
        rest = {
            "state": "locked",
            "state_code": 1,
            "lock": "LOCKED",
            "mode": "door",
            "mode_code": 2,
            "door": None,
            "door_code": None,
            "battery": {"critical": True},
        }
        assert day.take_said() == [
            stranger("symcon", at, head, rest),
            moved("symcon", at, UNLOCKED, LOCKED),
            event("symcon", "battery_low", at, part="lock"),
        ]

        await day.happens(recorded(20), january(10, "10:01:20"))
        at = z(10, "10:01:20")
        head = {"id": "1656970F", "nuki_id": 374773519, "device_type": 0, "name": "Loxone", "firmware": "1.4.5"}
        assert day.take_said() == [
            stranger("loxone", at, head, rest),
            moved("loxone", at, UNLOCKED, LOCKED),
            event("loxone", "battery_low", at, part="lock"),
        ]

        await day.happens(recorded(21), january(10, "10:01:30"))
        at = z(10, "10:01:30")
        head = {"id": "075BCD15", "nuki_id": 123456789, "device_type": 0, "name": "LoxBerry", "firmware": "1.4.5"}
        rest = {
            "state": "unlocked",
            "state_code": 3,
            "lock": "UNLOCKED",
            "mode": "door",
            "mode_code": 2,
            "door": None,
            "door_code": None,
            "battery": {"critical": False},
        }
        assert day.take_said() == [stranger("loxberry", at, head, rest), moved("loxberry", at, LOCKED, UNLOCKED)]

        # Unknown codes are passed on as numbers; texts for booleans are read.
        await day.happens(recorded(22), january(10, "10:01:40"))
        at = z(10, "10:01:40")
        head = {"id": "1D39ABC4", "nuki_id": 490318788, "device_type": 0, "name": "pynuki", "firmware": "3.5.6"}
        rest = {
            "state": "unknown",
            "state_code": 9,
            "lock": None,
            "mode": "unknown",
            "mode_code": 9,
            "door": "unknown",
            "door_code": 9,
            "battery": {"level": 70, "critical": False, "charging": False},
        }
        assert day.take_said() == [
            stranger("pynuki", at, head, rest),
            moved("pynuki", at, LOCKED, ("unknown", 9, "")),
        ]

        # A clone: the ID in hex, and a keypad's battery that /list does not name, so that there is no keypad.
        body = json.loads(recorded(28)) | {"nukiId": 0x3D29441E}
        await day.happens(json.dumps(body).encode(), january(10, "10:01:50"), says=recorded(28))
        at = z(10, "10:01:50")
        head = {"id": "3D29441E", "nuki_id": 1026114590, "device_type": 4, "name": "Raspi", "firmware": "3.5.6"}
        rest = {
            "state": "locked",
            "state_code": 1,
            "lock": "LOCKED",
            "mode": "door",
            "mode_code": 2,
            "door": "closed",
            "door_code": 2,
            "battery": {"level": 76, "critical": False, "charging": False},
        }
        assert day.take_said() == [
            stranger("raspi", at, head, rest),
            moved("raspi", at, UNLOCKED, LOCKED),
            event("raspi", "door_closed", at),
        ]

        await day.wait_until(january(10, "10:01:55"))
        assert day.take_said() == []
        assert one.bridge.wakeups == 0


def test_no_recorded_body_is_left_out() -> None:
    assert {int(path.name[:2]) for path in FOLDER.iterdir()} == {*range(1, 17), *range(18, 23), *range(25, 29)}
