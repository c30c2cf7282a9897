"""What can be done to a simulated Bridge from outside. Pure."""

from nuki2mqtt.simulator.bodies import iso
from nuki2mqtt.simulator.bridge import Ending, SimulatedRequest
from nuki2mqtt.simulator.control_faults import active_faults
from nuki2mqtt.simulator.control_values import Asked, ControlError, Json
from nuki2mqtt.simulator.estate import Estate, ServedBridge


def find_bridge(estate: Estate, text: str) -> ServedBridge:
    """A Bridge by its ID, or by its number in the list (from 1); raises ControlError."""
    if text.isdecimal() and len(text) <= 2 and 1 <= int(text) <= len(estate.bridges):
        return estate.bridges[int(text) - 1]
    for one in estate.bridges:
        if one.id == text.upper():
            return one
    known = ", ".join(one.id for one in estate.bridges)
    raise ControlError(404, f"There is no Bridge {text!r}: {known}, or their numbers from 1.")


def describe_bridge(estate: Estate, one: ServedBridge) -> Json:
    """A Bridge: how to reach it, what it is, and how it is just now."""
    bridge, now = one.bridge, estate.house.now
    return {
        "id": one.id,
        "family": str(bridge.abilities.family),
        "firmware": bridge.firmware,
        "host": one.server.host,
        "port": one.server.port,
        "url": one.server.url,
        "token": bridge.tokens.token,
        "token_modes": sorted(bridge.tokens.modes),
        "devices": [f"{device.nuki_id:08X}" for device in bridge.devices],
        "clock": iso(bridge.clock(now)),
        "skew_s": round(bridge.clock(now) - now, 3),
        "uptime_s": int(now - bridge.booted_at),
        "auth_enabled": bridge.auth_enabled,
        "button_pressed": bridge.button_pressed,
        "callbacks": list(bridge.callbacks.slots),
        "faults": active_faults(one),
    }


def list_requests(one: ServedBridge) -> Json:
    """What the Bridge was asked, oldest first."""
    return [_describe_request(request) for request in one.bridge.requests]


def _describe_request(request: SimulatedRequest) -> Json:
    return {
        "at": iso(request.at),
        "at_s": round(request.at, 3),
        "path": request.path,
        "query": dict(request.query),
        "token_mode": request.mode,
        "status": request.status if request.ending is Ending.ANSWERED else None,
        "outcome": str(request.ending),
    }


def forget_requests(one: ServedBridge) -> Json:
    """Begin the list of requests anew; how many there were."""
    count = len(one.bridge.requests)
    one.bridge.requests.clear()
    return {"forgotten": count}


def press_button(one: ServedBridge) -> Json:
    """Press the button of a hardware Bridge."""
    if one.bridge.abilities.is_software:
        raise ControlError(409, f"Bridge {one.id} is an app and has no button; its token is listed by GET /bridges.")
    one.server.press_button()
    return {"window_s": one.bridge.timing.auth_window_s}


def set_clock(estate: Estate, one: ServedBridge, asked: Asked) -> Json:
    """Put the Bridge's clock ahead of the house's, or let it drift (behind, if negative)."""
    given = asked.fields("skew_s", "drift_s_per_day")
    if not given.values:
        raise ControlError(400, "Nothing to do: give skew_s, drift_s_per_day or both.")
    one.bridge.set_clock(
        skew_s=given.number("skew_s") if given.has("skew_s") else None,
        drift_s_per_day=given.number("drift_s_per_day") if given.has("drift_s_per_day") else None,
    )
    now = estate.house.now
    return {"clock": iso(one.bridge.clock(now)), "skew_s": round(one.bridge.clock(now) - now, 3)}


def move_address(estate: Estate, one: ServedBridge, asked: Asked) -> Json:
    """Serve at another address."""
    given = asked.fields("host", "port")
    host, port = given.text("host", one.server.host), given.within("port", 0, 65535, one.server.port)
    if not given.values:
        raise ControlError(400, "Nothing to do: give host, port or both.")
    try:
        estate.move(one, host, port)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise ControlError(
            409, f"Bridge {one.id} stays at {one.server.url}: {host}:{port} cannot be used ({reason or 'no address'})."
        ) from None
    return {"url": one.server.url}


def reboot(one: ServedBridge, asked: Asked) -> Json:
    """Go down now and come back after a while."""
    loses_callbacks = asked.fields("lose_callbacks").switch("lose_callbacks", default=False)
    if loses_callbacks:
        one.bridge.callbacks.forget_all()
    one.bridge.restart()
    return {"back_in_s": one.bridge.timing.reboot_s}
