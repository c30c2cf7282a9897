"""(6) One request at a time, with the gap, within the budget of forced reads.

(10) Signed requests only where they are allowed.
"""

from collections import deque
from collections.abc import Mapping
from hashlib import sha256

from nacl.bindings import crypto_secretbox_open
from nacl.exceptions import CryptoError

from nuki2mqtt.simulator.bridge import Ending
from tests.storm.invariants.invariant import Invariant
from tests.storm.spec import PORT, TOKEN
from tests.storm.world import Call

DAY_S = 86_400.0
COMMAND_RESERVE = 48  # a day and device, for looking after commands (docs/decisions/0026)
FORCED_MIN_S = 60.0  # poll.forced_min_s (docs/decisions/0006), for reads that are for no command
COMMAND_S = 150.0  # so long after an order's end a read may be for its sake: confirm_s, 10 s and its patience of 45 s
ROUNDING_S = 0.001
DEAD_S = 180.0  # docs/architecture.md, "Whom we talk to"
TURN_S = 0.1  # what was decided goes to the wire when the loop comes to it, after a standstill above all
LATE_S = 1.0
SINCE_S = 200.0


class OneAtATime(Invariant):
    """No Bridge sees two requests of one process at once, or one too soon after another."""

    name = "6"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._last: dict[tuple[str, int, str], Call] = {}
        self._reads: dict[tuple[str, int, str, str], deque[float]] = {}
        self._doubts: dict[tuple[str, int, str, str], tuple[float, bool]] = {}
        self._ordered: dict[tuple[str, int, str], Call] = {}
        self.shortest_gap_s = float("inf")

    def call_began(self, call: Call) -> None:
        key = (call.computer.name, call.process, call.host)
        last = self._last.get(key)
        if last is not None and last.ended is None:
            self.fail(f"{call.path} while {last.path} is under way")
        elif last is not None and last.ended is not None:
            gap_s = call.began - last.ended
            self.shortest_gap_s = min(self.shortest_gap_s, gap_s)
            if gap_s < self.world.spec.min_gap_s - ROUNDING_S:
                self.fail(f"{call.path} only {gap_s:.3f} s after {last.path}")
        self._last[key] = call
        if call.path == "/lockState":
            self._count_read(call)
            self._check_pause(call)
        elif call.path == "/lockAction":
            self._ordered[call.computer.name, call.process, call.params["nukiId"]] = call
        self._check_silence(call)

    def _check_pause(self, call: Call) -> None:
        """Reads that no command asks for keep their distance."""
        nuki_id = call.params["nukiId"]
        order = self._ordered.get((call.computer.name, call.process, nuki_id))
        if order is not None and (order.ended is None or call.began < order.ended + COMMAND_S):
            return
        key = (call.computer.name, call.process, call.host, nuki_id)
        last, is_exact = self._doubts.get(key, (float("-inf"), True))
        if is_exact and call.began - last < FORCED_MIN_S - TURN_S:
            self.fail(f"{call.path} for no command only {call.began - last:.1f} s after the last one")
        # What waited for the disk counts as of an earlier time, which nobody but the gateway knows.
        self._doubts[key] = call.began, call.computer.waits_until < call.began - LATE_S

    def _count_read(self, call: Call) -> None:
        reads = self._reads.setdefault((call.computer.name, call.process, call.host, call.params["nukiId"]), deque())
        reads.append(call.began)
        while reads[0] < call.began - DAY_S:
            reads.popleft()
        budget = self.world.spec.forced_per_day + COMMAND_RESERVE
        if len(reads) > budget:
            self.fail(f"{len(reads)} forced reads of one device within a day")

    def _check_silence(self, call: Call) -> None:
        """The second of two gateways asks nothing of any Bridge while the first one lives and is connected."""
        main = self.world.main
        if call.computer is not self.world.other or not main.is_alive or main.process is None:
            return
        other_began = 0.0 if call.computer.process is None else call.computer.process.began
        if main.process.began + SINCE_S < other_began and self.stage.connected_since(SINCE_S):
            self.fail(f"the second gateway asks {call.path} while the first one lives")


