"""Events and effects are plain values that keep their secrets."""

import dataclasses
from typing import get_args

import pytest

from nuki2mqtt.errors import BridgeError, BridgeErrorKind
from nuki2mqtt.gateway import vocabulary
from nuki2mqtt.gateway.vocabulary import (
    BridgeAnswered,
    BridgeMemory,
    BridgePaired,
    CallbackPath,
    CallBridge,
    Effect,
    Event,
    Memory,
    OpenCallbackDoor,
    Remember,
)
from nuki2mqtt.protocol.bridge_api import CallbackAddRequest, InfoRequest
from nuki2mqtt.protocol.bridge_auth import AuthMode
from tests.gateway.builders import LINK, TOKEN

EVENTS, EFFECTS = get_args(Event), get_args(Effect)
ACTORS = ("Mqtt", "Bridge", "Callback", "Memory", "Stop", "HomeAssistant", "Web")


@pytest.mark.parametrize("kind", [*EVENTS, *EFFECTS], ids=lambda kind: kind.__name__)
def test_every_event_and_effect_is_a_frozen_value(kind: type) -> None:
    assert dataclasses.is_dataclass(kind)
    assert "__slots__" in vars(kind)
    assert vars(kind)["__dataclass_params__"].frozen
    assert vars(kind)["__dataclass_params__"].eq


def test_no_event_is_an_effect() -> None:
    assert set(EVENTS) & set(EFFECTS) == set()


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_an_event_says_who_spoke(kind: type) -> None:
    assert kind.__name__.startswith(ACTORS)


def test_two_equal_failures_are_equal_events() -> None:
    def failed(detail: str) -> BridgeAnswered:
        return BridgeAnswered(LINK, 1, BridgeError(BridgeErrorKind.TIMEOUT, detail))

    assert failed("x") == failed("x")
    assert failed("x") != failed("y")


@pytest.mark.parametrize(
    "value",
    [
        CallBridge(LINK, 1, InfoRequest(), AuthMode.PLAIN, TOKEN),
        CallBridge(LINK, 1, CallbackAddRequest(TOKEN), AuthMode.PLAIN, TOKEN),
        BridgePaired(LINK, TOKEN),
        OpenCallbackDoor((CallbackPath(TOKEN, LINK, "192.0.2.10"),)),
        Remember(Memory(bridges={LINK: BridgeMemory(token=TOKEN)})),
    ],
    ids=lambda value: type(value).__name__,
)
def test_no_secret_is_shown(value: object) -> None:
    assert TOKEN.reveal() not in f"{value!r} {value!s}"
    assert "***" in repr(value)


def test_every_public_class_of_the_vocabulary_is_described() -> None:
    classes = [thing for thing in vars(vocabulary).values() if dataclasses.is_dataclass(thing)]

    assert [thing for thing in classes if not thing.__doc__ or thing.__doc__.startswith(f"{thing!r}(")] == []
