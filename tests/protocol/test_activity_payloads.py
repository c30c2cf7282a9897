"""What an event says of a log entry (docs/topics.md: attributed, code_refused)."""

from dataclasses import replace
from datetime import UTC, datetime

from nuki2mqtt.model.activity import Activity
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.keypad import Authorization
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.activity_payloads import attributed_details, code_refused_details
from nuki2mqtt.protocol.payloads import render_json

ENTRY = Activity(
    id="6700000000000000000000a3",
    nuki_id=NukiId(0x1A2B3C4D),
    device_type=4,
    at=datetime(2026, 11, 21, 20, 15, 3, 500000, tzinfo=UTC),
    action_code=1,
    trigger_code=255,
    completion_code=0,
    auth_id="65219648fe00000000000d01",
)
KNOWN = {
    "65219648fe00000000000d01": Authorization(
        id="65219648fe00000000000d01", type=13, name="Käthe", code=Secret("839275")
    )
}


def test_attributed() -> None:
    assert render_json(attributed_details(ENTRY, KNOWN)).decode() == (
        '{"action":"unlock","actor":"Käthe","trigger":"keypad","via":"code","completion":"success",'
        '"at_of":"2026-11-21T20:15:03Z"}'
    )


def test_attributed_to_somebody_that_is_not_listed() -> None:
    named = replace(ENTRY, name="Somebody", at=None)

    assert attributed_details(named, {}) == {
        "action": "unlock",
        "actor": "Somebody",
        "trigger": "keypad",
        "via": "keypad",
        "completion": "success",
        "at_of": None,
    }
    assert attributed_details(replace(ENTRY, auth_id=None), KNOWN)["actor"] is None
    assert attributed_details(ENTRY, {ENTRY.auth_id or "": Authorization(id="x", type=0)})["via"] == "keypad"


def test_code_refused() -> None:
    wrong = replace(ENTRY, completion_code=224, source_code=1, auth_id=None)

    assert code_refused_details(wrong, KNOWN) == {
        "actor": None,
        "trigger": "keypad",
        "via": "code",
        "completion": "invalid_code",
        "at_of": "2026-11-21T20:15:03Z",
    }
