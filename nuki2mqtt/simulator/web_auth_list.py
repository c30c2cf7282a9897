"""The cloud's list of who may use a lock, beside what the lock itself remembers. Pure.

Both change by operations that take a while, and meet at a sync only (reference of the Web API, section 6.2). An entry
that is not on the lock is a ghost: deleting it does nothing, its code counts as taken, a sync makes an end of it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from nuki2mqtt.simulator.keypad import APP, KEYPAD_CODE, KEYPAD_DEVICE, StoredAuth
from nuki2mqtt.simulator.web_faults import CloudFaultName, Write

if TYPE_CHECKING:
    from nuki2mqtt.simulator.web_device import KnownDevice


@dataclass(eq=False, kw_only=True)
class ListedAuth:
    """One entry: `id` is its id in the cloud, `shown` what the cloud believes that the lock has."""

    id: str
    known: "KnownDevice"
    shown: StoredAuth
    account_user_id: int | None = None
    created_at: float
    updated_at: float

    @property
    def operation_id(self) -> str | None:
        """The operation that holds it; None if nothing does."""
        return self.known.operation_of(self.id)

    @property
    def is_ghost(self) -> bool:
        """Whether the lock does not know it."""
        return self.shown.number not in self.known.memory.stored


class AuthList:
    """All entries of one lock by their ids, in the order in which they came."""

    def __init__(self, known: "KnownDevice") -> None:
        self._known = known
        self._entries: dict[str, ListedAuth] = {}
        owner = StoredAuth(number=1, type=APP, name="Owner", remote_allowed=True)
        self._begin(owner, known.cloud.account_user_id)
        if known.has_keypad:
            self._begin(StoredAuth(number=2, type=KEYPAD_DEVICE, name="Keypad"), None)

    def __iter__(self) -> Iterator[ListedAuth]:
        return iter(tuple(self._entries.values()))

    def get(self, auth_id: str) -> ListedAuth | None:
        """The entry of this id."""
        return self._entries.get(auth_id)

    def id_of(self, number: int | None) -> str | None:
        """The id of the entry of this number on the lock, if the cloud lists it."""
        return next((one.id for one in self if number is not None and one.shown.number == number), None)

    def has_code(self, code: int, *, but: str | None = None) -> bool:
        """Whether the list has this code at another entry than `but`."""
        return any(one.shown.code == code and one.id != but for one in self)

    def add_by_app(self, **what: Any) -> StoredAuth | None:
        """Somebody makes an authorization with his phone at the lock; the cloud learns of it at the next sync."""
        kind = what.get("type", KEYPAD_CODE)
        one = StoredAuth(number=self._known.memory.next_number(kind), **({"type": kind} | what))
        return one if self._known.memory.store(one) else None

    def make_ghost(self, auth_id: str) -> None:
        """The lock forgets an entry, and the cloud does not notice; raises KeyError."""
        self._known.memory.remove(self._entries[auth_id].shown.number)

    def create_later(self, what: Mapping[str, Any], account_user_id: int | None) -> None:
        """Promise a new one."""
        self._known.later(Write.CREATE, partial(self._create, what, account_user_id))

    def update_later(self, one: ListedAuth, what: Mapping[str, Any], account_user_id: int | None) -> None:
        """Promise a change; what it does not name of the schedule is cleared."""
        do = partial(self._update, one.id, what, account_user_id)
        self._known.later(Write.UPDATE, do, auth_ids={one.id})

    def delete_later(self, one: ListedAuth) -> None:
        """Promise that it will be gone."""
        self._known.later(Write.DELETE, partial(self._delete, one.id), auth_ids={one.id})

    def follow_lock(self) -> None:
        """List what the lock has, and nothing else."""
        stored = dict(self._known.memory.stored)
        for one in self:
            truth = stored.pop(one.shown.number, None)
            if truth is None:
                self._forget(one)
            elif truth != one.shown:
                self._show(one, truth)
        for truth in stored.values():
            self._list(truth, None)

    def _create(self, what: Mapping[str, Any], account_user_id: int | None) -> bool:
        known = self._known
        memory, kind = known.memory, what["type"]
        highest = max((one.shown.number for one in self if (one.shown.type == kind)), default=0)
        stored = StoredAuth(number=max(memory.next_number(kind), highest + 1), **what)
        is_ghost = known.cloud.faults.has(CloudFaultName.GHOST_CREATES, nuki_id=known.nuki_id)
        if not is_ghost and not memory.store(stored):  # what finds no room on the lock never appears
            return False
        self._list(stored, account_user_id)
        return not is_ghost

    def _update(self, auth_id: str, what: Mapping[str, Any], account_user_id: int | None) -> bool:
        one, memory = self._entries.get(auth_id), self._known.memory
        if one is None:
            return False
        before = memory.stored.get(one.shown.number)
        if before is None and not self._known.cloud.conduct.update_heals_ghosts:
            return False
        after = replace(before or one.shown, **what)
        if not memory.store(after):
            return False
        one.account_user_id = one.account_user_id if account_user_id is None else account_user_id
        self._show(one, after)
        return True

    def _delete(self, auth_id: str) -> bool:
        one = self._entries.get(auth_id)
        if one is None or not self._known.memory.remove(one.shown.number):
            return False
        self._forget(one)
        return True

    def _begin(self, stored: StoredAuth, account_user_id: int | None) -> None:
        self._known.memory.store(stored)
        self._enter(stored, account_user_id)

    def _enter(self, stored: StoredAuth, account_user_id: int | None) -> ListedAuth:
        cloud = self._known.cloud
        now = cloud.house.now
        one = ListedAuth(
            id=cloud.ids.make(now),
            known=self._known,
            shown=replace(stored),
            account_user_id=account_user_id,
            created_at=now,
            updated_at=now,
        )
        self._entries[one.id] = one
        return one

    def _list(self, stored: StoredAuth, account_user_id: int | None) -> None:
        self._known.cloud.hooks.authorization(self._enter(stored, account_user_id), deleted=False)

    def _show(self, one: ListedAuth, truth: StoredAuth) -> None:
        one.shown = replace(truth)
        one.updated_at = self._known.cloud.house.now
        self._known.cloud.hooks.authorization(one, deleted=False)

    def _forget(self, one: ListedAuth) -> None:
        del self._entries[one.id]
        self._known.cloud.hooks.authorization(one, deleted=True)
