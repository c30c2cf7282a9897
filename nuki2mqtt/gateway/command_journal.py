"""What must be remembered of commands: their keys for ten minutes, and those without an end.

A command with the key of an earlier one is its repeat, and refused. The journal stands in the state file before a
command is said to be accepted and goes to the wire; what a former process left open there ends `unconfirmed`,
`restarted`, and is not sent again. An end, too, stands there before it is said: another process says the same one
again. Keys outlive the process for opening commands only: what closes may be given again (docs/topics.md, "Repeated"
and "Sent once").
"""

from collections import OrderedDict
from dataclasses import replace

from nuki2mqtt.gateway.clock_trust import BUILT
from nuki2mqtt.gateway.vocabulary import JournalEntry, Moment
from nuki2mqtt.model.action import Action
from nuki2mqtt.model.device import NukiId

REMEMBERED_S = 600.0
MOST_KEYS = 1000
MOST_CLOSING = 100  # commands in the journal that let nobody in: a flood of them shall not make the file slow

_Key = tuple[NukiId, Action, str]


class CommandJournal:
    """Keys of accepted commands, and the commands without an end."""

    def __init__(self, entries: dict[str, JournalEntry], now: Moment) -> None:
        self.entries = dict(entries)
        self._left_open = [entry_id for entry_id, entry in entries.items() if not entry.is_ended]
        self._keys: OrderedDict[_Key, float] = OrderedDict()
        self._closing: set[_Key] = set()  # those of them that let nobody in
        self._written = 0
        accepted = {entry_id: _accepted(entry, now) for entry_id, entry in self.entries.items()}
        for entry_id in sorted(accepted, key=lambda entry_id: accepted[entry_id]):
            entry = self.entries[entry_id]
            is_young = now.monotonic - accepted[entry_id] <= REMEMBERED_S
            if entry.opens and entry.may_have_acted and entry.key is not None and is_young:
                self._keys[entry.device, entry.action, entry.key] = accepted[entry_id]
        self._drop_needless()

    def is_repeat(self, nuki_id: NukiId, action: Action, key: str | None, now: Moment) -> bool:
        """Whether a command with this key was accepted within the last ten minutes."""
        self._forget_old(now)
        return key is not None and (nuki_id, action, key) in self._keys

    def accept(self, nuki_id: NukiId, action: Action, key: str | None, now: Moment, *, opens: bool) -> None:
        """Remember the key of an accepted command. What closes never drives out what opens."""
        if key is None:
            return
        self._keys[nuki_id, action, key] = now.monotonic
        if not opens:
            self._closing.add((nuki_id, action, key))
        while len(self._keys) > MOST_KEYS:
            oldest = (one for one in self._keys if one in self._closing) if self._closing else iter(self._keys)
            self._forget(next(oldest))

    def forget(self, nuki_id: NukiId, action: Action, key: str | None) -> None:
        """The command did not act: it may be given again."""
        if key is not None:
            self._forget((nuki_id, action, key))

    def _forget(self, key: _Key) -> None:
        self._keys.pop(key, None)
        self._closing.discard(key)

    def write(self, entry: JournalEntry) -> str:
        """A command is accepted; gives the id under which it stands in the journal."""
        self._written += 1
        entry_id = f"{entry.accepted.isoformat()} {self._written}"
        self.entries = {**self._with_room_for(entry), entry_id: entry}
        return entry_id

    def _with_room_for(self, entry: JournalEntry) -> dict[str, JournalEntry]:
        """What closes never drives out what opens: without that a door may open twice after a crash.

        Of what closes what has ended goes first, since what has not still needs its end. Of what opens first goes what
        has no key: an end that is missing does less harm than a door that opens twice.
        """
        entries = dict(self.entries)
        closing = {entry_id: one for entry_id, one in entries.items() if not one.opens}
        if closing and (len(entries) >= MOST_KEYS or (not entry.opens and len(closing) >= MOST_CLOSING)):
            del entries[_least_needed(closing)]
        elif entry.opens and len(entries) >= MOST_KEYS:
            keyless = {entry_id: one for entry_id, one in entries.items() if one.key is None}
            del entries[_least_needed(keyless or entries)]
        return entries

    def route_by_cloud(self, entry_id: str, now: Moment) -> None:
        """It is about to go to the cloud, where it may wait: the file tells of it for ten minutes, key or none."""
        entry = self.entries.get(entry_id)
        if entry is None or entry.by_cloud:
            return
        routed = replace(entry, by_cloud=True, key=f"cloud {entry_id}" if entry.key is None else entry.key)
        if entry.key is None and routed.key is not None and entry.opens:
            self._keys[entry.device, entry.action, routed.key] = now.monotonic
        self.entries = {**self.entries, entry_id: routed}

    def settle_in_cloud(self, entry_id: str) -> None:
        """What became of it is known: nobody has to fear that the cloud carries it out later."""
        entry = self.entries.get(entry_id)
        if entry is not None and entry.by_cloud:
            self.entries = {**self.entries, entry_id: replace(entry, by_cloud=False)}

    def conclude(self, entry_id: str, end: bytes, *, may_have_acted: bool) -> None:
        """This is its end, and about to be said."""
        entry = self.entries.get(entry_id)
        if entry is not None:
            concluded = replace(entry, end=end.decode(), may_have_acted=may_have_acted)
            self.entries = {**self.entries, entry_id: concluded}

    def ended(self, entry_id: str) -> None:
        """The broker has its end; what may have acted is remembered for its key."""
        entry = self.entries.get(entry_id)
        if entry is None:
            return
        entries = {key: entry for key, entry in self.entries.items() if key != entry_id}
        is_needed = entry.may_have_acted and entry.opens and entry.key is not None
        # Only its key is needed from now on: the file shall not grow by what clients choose.
        kept = replace(entry, is_ended=True, transaction=None, response_topic=None, correlation=None, end=None)
        self.entries = {**entries, entry_id: kept} if is_needed else entries

    def leave_open(self) -> None:
        """Nobody will say the ends of what is under way: it is left open as by a crash."""
        self._left_open = [entry_id for entry_id, entry in self.entries.items() if not entry.is_ended]

    def take_left_open(self) -> list[tuple[str, JournalEntry]]:
        """What was accepted and left without an end, by a former process above all; each is given once, with its id."""
        left = [(entry_id, self.entries[entry_id]) for entry_id in self._left_open if entry_id in self.entries]
        self._left_open = []
        return left

    def _forget_old(self, now: Moment) -> None:
        is_any_old = False
        while self._keys and now.monotonic - next(iter(self._keys.values())) > REMEMBERED_S:
            self._forget(next(iter(self._keys)))
            is_any_old = True
        if is_any_old:
            self._drop_needless()

    def _drop_needless(self) -> None:
        """An ended entry is there for its key: with that forgotten it is of no use."""
        self.entries = {
            entry_id: entry
            for entry_id, entry in self.entries.items()
            if not entry.is_ended or (entry.key is not None and (entry.device, entry.action, entry.key) in self._keys)
        }


def _least_needed(entries: dict[str, JournalEntry]) -> str:
    return next((entry_id for entry_id, entry in entries.items() if entry.is_ended), next(iter(entries)))


def _accepted(entry: JournalEntry, now: Moment) -> float:
    """When a former process accepted it, on our monotonic clock, as far as the wall clock can be believed.

    A clock that was set back, or could not be believed then, must not shorten the time: it counts from now. So does
    what was left open, for nobody knows for how long.
    """
    age_s = (now.wall - entry.accepted).total_seconds()
    is_dated = entry.is_ended and entry.is_dated and age_s >= 0 and entry.accepted >= BUILT
    is_dated = is_dated and now.is_synchronised is not False
    return now.monotonic - age_s if is_dated else now.monotonic
