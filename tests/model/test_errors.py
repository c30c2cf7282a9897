"""The error tree: what is raised on purpose, and whether the lock may have moved."""

import inspect

import pytest

from nuki2mqtt import errors
from nuki2mqtt.errors import (
    BridgeError,
    BridgeErrorKind,
    Nuki2mqttError,
    SettingsError,
    SettingsProblem,
    StateFileError,
)


@pytest.mark.parametrize(
    ("kind", "may_have_acted"),
    [
        ("too_late", False),
        ("refused", False),
        ("timeout", True),
        ("reset", True),
        ("busy", True),
        ("token_refused", False),
        ("forbidden", False),
        ("bad_request", False),
        ("not_paired", False),
        ("device_offline", True),
        ("unexpected_status", True),
        ("unreadable", True),
    ],
)
def test_whether_the_lock_may_have_moved(kind: str, *, may_have_acted: bool) -> None:
    assert BridgeError(BridgeErrorKind(kind)).may_have_acted is may_have_acted


def test_every_kind_is_in_the_table_above() -> None:
    (mark,) = test_whether_the_lock_may_have_moved.pytestmark  # type: ignore[attr-defined]

    assert {row[0] for row in mark.args[1]} == set(BridgeErrorKind)


def test_a_bridge_error_is_equal_by_value() -> None:
    error = BridgeError(BridgeErrorKind.BUSY, "HTTP 503")

    assert error == BridgeError(BridgeErrorKind.BUSY, "HTTP 503")
    assert hash(error) == hash(BridgeError(BridgeErrorKind.BUSY, "HTTP 503"))
    assert error not in {BridgeError(BridgeErrorKind.BUSY), BridgeError(BridgeErrorKind.RESET, "HTTP 503")}
    assert error != "busy: HTTP 503"


@pytest.mark.parametrize(("detail", "text"), [("", "busy"), ("HTTP 503", "busy: HTTP 503")])
def test_a_bridge_error_as_text(detail: str, text: str) -> None:
    assert str(BridgeError(BridgeErrorKind.BUSY, detail)) == text


def test_settings_errors_tell_every_mistake_with_its_place() -> None:
    problems = (SettingsProblem("config.yaml:3:1", "x is unknown"), SettingsProblem("NUKI2MQTT_Y", "must be a number"))

    assert str(SettingsError(problems)) == "config.yaml:3:1: x is unknown\nNUKI2MQTT_Y: must be a number"
    assert SettingsError(problems).problems == problems


@pytest.mark.parametrize("newer", [True, False])
def test_a_state_file_of_a_later_version_is_told_apart(*, newer: bool) -> None:
    assert StateFileError("x", newer=newer).newer is newer


def test_the_tree_is_drawn_in_the_docstring() -> None:
    classes = [thing for _, thing in inspect.getmembers(errors, inspect.isclass) if issubclass(thing, Exception)]

    assert all(issubclass(thing, Nuki2mqttError) for thing in classes)
    assert [thing.__name__ for thing in classes if thing.__name__ not in (errors.__doc__ or "")] == []
