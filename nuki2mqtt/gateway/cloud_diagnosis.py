"""What the request `diagnostics` says of Nuki's cloud: how it stands with each device, each fact with source and age.

No token and no keypad code is in it: of wishes only how many are how far.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from nuki2mqtt.gateway.cloud import Cloud
from nuki2mqtt.gateway.vocabulary import Moment
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.protocol.payloads import render_time


def diagnose_cloud(cloud: Cloud, nuki_ids: Iterable[NukiId], now: Moment) -> dict[str, Any]:
    """For people who look closer; ages are in seconds."""
    health, memory = cloud.health(now.monotonic), cloud.desk.memory
    return {
        "reachable": health.reachable,
        "problem": health.problem,
        "poll_age_s": None if health.poll_age_s is None else round(health.poll_age_s, 1),
        "poll_s": health.poll_s,
        "requests": health.requests,
        "queue": health.queue,
        "scopes_missing": list(health.scopes_missing),
        "devices": [_device(cloud, nuki_id, now) for nuki_id in nuki_ids],
        "keypad": {
            "codes": dict(sorted(Counter(str(wish.phase) for wish in memory.wishes.values()).items())),
            "orders_without_end": sum(not one.is_ended for one in memory.operations.values()),
        },
    }


def _device(cloud: Cloud, nuki_id: NukiId, now: Moment) -> dict[str, Any]:
    truth, view = cloud.truth, cloud.truth.devices.view(nuki_id)
    combined, number = truth.combined(nuki_id, now), truth.smartlock_id(nuki_id)
    server_state = None if view is None else view.facts.server_state
    spent = None if number is None else cloud.desk.budget.spent.get(str(number))
    return {
        "id": str(nuki_id),
        "standing": truth.standing(nuki_id, now),
        "server_state": server_state,
        "read_age_s": None if view is None or view.read is None else round(now.monotonic - view.read, 1),
        "leads": None if combined is None else combined.leads.source,
        "doubtful": False if combined is None else combined.is_doubtful,
        "facts": {}
        if combined is None
        else {
            name: {"value": fact.value, "source": fact.source, "age_s": round(now.monotonic - fact.time, 1)}
            for name, fact in combined.facts.items()
        },
        "forced_syncs": 0 if spent is None else spent.count,
        "last_forced_sync": None if spent is None else render_time(spent.last),
    }
