"""The part of the topics page that is about requests to the gateway: every verb, its payload, what is answered."""

from typing import Any

from nuki2mqtt.faces.reference_text import example, table
from nuki2mqtt.gateway.callback_lease import masked_url
from nuki2mqtt.gateway.requests import MOST_LOG_ENTRIES, PATIENCE_S, VERBS
from nuki2mqtt.gateway.sync_budget import SYNC_EVERY_S
from nuki2mqtt.gateway.vocabulary import Level
from nuki2mqtt.protocol.command_payloads import render_response

_BRIDGE = {"id": "0A1B2C3D", "address": "192.0.2.10:8080"}
_SLOT = {"id": 0, "url": masked_url("http://192.0.2.20:51828/hook?token=5ec4e7"), "own": False}
_FOUND = {
    "host": "192.0.2.10",
    "port": 8080,
    "bridge_id": "0A1B2C3D",
    "server_id": None,
    "found_by": ["mdns"],
    "also": [],
    "verdict": "bridge",
    "text": "wants a token (401), as a Bridge does",
}
_OPTIONAL = 'nothing needed; `{"bridge":..}` asks one only'
# Each verb: its payload, what it does, and an example of `data`.
_VERBS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "refresh": (_OPTIONAL, "reads `/list` of the Bridges now", {"bridges": [{**_BRIDGE, "devices": 2}]}),
    "callbacks": (_OPTIONAL, "reads the callback slots", {"bridges": [{**_BRIDGE, "callbacks": [_SLOT]}]}),
    "callback_remove": (
        f'`{{"bridge":..,"id":0,"url":"{_SLOT["url"]}"}}`, the URL as `callbacks` shows it',
        "frees somebody else's slot, if it still holds this URL; never our own",
        {"bridges": [{**_BRIDGE, "callbacks": []}]},
    ),
    "bridge_log": (
        f'`{{"bridge":..,"offset":0,"count":50}}`, at most {MOST_LOG_ENTRIES}',
        "reads the Bridge's log, without what may be secret",
        {"bridges": [{**_BRIDGE, "log": [{"at": "2026-11-21T20:15:03Z", "type": "ble-req", "id": "1A2B3C4D"}]}]},
    ),
    "bridge_reboot": ('`{"bridge":..}`', "restarts the Bridge", {"bridges": [_BRIDGE]}),
    "diagnostics": (
        "anything",
        "shows settings (without secrets), clocks, Bridges, devices, the cloud; the example is shortened",
        {
            "version": "0.1.0",
            "clock_trusted": True,
            "bridges": [],
            "devices": [],
            "cloud": None,
            "commands_under_way": 0,
        },
    ),
    "log_level": (
        f'`{{"level":"debug"}}` or the word: {", ".join(Level)}',
        "changes the log level until the next start",
        {"level": "debug"},
    ),
    "device_remove": (
        '`{"device":"front_door"}` or the topic or ID alone',
        "forgets a device that no Bridge lists any more, clears its retained topics, and its entities in Home Assistant",
        {"id": "1A2B3C4D"},
    ),
    "find": (
        "anything",
        "searches for Bridges as `find` in the settings says, and asks what it finds for `/info` without a token",
        {"bridges": [_FOUND], "notes": []},
    ),
    "pair": (
        '`{"bridge":..}`, of the settings or as `find` shows it',
        "asks the Bridge for a token; its button must be pressed within 30 s; only where it has none or refuses ours",
        {"address": "192.0.2.10:8080", "paired": True},
    ),
    "sync": (
        '`{"device":"front_door"}` or the topic or ID alone',
        f"has Nuki's cloud read the device anew, at most once in {SYNC_EVERY_S / 3600:g} h per device: it costs battery",
        {"id": "1A2B3C4D", "renewed": True, "forced_syncs": 3, "next": "2026-11-22T02:15:03Z"},
    ),
}


def render_requests() -> str:
    """The section about requests."""
    rows = [(f"`{verb}`", payload, what) for verb in VERBS for payload, what, _ in (_VERBS[verb],)]
    answers = "\n".join(f"{render_response(_VERBS[verb][2], None, verb).decode()}" for verb in VERBS)
    return (
        "## Requests to the gateway\n\nA word or a JSON object on `<base>/gateway/request/<verb>` is answered on "
        "`<base>/gateway/response/<verb>` (and on the response topic), with its `transaction`. `bridge` is an ID or "
        "`host:port`, and is needed only where there are several. What needs a Bridge waits for its turn, "
        f"{PATIENCE_S:g} s at most. `sync` shares its budget with the keypad codes, is answered when the device was read "
        "again, and `renewed` tells whether that brought anything newer.\n\n"
        + table(("verb", "payload", "what it does"), rows)
        + "\nExamples of answers, here each with its verb as the `transaction`:\n\n"
        + example(answers.encode())
        + "\n"
        + example(render_response({}, "starting: try again in a few seconds", "a1"))
        + "\n`data` is empty where there is an `error`, which is a text for people. Where some Bridges fail, theirs is "
        "in their part of `bridges`. Of a slot's URL everything is shown but a login, long levels, levels behind "
        "`/callback/` and what follows a `?`; "
        "`gateway/response` is as public as the rest of `<base>`. What changes something is refused while the gateway "
        "starts. There is no factory reset, no unpairing and no firmware update.\n"
    )
