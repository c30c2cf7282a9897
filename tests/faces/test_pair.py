"""`nuki2mqtt pair`: a token by the press of the Bridge's button."""

import json
from pathlib import Path

import pytest

from nuki2mqtt.adapters.state_file import StateFile
from nuki2mqtt.faces.pair import count_down, pair
from nuki2mqtt.faces.setup import Setup
from nuki2mqtt.gateway.vocabulary import BridgePaired
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.settings import BridgeSettings, Settings
from tests.faces.conftest import Perform, Site
from tests.stories.real.household import TOKEN, free_port

ASKED = "Press the button of the Bridge at {} within 30 seconds (shortly; its ring lights up) ...\n"


def handed_over(folder: Path) -> tuple[BridgePaired, ...]:
    with StateFile(folder) as state:
        state.open()
        return state.take_pairing()


async def test_the_button_is_pressed(here: Site, perform: Perform) -> None:
    setup = here.setup(bridge="id: 0A1B2C3D")
    here.bridge.button_pressed = True
    said = await perform(pair, setup, "127.0.0.1", here.server.port, replace=False)
    assert said.status == 0
    assert said.err == ""
    assert said.out == (
        ASKED.format(here.link)
        + f"Paired. The token is kept in {setup.state_dir}; a running service takes it within seconds.\n"
    )
    assert (setup.state_dir / "pairing.json").stat().st_mode & 0o777 == 0o600
    assert handed_over(setup.state_dir) == (BridgePaired(here.link, Secret(TOKEN), replace_bridge=False),)
    assert handed_over(setup.state_dir) == ()


async def test_a_bridge_that_is_not_in_the_settings(here: Site, perform: Perform) -> None:
    """It prints what to add, and no token."""
    here.bridge.button_pressed = True
    setup = Setup(Settings(bridges=(BridgeSettings(host="192.0.2.10"),)), here.folder / "state")
    said = await perform(pair, setup, "127.0.0.1", here.server.port, replace=True)
    assert said.status == 0
    assert said.out.endswith(
        "This Bridge is not in your settings yet. Add to config.yaml:\n\n"
        f"bridges:\n  - host: 127.0.0.1\n    port: {here.server.port}\n"
    )
    assert TOKEN not in said.out
    assert handed_over(setup.state_dir) == (BridgePaired(here.link, Secret(TOKEN), replace_bridge=True),)


async def test_without_bridges_in_the_settings_it_is_followed_as_it_is(here: Site, perform: Perform) -> None:
    here.bridge.button_pressed = True
    said = await perform(pair, Setup(Settings(), here.folder / "state"), "127.0.0.1", here.server.port, replace=False)
    assert said.out.endswith("a running service takes it within seconds.\n")


@pytest.mark.parametrize(
    ("is_terminal", "shown"),
    [(False, "20 s left ...\n10 s left ...\n"), (True, "".join(f"\r{left:>4} s left " for left in range(30, 0, -1)))],
)
async def test_the_seconds_are_counted_down(
    capsys: pytest.CaptureFixture[str], *, is_terminal: bool, shown: str
) -> None:
    paused: list[float] = []

    async def pause(seconds: float) -> None:
        paused.append(seconds)

    await count_down(is_terminal=is_terminal, pause=pause)
    assert (capsys.readouterr().out, sum(paused)) == (shown, 30)


async def test_the_button_is_not_pressed(here: Site, perform: Perform) -> None:
    setup = here.setup()
    said = await perform(pair, setup, "127.0.0.1", here.server.port, replace=False)
    assert said.status == 1
    assert said.err == "The button was not pressed in time. Run this again and press it when asked.\n"
    assert not (setup.state_dir / "pairing.json").exists()
    assert [request.path for request in here.bridge.requests] == ["/auth"]  # asked once, and without any token
    assert [request.mode for request in here.bridge.requests] == [None]


async def test_pairing_is_switched_off_at_the_bridge(here: Site, perform: Perform) -> None:
    here.bridge.auth_enabled = False
    said = await perform(pair, here.setup(), "127.0.0.1", here.server.port, replace=False)
    assert said.status == 1
    assert said.err.startswith(f"No token from {here.link}: forbidden")
    assert "Nuki app, Manage my devices > Bridge > HTTP API" in said.err


async def test_nobody_answers_there(here: Site, perform: Perform) -> None:
    port = free_port()
    said = await perform(pair, here.setup(), "127.0.0.1", port, replace=False)
    assert said.status == 1
    assert said.err.startswith(f"No token from 127.0.0.1:{port}: refused")
    assert said.err.endswith("Check the address, and that the Bridge has power.\n")


async def test_the_bridge_is_busy(here: Site, perform: Perform) -> None:
    with here.bridge.faults.busy("/auth"):
        said = await perform(pair, here.setup(), "127.0.0.1", here.server.port, replace=False)
    assert said.status == 1
    assert "stop other programs that use it for a minute" in said.err


async def test_something_else_answers_there(here: Site, perform: Perform) -> None:
    with here.bridge.faults.garbage("/auth", b"<html>router</html>"):
        here.bridge.button_pressed = True
        said = await perform(pair, here.setup(), "127.0.0.1", here.server.port, replace=False)
    assert said.status == 1
    assert "Check that a Nuki Bridge answers there" in said.err


async def test_the_token_cannot_be_kept(here: Site, perform: Perform) -> None:
    """A state folder below a file; the token is lost, and is not printed either."""
    (here.folder / "file").touch()
    here.bridge.button_pressed = True
    setup = Setup(here.setup().settings, here.folder / "file" / "state")
    said = await perform(pair, setup, "127.0.0.1", here.server.port, replace=False)
    assert said.status == 1
    assert "cannot be written" in said.err
    assert TOKEN not in said.out + said.err


async def test_tokens_of_two_bridges_wait_side_by_side(here: Site, perform: Perform) -> None:
    setup = here.setup()
    setup.state_dir.mkdir()
    other = {"version": 1, "pairings": {"192.0.2.10:8080": {"token": "other1", "replace": False}}}
    (setup.state_dir / "pairing.json").write_text(json.dumps(other))
    here.bridge.button_pressed = True
    assert (await perform(pair, setup, "127.0.0.1", here.server.port, replace=False)).status == 0
    assert {one.link for one in handed_over(setup.state_dir)} == {"192.0.2.10:8080", here.link}
