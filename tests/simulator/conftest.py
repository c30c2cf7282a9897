"""A house with one lock and one Opener, and a Bridge that has them both."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nuki2mqtt.simulator.bridge import SimulatedAnswer, SimulatedBridge
from nuki2mqtt.simulator.house import House, SimulatedLock, SimulatedOpener

NOW = 1_700_000_000.0
TOKEN = "sim123"

Ask = Callable[..., SimulatedAnswer]
Read = Callable[..., Any]
Recorded = Callable[[str], bytes]

_RECORDED = Path(__file__).parents[2].parent / "shared" / "recorded"


@pytest.fixture
def recorded() -> Recorded:
    """The bytes of a recorded body, without the newline that ends the file."""

    def read(name: str) -> bytes:
        path = _RECORDED / name
        if not path.exists():
            pytest.skip(f"recorded bodies are not here: {name}")
        return path.read_bytes().removesuffix(b"\n")

    return read


@pytest.fixture
def house() -> House:
    return House(now=NOW)


@pytest.fixture
def lock(house: House) -> SimulatedLock:
    return house.add(SimulatedLock(nuki_id=0x2239A254, door=2))


@pytest.fixture
def opener(house: House) -> SimulatedOpener:
    return house.add(SimulatedOpener(nuki_id=0x20406027))


@pytest.fixture
def bridge(house: House, lock: SimulatedLock, opener: SimulatedOpener) -> SimulatedBridge:
    assert house.devices == (lock, opener)
    return SimulatedBridge(house, hardware_id=548263954, server_id=448942400, token=TOKEN)


@pytest.fixture
def ask(bridge: SimulatedBridge) -> Ask:
    """Ask the Bridge with the plain token once it is free; `at` is in seconds after the house's beginning."""

    def ask(path: str, at: float = 0.0, **query: object) -> SimulatedAnswer:
        bridge.release()
        return bridge.answer(path, {"token": TOKEN} | {key: str(value) for key, value in query.items()}, NOW + at)

    return ask


@pytest.fixture
def read(ask: Ask) -> Read:
    """Ask, demand 200, and read the JSON."""

    def read(path: str, at: float = 0.0, **query: object) -> Any:
        answer = ask(path, at, **query)
        assert answer.status == 200, answer
        return json.loads(answer.body)

    return read
