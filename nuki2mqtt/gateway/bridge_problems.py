"""What can be wrong with a Bridge, told to a person, with the next step."""

from datetime import datetime

from nuki2mqtt.errors import BridgeError, BridgeErrorKind
from nuki2mqtt.model.bridge import CallbackSlot
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.protocol.payloads import render_time
from nuki2mqtt.protocol.settings import BridgeSettings

_STEPS = {
    BridgeErrorKind.REFUSED: "Check its power and address, and that the HTTP API is on in the Nuki app "
    "(Manage my devices > Bridge).",
    BridgeErrorKind.TIMEOUT: "If this lasts, unplug the Bridge for ten seconds.",
    BridgeErrorKind.RESET: "If this lasts, unplug the Bridge for ten seconds.",
    BridgeErrorKind.BUSY: "It is busy with another request or cannot reach a lock; fewer clients at one Bridge "
    "help, and if it lasts, unplug the Bridge for ten seconds.",
    BridgeErrorKind.FORBIDDEN: "Switch the HTTP API on in the Nuki app (Manage my devices > Bridge).",
    BridgeErrorKind.NOT_PAIRED: "Pair the device with this Bridge in the Nuki app.",
    BridgeErrorKind.DEVICE_OFFLINE: "Check the batteries of the device and its distance to the Bridge.",
    BridgeErrorKind.UNREADABLE: "Check that a Nuki Bridge answers at this address; if so, please report the text.",
}


def pair_command(bridge: BridgeSettings) -> str:
    """What to type to pair with this Bridge."""
    port = "" if bridge.port == BridgeSettings(host=bridge.host).port else f" --port {bridge.port}"
    return f"nuki2mqtt pair --host {bridge.host}{port}"


def failure(bridge: BridgeSettings, error: BridgeError, wall: datetime) -> str:
    """One failed request."""
    if error.kind is BridgeErrorKind.TOKEN_REFUSED:
        return (
            f"Bridge {bridge.link} refuses the token (401). Check `token`, and that the clocks agree to a minute: here "
            f"it is {render_time(wall)}, and a Bridge without internet runs wrong. A new token: "
            f"{pair_command(bridge)}. A Bridge with firmware before 1.12.0 or 2.2.0 knows only the plain token: list "
            "it under `bridges` with `auth: plain`."
        )
    link = bridge.link
    detail = f" ({error.detail})" if error.detail else ""
    step = _STEPS.get(error.kind, "Check host and port: is it a Nuki Bridge? If it is and this lasts, restart it.")
    return f"Bridge {link}: {error.kind}{detail}. {step}"


def other_bridge(bridge: BridgeSettings, old: NukiId, new: NukiId) -> str:
    """Another Bridge answers at a configured address."""
    return (
        f"At {bridge.link} answers Bridge {new}, but {old} is expected there. It is not asked any more. If you "
        f"replaced the Bridge, set `id: {new}` in its settings or run: {pair_command(bridge)} --replace"
    )


def same_bridge(link: str, other: str) -> str:
    """One Bridge is configured under two addresses."""
    return f"{link} and {other} are the same Bridge. It is asked at {other} only: remove {link} from `bridges`."


def nameless(link: str) -> str:
    """`/info` without any ID."""
    return f"What answers at {link} gives no Bridge ID. Check that it is a Nuki Bridge; set `id` if you know it."


def slots_full(link: str, slots: tuple[CallbackSlot, ...]) -> str:
    """No slot is left for us."""
    return (
        f"All {len(slots)} callback slots of Bridge {link} belong to other programs. Polling goes on, changes come "
        "later. Remove one there, or in the program that owns it; the topic of the Bridge shows their addresses."
    )


def lease_lost(link: str) -> str:
    """Our slot was taken from us."""
    return f"Bridge {link} had lost our callback; it is registered again."


def lease_refused(link: str, reason: str) -> str:
    """The Bridge does not take our URL."""
    return f"Bridge {link} does not register our callback: {reason}. Polling goes on; tried again in 15 minutes."


def losing_callbacks(link: str, port: int | None) -> str:
    """Callbacks do not arrive."""
    return (
        f"Three callbacks of Bridge {link} were lost within an hour: polling three times as often. Check that the "
        f"Bridge can reach this machine at TCP port {port} (firewall, container port, `callback.host`)."
    )


def container_address(link: str, host: str) -> str:
    """Our own address is inside a container."""
    return (
        f"Bridge {link} cannot call {host}: that is the inside of a container. Set `callback.host` to the "
        "address of this machine in your network and publish the callback port, or use host networking. Polling "
        "goes on."
    )


def trying(link: str, bridge_id: NukiId | None, place: str) -> str:
    """A learnt Bridge is dead, and something calls itself like it."""
    return f"Bridge {bridge_id} does not answer at {link}; asking at {place}, where it seems to be."


def not_there(bridge_id: NukiId | None, place: str, why: str, home: str) -> str:
    """What was found is not the Bridge."""
    return (
        f"Bridge {bridge_id} is not at {place} ({why}): going on at {home}. If something else in your network calls "
        "itself so, find out what."
    )


def moved(bridge_id: NukiId, old: str, new: str) -> str:
    """A learnt Bridge has another address now."""
    return f"Bridge {bridge_id} has moved from {old} to {new}, and is followed there."


def followed_elsewhere(bridge_id: NukiId | None, old: str, new: str) -> str:
    """A learnt Bridge was paired anew at another address."""
    return f"Bridge {bridge_id} is followed at {new} now, and not at {old} any more."


def seems_moved(bridge: BridgeSettings, bridge_id: NukiId, place: BridgeSettings, *, is_listed: bool) -> str:
    """A Bridge is dead and seems to be elsewhere, where we do not go by ourselves."""
    port = "" if place.port == bridge.port else f" and port: {place.port}"
    step = f"set host: {place.host}{port} in `bridges`" if is_listed else f"run: {pair_command(place)}"
    return (
        f"Bridge {bridge_id} does not answer at {bridge.link}, and something that calls itself so does at "
        f"{place.link}. If the Nuki app or your router has it there, too, {step}"
    )


def found_unpaired(bridge_id: NukiId | None, place: BridgeSettings, how: str) -> str:
    """A Bridge that nobody has paired with yet."""
    who = "A Nuki Bridge" if bridge_id is None else f"Nuki Bridge {bridge_id}"
    return f"{who} is at {place.link} (found by {how}). Pair with it: {pair_command(place)}"


def none_found() -> str:
    """There is nobody to follow."""
    return (
        "No Bridge is configured or paired, and none was found: most do not announce themselves. Look up its address "
        "in the Nuki app (Manage my devices > Bridge > HTTP API) or in your router, then: nuki2mqtt pair --host ADDRESS"
    )
