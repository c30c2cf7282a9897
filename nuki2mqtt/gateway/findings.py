"""What attribution wants and brings: logs to be read, and what they told."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from nuki2mqtt.model.activity import Activity, ActivityAction, Trigger
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.event import EventType
from nuki2mqtt.model.keypad import Authorization


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to be told of a device: the event's type, and the entry that says it.

    `is_old`: too old when we learnt of it to act on, as of a door that opened a minute ago. `changed`: of `attributed`,
    when the change was seen that it explains.
    """

    nuki_id: NukiId
    event_type: EventType
    activity: Activity
    is_old: bool = False
    changed: datetime | None = None


@dataclass(frozen=True, slots=True)
class LogWish:
    """The log of this device is to be read, entries from `since` on; not after `not_after` (monotonic seconds)."""

    nuki_id: NukiId
    since: datetime
    not_after: float


@dataclass(frozen=True, slots=True)
class LastDeed:
    """What happened to a device last, for its snapshot; None is "not known". `activity` says who it was."""

    action: ActivityAction | None = None
    trigger: Trigger | None = None
    activity: Activity | None = None

    def actor(self, authorizations: Mapping[str, Authorization]) -> str | None:
        """Who it was; `authorizations` by id, as far as known."""
        if self.activity is None:
            return None
        found = None if self.activity.auth_id is None else authorizations.get(self.activity.auth_id)
        return self.activity.actor({} if found is None or found.name is None else {found.id: found.name})
