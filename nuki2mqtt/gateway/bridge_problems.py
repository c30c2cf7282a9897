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
            f"{pair_command(bridge)}"
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
