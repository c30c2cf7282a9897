"""What happens in the cloud and at its keypads, drawn by chance of its own: the plan of the houses stays what it was.

It goes into the same squalls. At the end there are two days of peace, since keypad codes are made true with patience.
"""

from random import Random
from typing import Any

from tests.storm.cloud_faults import cloud_kinds
from tests.storm.spec import Spec

Step = dict[str, Any]
Window = tuple[float, float]
FAULTS, ORDERS, VISITS = (1, 4), (2, 6), (1, 4)
PEACE_S = 48 * 3600.0
FIRST_NUMBER = 1_000_000  # of faults: those of the houses have theirs

NAMES = ("Anna", "Ben", "Chr", "cleaner", "M\u00fcller", "Post 7")
CODES = ("839275", "746913", "594836", "381947", "657284", "918273", "472918", "583719", "926374", "648153", "735926")
SCHEDULES = (
    {"weekdays": ["mon", "wed", "fri"], "daily": {"from": "08:00", "until": "18:05"}},
    {"from": "2026-12-01T08:00:00+00:00", "until": "2027-12-24T23:00:00+00:00"},
    {"until": "2027-06-30T12:00:00+00:00", "weekdays": ["sat", "sun"]},
    {"daily": {"from": "22:00", "until": "23:30"}},
    None,
)
_BAD: tuple[Step, ...] = (
    {"op": "create", "name": "Bad", "code": "123456"},
    {"op": "create", "name": "Bad", "code": "102030"},
    {"op": "create", "name": "Bad", "code": "83927"},
    {"op": "create", "name": "far too long a name for it", "code": "839275"},
    {"op": "create", "name": "Bad 839275", "code": "839275"},
    {"op": "create", "name": "Bad", "code": "839275", "schedule": {"until": "2021-01-01T00:00:00Z"}},
    {"op": "create", "name": "Bad", "code": "839275", "schedule": {"daily": {"from": "22:00", "until": "06:00"}}},
    {"op": "create", "name": "Bad", "code": "839275", "schedule": {"weekdays": []}},
    {"op": "create", "name": "Bad"},
    {"op": "delete", "name": "nobody"},
    {"op": "delete", "name": "Owner's son"},
    {"op": "update", "name": "Owner's son", "code": "594836"},
    {"op": "explode", "raw": '{"op":"explode","name":"Anna","transaction":"%k"}'},
    {"op": "create", "raw": '{"op":"create","name":"Bad","code":"839275","untill":"2027-01-01","transaction":"%k"}'},
    {"op": "create", "raw": '{"op":"create","name":"Bad","code":["839275"],"transaction":"%k"}'},
    {"op": "create", "raw": '{"op":"create","name":"Bad","code":"839275"'},
    {"op": "create", "raw": ""},
)  # fmt: skip
_FLAVOURS = ("plain", "plain", "plain", "plain", "doubled", "again", "again_later", "retained", "bad", "burst", "by_id")


def draw_cloud_plan(spec: Spec, windows: list[Window]) -> list[Step]:
    """The steps, in no order; `windows` are the squalls of the houses, from and until."""
    return _CloudAuthor(spec).write(windows)


