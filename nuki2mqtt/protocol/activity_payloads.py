"""What the events `attributed` and `code_refused` say of a log entry. The contract is docs/topics.md, "Device"."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from nuki2mqtt.model.activity import Activity
from nuki2mqtt.model.event import EventType
from nuki2mqtt.model.keypad import Authorization
from nuki2mqtt.model.state import Source
from nuki2mqtt.protocol.payloads import render_json, render_time


def render_finding(
    event_type: EventType, activity: Activity, authorizations: Mapping[str, Authorization], now: datetime
) -> bytes:
    """An event of the log as JSON: `attributed` and `code_refused` with all that is known, a door's with its time.

    `attributed` is of now: it explains what was told before. The others are of the entry's own time.
    """
    is_of_now = event_type is EventType.ATTRIBUTED or activity.at is None
    head = {
        "event_type": event_type,
        "at": render_time(now if is_of_now or activity.at is None else activity.at),
        "source": Source.WEB,
        "actor": None,
    }
    if event_type is EventType.ATTRIBUTED:
        return render_json(head | attributed_details(activity, authorizations))
    if event_type is EventType.CODE_REFUSED:
        return render_json(head | code_refused_details(activity, authorizations))
    return render_json(head)


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
