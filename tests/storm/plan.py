"""A plan: what happens when, drawn from the seed and written as JSON, so that it can be replayed and made smaller.

Bad weather comes in squalls: some minutes in which faults, orders and people's doings overlap, then a calm in which
everything must come right again. A `check` stands where it must have.
"""

from random import Random
from typing import Any

from tests.storm.cloud_plan import Window, draw_cloud_plan
from tests.storm.faults import KINDS, even_cards, kinds_of
from tests.storm.people import LOCK_ACTIONS, actions_of
from tests.storm.spec import BASE, Spec

Step = dict[str, Any]
DAY_S = 86_400.0
FIRST_S = 400.0
SQUALLS = 24.0
FAULTS = (1, 6)  # of each house in a squall
SCANS = 5.6  # a device is missing from so many scans at least if it is missing for good, see `poll.offline_after_scans`

FLAVOURS = (
    "young", "young", "young", "young", "bare", "bare", "old", "ahead", "expired", "retained", "doubled", "again",
    "again_later", "contradicting", "forged", "forged", "flood", "by_id", "answered",
)  # fmt: skip
_FORGED = (
    "", "{", '{"action":"unlatch","state":"LOCK"}', "9" * 400, '{"action":["unlatch"]}', "open\x00", "UNLOCKED",
    '{"action":"factory_reset"}', '{"action":3.5}', "true", '{"action":"unlatch","ts":"yesterday"}',
)  # fmt: skip
INSISTS = 5  # how often somebody gives an order that has not come to what it is for
_GETS = (
    "{}", "now", '{"transaction":"g1"}', '{"force":true,"transaction":"g2"}', '{"force":true}', '{"force":"yes"}', "{",
)  # fmt: skip
_REQUESTS = (
    ("refresh", '{"bridge":"%s","transaction":1}'),
    ("refresh", "{}"),
    ("refresh", '{"bridge":"192.0.2.99"}'),
    ("callbacks", '{"bridge":"%s","transaction":"c1"}'),
    ("callbacks", '{"bridge":"%s"}'),
    ("callback_remove", '{"bridge":"%s","id":0,"url":"http://192.0.2.250/nobody"}'),
    ("callback_remove", '{"bridge":"%s","id":"0"}'),
    ("bridge_log", '{"bridge":"%s","count":5}'),
    ("diagnostics", "{}"),
    ("diagnostics", "please"),
    ("device_remove", '{"device":"nobody"}'),
    ("sync", "{}"),
    ("factory_reset", "{}"),
    ("diagnostics", "{"),
    ("refresh", "\x00\xff"),
)


def settle_s(spec: Spec) -> float:
    """How long after the last fault everything must be right: see docs/reliability.md."""
    found_s = 600.0 if spec.is_learnt else 0.0  # dead for three minutes, then searches, each minute at first
    return 60.0 + 2 * spec.list_s + 31.0 + found_s


def draw_plan(spec: Spec, days: float, squalls: float = SQUALLS, *, is_even: bool = False) -> list[Step]:
    """The steps of so many days with so many squalls a day, in order of time.

    `is_even`: what seldom changes anything comes more often, so that fewer squalls are enough for all.
    """
    author = _Author(spec, days, squalls, is_even=is_even)
    steps = author.write()
    if spec.has_cloud:
        steps = sorted([*steps, *draw_cloud_plan(spec, author.squalls)], key=lambda step: float(step["at"]))
    return steps


