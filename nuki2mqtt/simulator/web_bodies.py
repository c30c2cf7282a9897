"""The bodies that the cloud writes: its keys and their order, as recorded. Pure.

Sources: recorded bodies of a type 4, a type 2 and log entries; reference of the Web API, sections 3.1 to 3.6.
"""

from typing import TYPE_CHECKING

from nuki2mqtt.simulator.web_auth_list import ListedAuth
from nuki2mqtt.simulator.web_device import KnownDevice, StateCopy
from nuki2mqtt.simulator.web_faults import CloudFaultName
from nuki2mqtt.simulator.web_log import LogEntry
from nuki2mqtt.simulator.web_values import Json, iso_ms, packed_firmware

if TYPE_CHECKING:
    from nuki2mqtt.simulator.web import SimulatedCloud

_LOG_TYPES = {1: 0}  # section 3.6: a Box is a 0 there
_OPENER_SOURCES = {4: 2, 5: 2, 2: 3, 255: 6}  # section 3.6: 2 app, 3 button, 6 keypad
_HARDWARE = {0: 0x500, 2: 0x200}  # 0x200 and 0x50C are recorded, the others invented


def smartlock(known: KnownDevice, now: float) -> dict[str, Json]:
    """One device."""
    device, cloud = known.device, known.cloud
    body: dict[str, Json] = {
        "smartlockId": known.smartlock_id,
        "accountId": cloud.account_id,
        "type": device.device_type,
    }
    if device.device_type == 4:
        body["lmType"] = 0
    body |= {
        "authId": known.auth_id,
        "name": known.name,
        "favorite": known.favorite,
        "config": known.config,
    }
    if known.advanced is not None:
        key, advanced = known.advanced
        body[key] = advanced
    if known.is_opener:
        body["webConfig"] = known.web_config
    body |= {
        "state": state(known.copy, known, now),
        "firmwareVersion": packed_firmware(device.firmware),
        "hardwareVersion": _HARDWARE.get(device.device_type, 0x50C),
    }
    operation_id = known.operation_id
    if operation_id is not None:
        body["operationId"] = operation_id
    body |= {
        "serverState": known.shown_server_state,
        "adminPinState": known.admin_pin_state,
        "virtualDevice": False,
        "creationDate": iso_ms(known.created_at),
        "updateDate": iso_ms(known.updated_at),
    }
    if cloud.faults.has(CloudFaultName.STRIPPED, nuki_id=known.nuki_id):  # section 3.1, error
        kept = {key: value for key, value in body.items() if not isinstance(value, dict)}
        return kept | {"error": "A subscription is needed for this device"}
    if device.device_type in {4, 5}:
        body["currentSubscription"] = {"type": "B2C", "state": "INACTIVE", "creationDate": iso_ms(known.created_at)}
    return body


def state(copy: StateCopy, known: KnownDevice, now: float) -> dict[str, Json]:
    """The state of a device as the cloud believes it."""
    facts = copy.facts
    left_s = 0.0 if copy.rto_until is None else max(0.0, copy.rto_until - now)
    body: dict[str, Json] = {
        "mode": facts.mode,
        "state": facts.state,
        "trigger": copy.trigger,
        "lastAction": copy.last_action,
        "batteryCritical": facts.battery_critical,
        "batteryCharging": bool(facts.battery_charging),
        "batteryCharge": facts.battery_level or 0,
        "keypadBatteryCritical": bool(facts.keypad_critical),
        "doorsensorBatteryCritical": False,
        "doorState": facts.door or 0,
        "ringToOpenTimer": min(65535, int(left_s)),
        "nightMode": False,
    }
    if known.is_opener and copy.rto_until is not None:
        body["ringToOpenEnd"] = iso_ms(copy.rto_until)
    return body


def authorization(one: ListedAuth) -> dict[str, Json]:
    """One authorization, with its code in clear."""
    shown, conduct = one.shown, one.known.cloud.conduct
    body: dict[str, Json] = {"id": one.id, "smartlockId": one.known.smartlock_id, "authId": shown.number}
    if one.account_user_id is not None:
        body["accountUserId"] = one.account_user_id
    if shown.code is not None:
        body["code"] = [shown.code] if conduct.code_is_a_list else shown.code
    if shown.fingerprints:
        body["fingerprints"] = dict(shown.fingerprints)
    body |= {"type": shown.type, "name": shown.name}
    if not (conduct.omits_defaults and shown.enabled):
        body["enabled"] = shown.enabled
    if not (conduct.omits_defaults and not shown.remote_allowed):
        body["remoteAllowed"] = shown.remote_allowed
    body["lockCount"] = shown.lock_count
    schedule = shown.schedule
    if schedule.from_date is not None:
        body["allowedFromDate"] = iso_ms(schedule.from_date)
    if schedule.until_date is not None:
        body["allowedUntilDate"] = iso_ms(schedule.until_date)
    if schedule.week_days is not None:
        body["allowedWeekDays"] = schedule.week_days
    if schedule.from_time is not None:
        body["allowedFromTime"] = schedule.from_time
    if schedule.until_time is not None:
        body["allowedUntilTime"] = schedule.until_time
    if shown.last_active_at is not None:
        body["lastActiveDate"] = iso_ms(shown.last_active_at)
    body |= {"creationDate": iso_ms(one.created_at), "updateDate": iso_ms(one.updated_at)}
    operation_id = one.operation_id
    return body if operation_id is None else body | {"operationId": operation_id}


def log_entry(entry: LogEntry, *, is_named: bool = True) -> dict[str, Json]:
    """One entry of the log."""
    known, doer = entry.known, entry.doer
    device_type = known.device.device_type
    body: dict[str, Json] = {
        "id": entry.id,
        "smartlockId": known.smartlock_id,
        "deviceType": _LOG_TYPES.get(device_type, device_type),
    }
    auth = None if entry.auth_id is None else known.auths.get(entry.auth_id)
    if auth is not None and auth.account_user_id is not None:
        body["accountUserId"] = auth.account_user_id
    if entry.auth_id is not None:
        body["authId"] = entry.auth_id
    body |= {
        "name": doer.name if is_named else "",
        "action": entry.action,
        "trigger": doer.trigger,
        "state": entry.state,
        "autoUnlock": False,
        "date": iso_ms(entry.at),
    }
    if known.is_opener:
        body["openerLog"] = {
            "activeCm": entry.active_cm,
            "activeRto": entry.active_rto,
            "source": _OPENER_SOURCES.get(doer.trigger, 0),
            "flagGeoFence": False,
            "flagForce": False,
            "flagDoorbellSuppression": False,
        }
    body["source"] = doer.source
    return body


def account(cloud: "SimulatedCloud") -> dict[str, Json]:
    """The account that the token belongs to, with what every account has."""
    return {
        "accountId": cloud.account_id,
        "type": 0,
        "email": "owner@example.org",
        "name": "Owner",
        "language": "en",
        "creationDate": iso_ms(cloud.began_at),
        "updateDate": iso_ms(cloud.began_at),
    }
