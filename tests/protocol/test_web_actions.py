"""Numbers of actions by device type, and where they differ from a Bridge's (web reference 4)."""

import pytest

from nuki2mqtt.model.action import Action, actions_of
from nuki2mqtt.model.activity import activity_action_of
from nuki2mqtt.protocol.web_actions import ActionOption, web_actions_of, web_code_of

LOCK = {"unlock": 1, "lock": 2, "unlatch": 3, "lock_n_go": 4, "lock_n_go_unlatch": 5}
OPENER = {"activate_rto": 1, "deactivate_rto": 2, "electric_strike": 3, "activate_cm": 6, "deactivate_cm": 7}


@pytest.mark.parametrize(
    ("device_type", "codes"),
    [
        (0, LOCK),
        (1, {"unlock": 1}),
        (2, OPENER),
        (3, LOCK),
        (4, LOCK),
        (5, LOCK),
        (6, {"unlock": 1, "lock": 2}),
        (255, {"unlock": 1, "lock": 2}),
    ],
)
def test_numbers(device_type: int, codes: dict[str, int]) -> None:
    assert web_actions_of(device_type) == codes
    assert {action: web_code_of(action, device_type) for action in Action} == {
        action: codes.get(action) for action in Action
    }


@pytest.mark.parametrize("device_type", [0, 2, 3, 4, 5, 77])
def test_what_a_bridge_understands_the_cloud_does_too(device_type: int) -> None:
    bridge = {action: facts.code for action, facts in actions_of(device_type).items()}
    differing = {action for action, code in web_actions_of(device_type).items() if bridge[action] != code}

    assert web_actions_of(device_type).keys() == bridge.keys()
    assert differing == ({Action.ACTIVATE_CM, Action.DEACTIVATE_CM} if device_type == 2 else set())


@pytest.mark.parametrize("device_type", [0, 1, 2, 3, 4, 5, 77])
def test_a_log_names_an_order_as_we_do(device_type: int) -> None:
    for action, code in web_actions_of(device_type).items():
        assert str(activity_action_of(device_type, code)) == str(action)


def test_options() -> None:
    assert (int(ActionOption.NONE), int(ActionOption.FORCE), int(ActionOption.FULL_LOCK)) == (0, 2, 4)