class _Author:
    def __init__(self, spec: Spec, days: float, squalls: float, *, is_even: bool) -> None:
        self._spec = spec
        self._is_even = is_even
        self._chance = Random(f"plan {spec.seed}")  # noqa: S311 - a seed is the point
        self._end = days * DAY_S
        self._between_s = DAY_S / squalls
        self._steps: list[Step] = []
        self._deck: list[str] = []
        self._devices = [name for name, _ in spec.make_devices()]
        self._ids = {name: f"{device.nuki_id:08X}" for name, device in spec.make_devices()}
        self._keys = 0
        self._faults = 0
        self.squalls: list[Window] = []

    def write(self) -> list[Step]:
        at, chance = FIRST_S, self._chance
        while at < self._end:
            # The more houses a gateway has, the more of what befalls all of them comes together.
            # Who moves is followed after minutes.
            lasts_s = chance.uniform(900, 2000) if self._spec.is_learnt else chance.uniform(120, 900)
            until = at + lasts_s * (1 + self._spec.flats / 6)
            self._squall(at, until)
            calm = settle_s(self._spec)
            self._steps.append({"at": until + calm, "do": "check"})
            at = until + calm
            at += chance.uniform(10, 2 * max(60.0, self._between_s - 510.0 - calm))
            self._steps.append({"at": min(at - 5.0, max(until + calm, self._end)), "do": "check"})
            if at < self._end:
                at += self._quiet_life(at)
        return sorted(self._steps, key=lambda step: float(step["at"]))

    def _quiet_life(self, at: float) -> float:
        """Now and then something ordinary, without any fault, or a device that nobody sees for long."""
        if self._chance.random() < 0.5:
            return 0.0
        if self._chance.random() < 0.25:
            return self._long_absence(at)
        self._life(at, at + 60)
        self._order(at + 5, self._chance.choice(["young", "bare", "retained"]))
        self._steps.append({"at": at + 60 + settle_s(self._spec), "do": "check"})
        return 70 + settle_s(self._spec)

    def _long_absence(self, at: float) -> float:
        """A device is missing from so many scans that it is told to be offline."""
        lasts_s = SCANS * self._spec.info_s + 60
        bridges, devices = self._chance.choice(self._spec.homes())
        device = self._chance.choice(devices)
        for bridge in bridges:
            self._faults += 1
            step = {"at": at, "do": "fault", "kind": "missing_from_scan", "bridge": bridge, "device": device}
            self._steps.append(step | {"for": lasts_s, "number": self._faults})
        self._steps.append({"at": at + lasts_s + settle_s(self._spec), "do": "check"})
        return lasts_s + settle_s(self._spec) + 5

    def _squall(self, begins: float, ends: float) -> None:
        self.squalls.append((begins, ends))
        chance = self._chance
        for _ in range(self._spec.houses):
            for _ in range(chance.randint(*FAULTS)):
                self._fault(begins, ends)
            for _ in range(chance.randint(1, 5)):
                self._order(chance.uniform(begins, ends - 30), chance.choice(FLAVOURS))
            for _ in range(chance.randint(1, 5)):
                self._life(begins, ends - 30)
            for _ in range(chance.randint(0, 1)):
                self._question(begins, ends - 30)

    def _fault(self, begins: float, ends: float) -> None:
        chance = self._chance
        if not self._deck:
            kinds = kinds_of(self._spec)
            cards = {name: even_cards(kind) if self._is_even else kind.cards for name, kind in kinds.items()}
            self._deck = [name for name in sorted(kinds) for _ in range(cards[name])]
            chance.shuffle(self._deck)
        kind = KINDS[self._deck.pop()]
        at = chance.uniform(begins, begins + (ends - begins) * 0.6)
        lasts_s = min(chance.uniform(*kind.lasts_s), ends - at)
        step = {"at": at, "do": "fault", "kind": kind.name, "for": lasts_s, **kind.draw(chance, self._spec)}
        home = step.pop("home", None) or self._devices
        self._faults += 1
        step["number"] = self._faults
        self._steps.append(step)
        # Something must be going on for the fault to bite.
        soon = at + min(lasts_s * 0.3, chance.uniform(0.3, 4))
        if kind.wants == "opening":
            self._order(soon, "young", self._opening(home))
        elif kind.wants == "order":
            device = step.get("device") or chance.choice(home)
            self._order(
                soon, chance.choice(["young", "young", "bare"]), (device, chance.choice(sorted(actions_of(device))))
            )
        elif kind.wants == "orders":
            self._insist(step, soon)
        elif kind.wants == "look":
            for after_s in (soon - at, lasts_s * 0.6):
                self._get(at + after_s, str(step["device"]), "{}", step["number"])
        elif kind.wants == "change":
            for _ in range(2):
                device = step.get("device", home[0])
                self._life(soon, min(ends - 20, at + lasts_s), str(device))

    def _insist(self, fault: Step, at: float) -> None:
        """Somebody tries until the fault has bitten: what else goes wrong meanwhile keeps many an order away."""
        chance, device = self._chance, str(fault["device"])
        ends = float(fault["at"]) + float(fault["for"])
        path = str(fault.get("path", fault.get("what", ""))).removeprefix("request ")
        for number in range(INSISTS):
            # With a clock that nobody trusts no `ts` opens anything, and with 3.1.1 nothing else does; `lock` goes.
            if number % 2:
                self._order(at, "bare", (device, "deactivate_rto" if device == "bell" else "lock"), fault["number"])
            else:
                self._order(at, "young", self._opening([device]), fault["number"])
            if path in {"/list", "/lockState"}:
                self._get(at + 1, device, '{"force":true}' if path == "/lockState" else "{}", fault["number"])
            elif path == "/callback/list":
                self._request(at + 1, "callbacks", "{}", fault["number"])
            at += chance.uniform(6, 10) + max(0.0, (ends - at) / (INSISTS + 2))
            if at > ends - 1:
                break

    def _opening(self, home: list[str]) -> tuple[str, str]:
        device = self._chance.choice(home)
        if device == "bell":
            return device, "electric_strike"
        if device == "front_door" and not self._spec.permit_unlatch:
            return device, "unlock"
        return device, self._chance.choice(["unlock", "unlatch"])

    # --- Orders -------------------------------------------------------------------------------------------------------

    def _order(self, at: float, flavour: str, what: tuple[str, str] | None = None, insists: int | None = None) -> None:
        chance = self._chance
        device = chance.choice(self._devices) if what is None else what[0]
        word = chance.choice(sorted(actions_of(device))) if what is None else what[1]
        step: Step = {"at": at, "do": "order", "device": device, "word": word, "flavour": flavour}
        if insists is not None:
            step["insists"] = insists
        if flavour != "bare":
            self._keys += 1
            step |= {"key": f"k{self._keys}", "ts_age_s": round(chance.uniform(0, 1), 2)}
        self._flavoured(step)

    def _flavoured(self, step: Step) -> None:
        chance, at = self._chance, float(step["at"])
        match step["flavour"]:
            case "bare":
                step["qos"] = chance.choice([0, 1])
            case "old":
                step["ts_age_s"] = chance.choice([15.0, 40.0, 300.0, 4000.0, 90000.0])
            case "ahead":
                step["ts_age_s"] = -chance.choice([20.0, 600.0, 3600.0])
            case "expired":
                step |= {"expiry_s": chance.choice([2, 5]), "ts_age_s": None}
            case "retained":
                step["retain"] = True
                if chance.random() < 0.5:
                    step["ts_age_s"] = None
            case "doubled":
                step["again_after_s"] = [chance.choice([0.0, 0.01, 0.5, 2.0])]
            case "again":
                step["again_after_s"] = [chance.uniform(3, 60), chance.uniform(60, 300)]
            case "again_later":
                step |= {"again_after_s": [chance.uniform(10, 200)], "is_fresh": True}
            case "contradicting":
                others = [word for word in actions_of(step["device"]) if word != step["word"]]
                for _ in range(chance.randint(1, 3)):
                    self._order(
                        at + chance.choice([0.0, 0.2, 1.0, 3.0]), "young", (step["device"], chance.choice(others))
                    )
            case "forged":
                step |= {"raw": chance.choice(_FORGED), "is_valid": False}
            case "flood":
                for number in range(30):
                    self._order(at + number * 0.03, "young", (step["device"], step["word"]))
            case "by_id":
                step["address"] = self._ids[step["device"]]
            case "answered":
                step["wants_response"] = True
        if step["device"] != "bell" and step["word"] == "unlatch" and "raw" not in step and chance.random() < 0.2:
            step |= {"word": "open", "means": "unlatch"}
        assert step.get("means", step["word"]) in {*LOCK_ACTIONS, *actions_of("bell")}
        self._steps.append(step)

    def _get(self, at: float, device: str, payload: str, insists: int | None = None) -> None:
        self._say(at, f"{BASE}/{device}/get", payload, insists)

    def _request(self, at: float, verb: str, payload: str, insists: int | None = None) -> None:
        self._say(at, f"{BASE}/gateway/request/{verb}", payload, insists)

    def _say(self, at: float, topic: str, payload: str, insists: int | None) -> None:
        step: Step = {"at": at, "do": "say", "topic": topic, "payload": payload, "qos": 1}
        if insists is not None:
            step["insists"] = insists
        self._steps.append(step)

    def _question(self, begins: float, ends: float) -> None:
        """Somebody wants to see a device anew, or asks the gateway itself; now and then retained, now and then odd."""
        chance, at = self._chance, self._chance.uniform(begins, ends)
        if chance.random() < 0.5:
            device = chance.choice(self._devices)
            self._get(at, chance.choice([device, device, device, self._ids[device], "nobody"]), chance.choice(_GETS))
        else:
            verb, payload = chance.choice(_REQUESTS)
            payload = payload.replace("%s", self._spec.bridge_host(chance.randrange(self._spec.bridges)))
            self._request(at, verb, payload)
        self._steps[-1] |= {"qos": chance.choice([0, 1, 1]), "retain": chance.random() < 0.15}

    # --- Life ---------------------------------------------------------------------------------------------------------

    def _life(self, begins: float, ends: float, device: str | None = None) -> None:
        chance = self._chance
        device = device or chance.choice(self._devices)
        step: Step = {"at": chance.uniform(begins, max(begins, ends)), "device": device}
        if device == "bell":
            kind = chance.choice(["ring", "ring", "ring", "mode"])
            step |= {"do": kind, "code": chance.choice([2, 3])} if kind == "mode" else {"do": kind}
        elif device != "back_door" and chance.random() < 0.4:
            step |= {"do": "door", "code": chance.choice([2, 3])}
        elif chance.random() < 0.1:
            level = chance.choice([90, 60, 20])
            step |= {"do": "battery", "level": level, "critical": level == 20}
        else:
            step |= {"do": "turn", "code": chance.choice([1, 3])}
        self._steps.append(step)
