"""(7) Foreign callback slots are untouched, and one is ours. (8) No secret leaves. (9) Everything stays bounded."""

import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from tests.storm.broker import Taken
from tests.storm.cloud_plan import CODES
from tests.storm.computer import Computer
from tests.storm.invariants.invariant import Invariant
from tests.storm.world import Call

MOST_OBJECTS = 60_000
LONGEST = 20_000  # replies that wait for the broker (docs/decisions/0027)
INBOX = 1000
LEASE_S = 900.0 + 120.0  # it is looked at every 900 s (docs/architecture.md), between other requests

_LEAVES = (str, bytes, int, float, type(None))
_COLLECTIONS = (list, tuple, set, frozenset, deque, Mapping)


class OneSlotIsOurs(Invariant):
    """Looks at every Bridge's slots after each request that changes them, and at rest."""

    name = "7"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._without_since: dict[int, float] = {}

    def call_arrived(self, call: Call) -> None:
        if call.evicted:
            self.fail(f"{call.path} took the slot of {call.evicted}")
        if call.path.startswith("/callback/") and call.bridge in self.world.bridges and call.bridge is not None:
            own = [url for url in call.bridge.callbacks.slots if url is not None and self.world.spec.is_own_url(url)]
            if len(own) > 2:
                self.fail(f"{len(own)} slots are ours")

    def check(self) -> None:
        for bridge in self.world.bridges:
            slots = bridge.callbacks.slots
            own = [url for url in slots if url is not None and self.world.spec.is_own_url(url)]
            main = [url for url in own if f"//{self.world.main.host}:" in url and "/1234abcd/" in url]
            if len(main) > 1 or len(own) > 1 + self._is_other_excused():
                self.fail(f"{len(own)} slots are ours: {[url.rpartition('/')[0] for url in own]}")

    def ticked(self) -> None:
        """A slot that became free is taken when the lease is looked at next, at most 900 s later."""
        is_fair = not self.stage.ends and self.stage.is_connected
        for number, bridge in enumerate(self.world.bridges):
            slots = bridge.callbacks.slots
            own = [url for url in slots if url is not None and f"//{self.world.main.host}:" in url]
            if own or None not in slots or not is_fair:
                self._without_since.pop(number, None)
                continue
            since = self._without_since.setdefault(number, self.world.now)
            if self.world.now - since > LEASE_S:
                self.fail(f"no slot is ours since {self.world.now - since:.0f} s, and one is free")

    def _is_other_excused(self) -> bool:
        """The slot of another gateway that was killed is not ours to clear."""
        return bool(self.stage.second_gateways)


class NothingSecretIsSaid(Invariant):
    """Searches topics, payloads and log lines."""

    name = "8"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._secrets = self.world.spec.secrets()
        self._bytes = tuple(secret.encode() for secret in self._secrets)
        codes = "|".join(CODES) if self.world.spec.has_cloud else r"\b\B"
        # Not as a part of an id, a time or a fraction.
        self._codes = re.compile(rf"(?<![0-9A-Fa-f.])(?:{codes})(?![0-9A-Fa-f])")
        self._own = {f"{computer.client_id}{more}" for computer in self.world.computers for more in ("", "-web")}

    def taken(self, taken: Taken) -> None:
        packet = taken.packet
        for secret, text in zip(self._secrets, self._bytes, strict=True):
            if text in packet.payload or secret in packet.topic:
                self.fail(f"a secret is on {packet.topic}")
        if taken.client_id in self._own and self._codes.search(packet.payload.decode(errors="replace")):
            self.fail(f"a keypad code is on {packet.topic}")

    def logged(self, text: str) -> None:
        for secret in self._secrets:
            if secret in text:
                self.fail(f"a secret is in the log: {text.replace(secret, '***')}")
        if self._codes.search(text):
            self.fail(f"a keypad code is in the log: {self._codes.sub('***', text)}")


class EverythingIsBounded(Invariant):
    """Walks through all that the gateway holds, at rest and each hour."""

    name = "9"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.most_objects = 0
        self.longest = 0
        self._ticks = 0

    def ticked(self) -> None:
        self._ticks += 1
        if self._ticks % 240 == 0:
            self._weigh()

    def check(self) -> None:
        if self._ticks > 30:
            self._ticks = 0
            self._weigh()

    def _weigh(self) -> None:
        process = self.world.main.process
        if process is None or process.gateway is None:
            return
        objects, longest = weigh(process.gateway)
        self.most_objects, self.longest = max(self.most_objects, objects), max(self.longest, longest)
        if objects > MOST_OBJECTS:
            self.fail(f"the gateway holds {objects} objects")
        if longest > LONGEST:
            self.fail(f"something holds {longest} items")
        waiting = self.stage.inbox_size
        if waiting > INBOX:
            self.fail(f"{waiting} events wait")

    def crashed(self, computer: Computer, error: BaseException) -> None:
        self.fail(f"the service on {computer.name} ended by {error!r}")


def weigh(root: object) -> tuple[int, int]:
    """How many objects hang on this one, and how many items the longest collection has."""
    seen: set[int] = set()
    waiting: deque[object] = deque([root])
    longest = 0
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, _LEAVES):
            continue
        seen.add(id(one))
        if isinstance(one, _COLLECTIONS):
            longest = max(longest, len(one))
        waiting.extend(_parts(one))
    return len(seen), longest


def _parts(one: object) -> Iterable[Any]:
    if isinstance(one, Mapping):
        return [*one.keys(), *one.values()]
    if isinstance(one, _COLLECTIONS):
        return list(one)
    if is_dataclass(one) and not isinstance(one, type):
        return [getattr(one, each.name, None) for each in fields(one)]
    return list(vars(one).values()) if hasattr(one, "__dict__") and not isinstance(one, type) else []
