"""A lenient reader of the cloud's log entries.

Source: web reference 3.6. What is absent, of a wrong type or out of range is None; rows of old logs lack most of it.
"""

from nuki2mqtt.model.activity import Activity, OpenerActivity
from nuki2mqtt.model.cloud_device import device_type_of, nuki_id_of
from nuki2mqtt.protocol import bridge_bodies as bodies
from nuki2mqtt.protocol.bridge_bodies import JsonObject
from nuki2mqtt.protocol.web_auth_bodies import is_auth_id
from nuki2mqtt.protocol.web_device_bodies import is_said, read_error, require_smartlock_id

_MOST_NAME_CHARS = 64


def read_activity(entry: JsonObject) -> Activity:
    """One entry; raises UnreadableBody where nobody knows of which device."""
    smartlock_id = require_smartlock_id(entry)
    return Activity(
        id=_id(entry, "id"),
        nuki_id=nuki_id_of(smartlock_id),
        # An older API knew fewer types here; the number of the device holds it, but for type 0 (web reference 5).
        device_type=device_type_of(smartlock_id) or bodies.read_int(entry, "deviceType") or 0,
        at=bodies.read_time(entry, "date"),
        action_code=bodies.read_int(entry, "action"),
        trigger_code=bodies.read_int(entry, "trigger"),
        completion_code=bodies.read_int(entry, "state"),
        source_code=bodies.read_int(entry, "source"),
        name=bodies.read_text(entry, "name", _MOST_NAME_CHARS),
        auth_id=_id(entry, "authId"),
        auto_unlock=bodies.read_bool(entry, "autoUnlock"),
        ajar_minutes=bodies.read_int(entry, "ajarTimeout"),
        opener=_opener(entry),
        error=read_error(entry),
    )


def _id(entry: JsonObject, key: str) -> str | None:
    """An id, which is a text of 24 hex digits; a number is written as one."""
    value = entry.get(key)
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    return text if isinstance(text, str) and is_auth_id(text) else None


def _opener(entry: JsonObject) -> OpenerActivity | None:
    if not is_said(entry, "openerLog"):
        return None
    log = bodies.read_object(entry, "openerLog")
    return OpenerActivity(
        source_code=bodies.read_int(log, "source"),
        active_rto=bodies.read_bool(log, "activeRto"),
        active_cm=bodies.read_bool(log, "activeCm"),
        is_geofence=bodies.read_bool(log, "flagGeoFence"),
        is_forced=bodies.read_bool(log, "flagForce"),
        is_doorbell_suppressed=bodies.read_bool(log, "flagDoorbellSuppression"),
    )
