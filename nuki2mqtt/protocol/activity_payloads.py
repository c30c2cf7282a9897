"""What the events `attributed` and `code_refused` say of a log entry. The contract is docs/topics.md, "Device"."""

from collections.abc import Mapping
from typing import Any

from nuki2mqtt.model.activity import Activity
from nuki2mqtt.model.keypad import Authorization
from nuki2mqtt.protocol.payloads import render_time


def attributed_details(activity: Activity, authorizations: Mapping[str, Authorization]) -> dict[str, Any]:
    """Who did it, by what and how it ended; `at_of` is when it happened. `authorizations` by id, as far as known."""
    return {"action": activity.action, **_who(activity, authorizations)}


def code_refused_details(activity: Activity, authorizations: Mapping[str, Authorization]) -> dict[str, Any]:
    """At what a keypad refused somebody; who it was is known only of a right code at a wrong time."""
    return _who(activity, authorizations)


def _who(activity: Activity, authorizations: Mapping[str, Authorization]) -> dict[str, Any]:
    found = None if activity.auth_id is None else authorizations.get(activity.auth_id)
    names = {} if found is None or found.name is None else {found.id: found.name}
    return {
        "actor": activity.actor(names),
        "trigger": activity.trigger,
        "via": activity.via(None if found is None else found.kind),
        "completion": activity.completion,
        "at_of": None if activity.at is None else render_time(activity.at),
    }
