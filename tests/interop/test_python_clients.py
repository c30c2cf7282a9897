"""pynuki (plain, encrypted) and aionuki (plain, hashed) with a simulated Bridge: they list, act and follow.

They are written by others from the vendor's documents: what they understand is the vendor's format, not ours.
"""

import asyncio
from importlib import import_module
from typing import Any

import pytest

from tests.interop.conftest import TOKEN, Site, Target
from tests.stories.real.processes import until

PYNUKI = {"plain": False, "encrypted": True}
AIONUKI = {"plain": False, "hashed": True}

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")


def _client(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        pytest.skip(f"{name} is not installed ({error}); pip install '.[dev]'")


# --- pynuki, which blocks -----------------------------------------------------------------------------------------


async def _pynuki(site: Site, mode: str, **options: Any) -> Any:
    bridge = _client("pynuki").NukiBridge
    return await asyncio.to_thread(
        bridge, site.server.host, TOKEN, site.server.port, secure=PYNUKI[mode], timeout=10, **options
    )


@pytest.mark.parametrize("mode", PYNUKI)
async def test_pynuki_lists_and_acts(site: Site, mode: str) -> None:
    bridge = await _pynuki(site, mode)
    assert bridge.is_hardware_bridge
    cellar, front_door = await asyncio.to_thread(lambda: bridge.locks)
    [intercom] = await asyncio.to_thread(lambda: bridge.openers)

    assert (cellar.name, cellar.is_locked, cellar.door_sensor_state_name) == ("Cellar", True, "door closed")
    assert (front_door.device_type, front_door.battery_charge, front_door.firmware_version) == (4, 80, "3.5.6")
    assert (intercom.state_name, intercom.mode_str) == ("online", "door mode")

    assert (await asyncio.to_thread(front_door.unlock, block=True))["success"] is True
    await site.state(site.lock, 3)
    await asyncio.to_thread(front_door.update)
    assert front_door.is_unlocked
    assert (await asyncio.to_thread(cellar.unlatch))["success"] is True
    await site.state(site.old_lock, 3)
    await asyncio.to_thread(cellar.update, aggressive=True)
    assert cellar.state_name == "unlocked"
    assert (await asyncio.to_thread(intercom.activate_rto))["success"] is True
    await site.state(site.opener, 3)

    assert (site.lock.turns, site.old_lock.unlatches, site.old_lock.wakeups) == (1, 1, 1)
    assert site.modes("/lockAction") == site.modes("/list") == site.modes("/info") == {mode}


@pytest.mark.parametrize("mode", PYNUKI)
async def test_pynuki_follows_callbacks(site: Site, target: Target, mode: str) -> None:
    bridge = await _pynuki(site, mode)
    _, front_door = await asyncio.to_thread(lambda: bridge.locks)
    assert await asyncio.to_thread(bridge.callback_add, target.url) == {"success": True}
    assert (await asyncio.to_thread(bridge.callback_list))["callbacks"] == [{"id": 0, "url": target.url}]

    site.turn(site.lock, 3)
    front_door.update_from_callback(await target.heard())

    assert (front_door.is_unlocked, front_door.state_name) == (True, "unlocked")
    assert await asyncio.to_thread(bridge.callback_remove, 0) == {"success": True}


async def test_pynuki_is_told_that_its_token_is_wrong(site: Site) -> None:
    pynuki = _client("pynuki")
    refused = import_module("pynuki.bridge").InvalidCredentialsException
    with pytest.raises(refused):
        await asyncio.to_thread(pynuki.NukiBridge, site.server.host, "wrong", site.server.port, timeout=10)


async def test_pynuki_gets_a_token_by_the_button(site: Site) -> None:
    bridge = await asyncio.to_thread(_client("pynuki").NukiBridge, site.server.host, None, site.server.port)
    asking = asyncio.create_task(asyncio.to_thread(bridge.auth))
    await until(lambda: site.bridge.requests, "pynuki asks for a token")
    site.server.press_button()
    assert await asking == {"success": True, "token": TOKEN}


# --- aionuki ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", AIONUKI)
async def test_aionuki_lists_and_acts(site: Site, mode: str) -> None:
    """It knows types 0 and 2 only: a Smart Lock 3.0 is a device of unknown type to it."""
    made = _client("aionuki").NukiBridge(site.server.host, port=site.server.port, secure=AIONUKI[mode], timeout=10)
    async with made as bridge:
        await bridge.connect(TOKEN)
        assert await bridge.is_hardware_bridge
        [cellar], [intercom] = await bridge.locks, await bridge.openers
        unknown = bridge.getDeviceFromManagedDevices(site.lock.nuki_id)

        assert (cellar.name, cellar.is_locked, cellar.is_open) == ("Cellar", True, False)
        assert (unknown.device_type_str, unknown.state_name) == ("UNKNOWN", "locked")

        assert (await cellar.unlock(block=True))["success"] is True
        await site.state(site.old_lock, 3)
        await cellar.update()
        assert cellar.is_locked is False
        assert (await intercom.electric_strike_actuation())["success"] is True

    assert (site.old_lock.turns, site.opener.unlatches) == (1, 1)
    assert site.modes("/lockAction") == site.modes("/list") == site.modes("/info") == {mode}


@pytest.mark.parametrize("mode", AIONUKI)
async def test_aionuki_follows_callbacks(site: Site, target: Target, mode: str) -> None:
    made = _client("aionuki").NukiBridge(site.server.host, port=site.server.port, secure=AIONUKI[mode], timeout=10)
    async with made as bridge:
        await bridge.connect(TOKEN)
        [intercom] = await bridge.openers
        assert await bridge.callback_add(target.url) == {"success": True}

        site.opener.ring()
        site.server.changed()
        await bridge.interpret_callback(await target.heard())

        assert (intercom.ring_action_state, intercom.state_name) == (True, "online")
        assert await bridge.callback_remove(0) == {"success": True}  # its removal by URL sends the whole entry as id
    assert site.modes("/callback/add") == {mode}