class _CloudAuthor:
    def __init__(self, spec: Spec) -> None:
        self._chance = Random(f"cloud plan {spec.seed}")  # noqa: S311 - a seed is the point
        self._steps: list[Step] = []
        self._deck: list[str] = []
        self._keys = 0
        self._faults = FIRST_NUMBER
        own = [name for name, device in spec.make_devices() if device.device_type != 2]
        self._wifi = [name for name, _ in spec.make_wifi_locks()]
        self._keypads = own + self._wifi

    def write(self, windows: list[Window]) -> list[Step]:
        chance = self._chance
        for begins, ends in windows:
            soon = begins + (ends - begins) * 0.7
            for _ in range(chance.randint(*FAULTS)):
                self._fault(begins, ends)
            for _ in range(chance.randint(*ORDERS)):
                self._order(chance.uniform(begins, ends - 40))
            for _ in range(chance.randint(*VISITS)):
                self._visit(chance.uniform(begins, soon))
            if self._wifi:
                self._command(chance.uniform(begins, ends - 40))
            if chance.random() < 0.5:  # and something when all is well
                self._order(ends + chance.uniform(1, 60))
        if windows:
            end = windows[-1][1]
            self._steps += [{"at": end + PEACE_S * part, "do": "check"} for part in (0.1, 0.5, 1.0)]
        return self._steps

    # --- Faults -------------------------------------------------------------------------------------------------------

    def _fault(self, begins: float, ends: float) -> None:
        chance, kinds = self._chance, cloud_kinds()
        if not self._deck:
            self._deck = [name for name in sorted(kinds) for _ in range(kinds[name].cards)]
            chance.shuffle(self._deck)
        kind = kinds[self._deck.pop()]
        at = chance.uniform(begins, begins + (ends - begins) * 0.6)
        lasts_s = min(chance.uniform(*kind.lasts_s), ends - at)
        device = chance.choice(self._keypads)
        self._faults += 1
        step = {"at": at, "do": "fault", "kind": kind.name, "for": lasts_s, "number": self._faults, "device": device}
        self._steps.append(step | {"dice": chance.random(), "which": chance.randrange(1000)})
        for _ in range(chance.randint(0, 2) if kind.wants is None else 2):
            soon = at + chance.uniform(0.2, max(0.3, lasts_s * 0.8))
            if kind.wants == "visit":
                self._visit(soon, device)
            else:
                self._order(soon, device)

    # --- Codes --------------------------------------------------------------------------------------------------------

    def _order(self, at: float, device: str | None = None, flavour: str | None = None) -> None:
        chance = self._chance
        flavour = chance.choice(_FLAVOURS) if flavour is None else flavour
        self._keys += 1
        device = chance.choice(self._keypads) if device is None else device
        step: Step = {"at": at, "do": "code", "device": device, "key": f"c{self._keys}"}
        if flavour == "bad":
            self._steps.append(step | chance.choice(_BAD) | {"is_valid": False})
            return
        step |= self._wish()
        match flavour:
            case "doubled":
                step["again_after_s"] = [chance.choice([0.0, 0.05, 1.0, 4.0])]
            case "again":
                step["again_after_s"] = [chance.uniform(4, 90)]
            case "again_later":
                step["again_after_s"] = [chance.uniform(90, 900)]
            case "retained":
                step["retain"] = True
            case "by_id":
                step["by_id"] = True
            case "burst":
                for _ in range(chance.randint(1, 4)):
                    self._order(at + chance.uniform(0, 20), device, "plain")
        self._steps.append(step)

    def _wish(self) -> Step:
        chance = self._chance
        op = chance.choice(["create", "create", "create", "update", "update", "delete", "enable", "disable"])
        step: Step = {"op": op, "name": chance.choice(NAMES)}
        if op == "create":
            step["code"] = chance.choice(CODES)
            if chance.random() < 0.2:
                step["enabled"] = False
            if chance.random() < 0.4:
                step["schedule"] = chance.choice(SCHEDULES)
            elif chance.random() < 0.15:
                step["life_s"] = chance.choice([600, 7200, 400_000])
            elif chance.random() < 0.15:
                step["once"] = True
        elif op == "update":
            parts = chance.sample(["code", "schedule", "enabled", "new_name"], chance.randint(1, 3))
            values = {
                "code": chance.choice(CODES),
                "schedule": chance.choice(SCHEDULES),
                "enabled": chance.random() < 0.5,
                "new_name": chance.choice(NAMES),
            }
            step |= {part: values[part] for part in parts}
        return step

    # --- People at the doors ------------------------------------------------------------------------------------------

    def _visit(self, at: float, device: str | None = None) -> None:
        chance = self._chance
        device = chance.choice(self._keypads) if device is None else device
        who = chance.choice(["code", "code", "wrong_code", "app", "app", "button", "auto_lock", "hand"])
        step = {"at": at, "do": "visit", "device": device, "by": who, "which": chance.randrange(1000)}
        self._steps.append(step | {"action": chance.choice([1, 1, 2, 3])})
        if chance.random() < 0.3:  # and somebody else soon after
            self._visit(at + chance.choice([2.0, 6.0, 14.0, 40.0, 80.0]), device)

    def _command(self, at: float) -> None:
        chance = self._chance
        self._keys += 1
        word = chance.choice(["unlock", "lock", "unlatch", "lock", "lock_n_go"])
        step: Step = {"at": at, "do": "order", "device": chance.choice(self._wifi), "word": word, "flavour": "young"}
        step |= {"key": f"w{self._keys}", "ts_age_s": round(chance.uniform(0, 1), 2)}
        self._steps.append(step)
        if chance.random() < 0.5:
            self._keys += 1
            after_s = chance.choice([0.1, 1.0, 5.0, 30.0, 70.0, 130.0])
            self._steps.append({**step, "at": at + after_s, "key": f"w{self._keys}"})