class OnlyWhereAllowed(Invariant):
    """No signed request goes to an address that nobody configured, none but the question who it is to a stranger."""

    name = "10"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._met: set[tuple[str, str]] = set()
        self._lives: set[tuple[str, int, str]] = set()  # where each process had an answer of ours last
        spec = self.world.spec
        self._tokens = {spec.bridge_host(number): f"{TOKEN}{number}" for number in range(spec.bridges)}
        # Of paired ones: whose address it may be, where each was met last, and when anything of it answered last.
        self._owners = {
            host: number
            for number in range(spec.bridges)
            for host in (spec.bridge_host(number), spec.moved_bridge_host(number), spec.rogue_host(number))
        }
        self._at: dict[tuple[str, int, int], str] = {}
        self._heard: dict[tuple[str, int, int], float] = {}

    def call_began(self, call: Call) -> None:
        if not call.signed:
            return
        if self.world.spec.is_learnt:
            self._check_learnt(call)
            return
        hosts = self._tokens.keys()
        if call.host not in hosts or call.port != PORT:
            self.fail(f"a signed request went to {call.host}:{call.port}")
        if "token" in call.signed:
            self.fail(f"the plain token went out with {call.path}")
        elif call.host in hosts and not _is_signed_by(self._tokens[call.host], call.signed):
            self.fail(f"{call.path} to {call.host} was not signed by the token of the Bridge there")

    def _check_learnt(self, call: Call) -> None:
        """An address is left after three dead minutes only, and whoever is elsewhere is asked who it is, no more."""
        number = self._owners.get(call.host)
        if number is None or call.port != PORT or "token" in call.signed:
            self.fail(f"a signed {call.path} went to {call.host}:{call.port}")
            return
        if not _is_signed_by(f"{TOKEN}{number}", call.signed):
            self.fail(f"{call.path} to {call.host} was not signed by the token of the Bridge there")
        key = (call.computer.name, call.process, number)
        place = self._at.get(key)
        if place == call.host:
            return
        if call.path != "/info":
            self.fail(f"{call.path} went to {call.host}, where Bridge {number} has not answered this process")
        began = 0.0 if call.computer.process is None else call.computer.process.began
        dead_s = call.began - max(began, self._heard.get(key, 0.0))
        is_first = place is None and call.host != self.world.spec.rogue_host(number)
        if not is_first and dead_s < DEAD_S - TURN_S:
            self.fail(f"{call.host} is asked in the place of {place}, which was dead for {dead_s:.0f} s only")

    def call_ended(self, call: Call) -> None:
        """Only what was answered to us tells that somebody is there."""
        life = (call.computer.name, call.process, call.host)
        if not call.is_answered or (call.path == "/info" and call.bridge not in self.world.bridges):
            self._lives.discard(life)
        elif call.bridge in self.world.bridges:
            self._lives.add(life)
        number, answer = self._owners.get(call.host), call.answer
        if number is None or answer is None or call.bridge is not self.world.bridges[number]:
            return
        key = (call.computer.name, call.process, number)
        is_there = self._at.get(key, call.host) == call.host
        if is_there and answer.ending in {Ending.ANSWERED, Ending.RESET} and answer.delay_s <= call.timeout_s:
            self._heard[key] = self.world.now
        has_named_itself = str(self.world.spec.bridge_id(number)).encode() in answer.body
        if call.path == "/info" and answer.ending is Ending.ANSWERED and has_named_itself:
            self._at[key] = call.host

    def call_arrived(self, call: Call) -> None:
        if self.world.spec.is_learnt:
            return
        if call.bridge in self.world.bridges:
            # Who goes on asking has taken the answer to its first question, and was not killed or silenced meanwhile.
            if call.path != "/info" and call.answer is not None and call.answer.status == 200:
                self._met.add((call.computer.name, call.host))
        elif call.path != "/info" and (call.computer.name, call.host) in self._met:
            # Whoever never met ours cannot tell it from another; nor can anybody between two answered requests:
            # the second of two gateways, when the first one has noticed that ours is gone.
            if (call.computer.name, call.process, call.host) in self._lives:
                return
            self.fail(f"{call.path} was signed for another Bridge than ours")


def _is_signed_by(token: str, signed: Mapping[str, str]) -> bool:
    """Whether this token made the signature (Bridge API 1.13.2 section 3.2)."""
    if "hash" in signed:
        return signed["hash"] == sha256(f"{signed['ts']},{signed['rnr']},{token}".encode()).hexdigest()
    box, nonce = bytes.fromhex(signed["ctoken"]), bytes.fromhex(signed["nonce"])
    try:
        crypto_secretbox_open(box, nonce, sha256(token.encode()).digest())
    except CryptoError:
        return False
    return True
