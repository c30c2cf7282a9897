"""What the Settings say of themselves: links, permitted actions, the public view."""

import dataclasses
import json

import pytest

from nuki2mqtt.model.action import Action
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.protocol.settings import (
    BridgeSettings,
    DeviceSettings,
    Settings,
)
from nuki2mqtt.protocol.settings_reader import read_settings

SMART_LOCK, OPENER, BOX, FROM_THE_FUTURE = 4, 2, 1, 77


def no_file(path: str) -> str:
    raise AssertionError(f"nobody may read {path}")


def read(text: str) -> Settings:
    return read_settings(text, read_file=no_file)


@pytest.mark.parametrize(
    ("host", "link"),
    [
        ("192.0.2.10", "192.0.2.10:8080"),
        ("nuki.example.org", "nuki.example.org:8080"),
        ("2001:db8::1", "[2001:db8::1]:8080"),
    ],
)
def test_the_link_of_a_bridge(host: str, link: str) -> None:
    assert BridgeSettings(host=host).link == link


def test_permitted_is_what_the_type_understands_and_the_settings_allow() -> None:
    settings = read("""\
commands: {permit: [lock, unlock, deactivate_rto]}
devices:
  1: {permit: all}
  2: {permit: [unlatch, electric_strike]}
  3: {permit: []}
  4: {ignore: true}
""")
    locks = frozenset({Action.LOCK, Action.UNLOCK, Action.UNLATCH, Action.LOCK_N_GO, Action.LOCK_N_GO_UNLATCH})
    assert settings.permitted(NukiId(9), SMART_LOCK) == {Action.LOCK, Action.UNLOCK}
    assert settings.permitted(NukiId(9), OPENER) == {Action.DEACTIVATE_RTO}
    assert settings.permitted(NukiId(1), SMART_LOCK) == locks
    assert settings.permitted(NukiId(2), SMART_LOCK) == {Action.UNLATCH}
    assert settings.permitted(NukiId(2), OPENER) == {Action.ELECTRIC_STRIKE}
    assert settings.permitted(NukiId(3), SMART_LOCK) == frozenset()
    assert settings.permitted(NukiId(4), SMART_LOCK) == frozenset()
    assert settings.permitted(NukiId(1), BOX) == frozenset()
    assert settings.permitted(NukiId(1), FROM_THE_FUTURE) <= {Action.LOCK, Action.UNLOCK}
    assert Settings().permitted(NukiId(9), SMART_LOCK) == locks


def test_render_public_is_json_without_secrets() -> None:
    settings = read("""\
mqtt: {username: gateway, password: marked-secret}
bridges: [{host: 192.0.2.10, id: ab, token: marked-secret}]
commands: {permit: [unlock, lock]}
devices: {1A2B3C4D: {permit: all}, 2B: {}}
""")
    shown = json.loads(json.dumps(settings.render_public()))
    assert "marked-secret" not in json.dumps(shown)
    assert (shown["mqtt"]["username"], shown["mqtt"]["password"]) == ("gateway", "***")
    assert shown["web"]["password"] is None
    assert shown["bridges"] == [
        {"host": "192.0.2.10", "port": 8080, "id": "000000AB", "token": "***", "auth": "auto", "allow_plain": False}
    ]
    assert shown["commands"]["permit"] == ["unlock", "lock"]
    assert shown["devices"]["1A2B3C4D"]["permit"] == "all"
    assert shown["devices"]["0000002B"]["permit"] is None
    assert Settings().render_public()["commands"]["permit"] == "all"
    assert set(shown) == {item.name for item in dataclasses.fields(Settings)} - {"warnings"}


def test_settings_cannot_be_changed() -> None:
    settings = read("devices: {1: {}}")
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.state_dir = "/elsewhere"  # type: ignore[misc]
    with pytest.raises(TypeError):
        settings.devices[NukiId(2)] = DeviceSettings()  # type: ignore[index]
