"""Everything that can go wrong, by name: each fault begins, ends, and says how often it changed something.

A new part joins by a function of its own under `@fault`: it begins the fault, gives what ends it, and calls
`episode.hit()` (or lets a simulated Bridge count) whenever a request, a callback, a message or a start went otherwise
than it would have gone without.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from nuki2mqtt.simulator.faults import Fault, FaultName, Faults
from nuki2mqtt.simulator.house import MOTOR_BLOCKED, SimulatedDevice, SimulatedLock, Timing
from nuki2mqtt.simulator.web_faults import CloudFault
from tests.storm.broker import Packet
from tests.storm.spec import BASE, DOOR_PORT, Spec

if TYPE_CHECKING:
    from tests.storm.stage import Stage

Step = dict[str, Any]
OTHER_GONE_S = 180.0  # until a gateway that was heard of does not count any more (docs/topics.md, "One gateway")
End = Callable[[], None]
CONNECT_S = 5.0  # until connecting is given up
Begin = Callable[["Stage", Step, "Episode"], End]
Draw = Callable[[Random, Spec], Step]


class Episode:
    """One fault from its beginning to its end; `hits` is how often it changed something."""

    def __init__(self, kind: str, began: float) -> None:
        self.kind = kind
        self.began = began
        self._hits = 0
        self._counted: list[Fault | CloudFault] = []

    @property
    def hits(self) -> int:
        """So far; some kinds count at their end."""
        return self._hits + sum(one.hits for one in self._counted)

    def hit(self, times: int = 1) -> None:
        """It changed something."""
        self._hits += times

    def count(self, one: Fault | CloudFault) -> None:
        """What a simulated Bridge, or the cloud, counts for this fault is a hit."""
        self._counted.append(one)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault: how long it lasts, what else it draws, what begins it.

    `wants`: what makes it bite, put into the same time by the plan: an "order", an "opening" one, a "change" at a door;
    "orders": somebody insists until it has bitten; a "look": a `get`. `cards`: how often it is in the deck.
    """

    name: str
    begin: Begin
    lasts_s: tuple[float, float]
    draw: Draw
    wants: str | None
    cards: int
    is_of_learnt: bool = False
    is_of_cloud: bool = False


KINDS: dict[str, Kind] = {}
# A paired Bridge is followed elsewhere, and may not be met by a stranger who has taken over its old address.
_NOT_OF_LEARNT = frozenset({"stranger_at_address"})


def kinds_of(spec: Spec) -> dict[str, Kind]:
    """The kinds that can befall such a gateway, but for those of the cloud."""
    local = {name: kind for name, kind in KINDS.items() if not kind.is_of_cloud}
    if not spec.is_learnt:
        return {name: kind for name, kind in local.items() if not kind.is_of_learnt}
    return {name: kind for name, kind in local.items() if name not in _NOT_OF_LEARNT}


# Of 100 such faults so many change something, as long storms have shown; of the others 95 or more do.
_BITES = {
    "acts_and_breaks_off": 84,
    "acts_and_is_silent": 87,
    "acts_and_says_busy": 82,
    "answers_garbage": 91,
    "broker_emptied": 86,
    "broker_gone": 87,
    "busy": 90,
    "callback_forged": 79,
    "callbacks_doubled": 82,
    "callbacks_late": 81,
    "callbacks_lost": 86,
    "callbacks_reordered": 83,
    "dark": 89,
    "disk_full": 93,
    "disk_slow": 81,
    "hogged": 88,
    "home_assistant_restarted": 83,
    "killed": 94,
    "killed_at": 79,
    "line_cut": 94,
    "line_stalled": 82,
    "loses_orders": 79,
    "missing_from_scan": 86,
    "motor_jams": 81,
    "no_last_known_state": 93,
    "refuses_orders": 79,
    "refuses_the_token": 93,
    "resetting": 90,
    "second_gateway": 93,
    "silent": 92,
    "slow": 90,
    "standing_still": 66,
    "stranger_at_address": 94,
    "stuck_state": 79,
    "unreachable_device": 94,
    "words_lost": 79,
}


def even_cards(kind: Kind) -> int:
    """How often it is in a deck of which every kind bites about as often as every other one."""
    return round(kind.cards * 1000 / _BITES.get(kind.name, 97))


def _draw_nothing(_chance: Random, _spec: Spec) -> Step:
    return {}


def _draw_bridge(chance: Random, spec: Spec) -> Step:
    bridges, devices = chance.choice(spec.homes())
    return {"bridge": chance.choice(bridges), "home": devices}


def _draw_device(chance: Random, spec: Spec) -> Step:
    drawn = _draw_bridge(chance, spec)
    return {**drawn, "device": chance.choice(drawn["home"])}


def _draw_ordered(chance: Random, spec: Spec) -> Step:
    """The Bridge that hears its devices best gets their orders."""
    bridges, devices = chance.choice(spec.homes())
    return {"bridge": bridges[0], "home": devices, "device": chance.choice(devices)}


def fault(
    lasts_s: tuple[float, float],
    *,
    draw: Draw = _draw_nothing,
    wants: str | None = None,
    cards: int = 1,
    is_of_learnt: bool = False,
) -> Callable[[Begin], Begin]:
    """Register a kind of fault under the name of its function."""

    def register(begin: Begin) -> Begin:
        KINDS[begin.__name__] = Kind(begin.__name__, begin, lasts_s, draw, wants, cards, is_of_learnt)
        return begin

    return register


def cloud_fault(lasts_s: tuple[float, float], *, wants: str | None = None, cards: int = 1) -> Callable[[Begin], Begin]:
    """Register a kind of fault of the cloud; `wants`: an order for a "code", or a "visit" at a door."""

    def register(begin: Begin) -> Begin:
        name = begin.__name__
        KINDS[name] = Kind(name, begin, lasts_s, _draw_nothing, wants, cards, is_of_cloud=True)
        return begin

    return register


# --- A Bridge -----------------------------------------------------------------------------------------------------


def _at_bridge(stage: "Stage", step: Step, episode: Episode, make: Callable[[Faults], Fault]) -> End:
    one = make(stage.bridge(step).faults).begin()
    episode.count(one)
    return one.end


def _id_of(stage: "Stage", step: Step) -> int:
    return stage.world.devices[step["device"]].nuki_id


@fault((20, 150), draw=_draw_ordered, wants="orders")
def busy(stage: "Stage", step: Step, episode: Episode) -> End:
    """503 to everything."""
    return _at_bridge(stage, step, episode, lambda faults: faults.busy())


@fault((20, 150), draw=_draw_ordered, wants="orders")
def silent(stage: "Stage", step: Step, episode: Episode) -> End:
    """Connections are taken, answers never come."""
    return _at_bridge(stage, step, episode, lambda faults: faults.silent())


@fault((15, 240), draw=_draw_ordered, wants="orders")
def refusing(stage: "Stage", step: Step, episode: Episode) -> End:
    """Nobody listens at the Bridge's port."""
    return _at_bridge(stage, step, episode, lambda faults: faults.refuse_connections())


@fault((15, 120), draw=_draw_ordered, wants="orders")
def resetting(stage: "Stage", step: Step, episode: Episode) -> End:
    """Connections are broken without an answer."""
    return _at_bridge(stage, step, episode, lambda faults: faults.reset_connections())


@fault((40, 150), draw=_draw_ordered, wants="orders")
def acts_and_is_silent(stage: "Stage", step: Step, episode: Episode) -> End:
    """An order is obeyed and never answered."""
    return _at_bridge(stage, step, episode, lambda faults: faults.silent("/lockAction", acts=True))


@fault((40, 150), draw=_draw_ordered, wants="orders")
def acts_and_says_busy(stage: "Stage", step: Step, episode: Episode) -> End:
    """An order is obeyed and answered with 503."""
    return _at_bridge(stage, step, episode, lambda faults: faults.busy("/lockAction", acts=True))


@fault((40, 150), draw=_draw_ordered, wants="orders")
def acts_and_breaks_off(stage: "Stage", step: Step, episode: Episode) -> End:
    """An order is obeyed and the connection broken."""
    return _at_bridge(stage, step, episode, lambda faults: faults.reset_connections("/lockAction", acts=True))


@fault((40, 150), draw=_draw_ordered, wants="orders")
def refuses_orders(stage: "Stage", step: Step, episode: Episode) -> End:
    """An order is not obeyed and answered with 503."""
    return _at_bridge(stage, step, episode, lambda faults: faults.busy("/lockAction"))


@fault((40, 200), draw=_draw_ordered, wants="orders")
def loses_orders(stage: "Stage", step: Step, episode: Episode) -> End:
    """Orders are answered with success, and nothing moves."""
    return _at_bridge(stage, step, episode, lambda faults: faults.lost_orders(_id_of(stage, step)))


@fault((30, 200), draw=_draw_ordered, wants="orders")
def refuses_the_token(stage: "Stage", step: Step, episode: Episode) -> End:
    """401 to everything."""
    return _at_bridge(stage, step, episode, lambda faults: faults.refuse_token())


_GARBAGE = ("", "<html><body>502 Bad Gateway</body></html>", "[", "null", "[[]]", '{"success": "yes"}', "\x00\xff")


def _draw_garbage(chance: Random, spec: Spec) -> Step:
    paths = ["/list", "/list", "/list", "/info", "/lockAction", "/lockAction", "/lockState", "/callback/list"]
    return {**_draw_ordered(chance, spec), "path": chance.choice(paths), "body": chance.choice(_GARBAGE)}


@fault((60, 400), draw=_draw_garbage, wants="orders")
def answers_garbage(stage: "Stage", step: Step, episode: Episode) -> End:
    """One endpoint does its work and answers something else."""
    body = str(step["body"]).encode("latin-1")
    return _at_bridge(stage, step, episode, lambda faults: faults.garbage(step["path"], body))


@fault((60, 500), draw=_draw_device, wants="change")
def frozen_cache(stage: "Stage", step: Step, episode: Episode) -> End:
    """`/list` does not follow the device."""
    return _at_bridge(stage, step, episode, lambda faults: faults.frozen_cache(_id_of(stage, step)))


def _draw_stuck(chance: Random, spec: Spec) -> Step:
    return {**_draw_device(chance, spec), "code": chance.choice([1, 3, 4, 2])}


@fault((60, 500), draw=_draw_stuck, wants="look")
def stuck_state(stage: "Stage", step: Step, episode: Episode) -> End:
    """`/list` shows a state that the device does not have, until it is read directly."""
    code = int(step["code"]) if step["device"] != "bell" else 7
    return _at_bridge(stage, step, episode, lambda faults: faults.stuck_state(_id_of(stage, step), code))


@fault((60, 500), draw=_draw_device, wants="look")
def no_last_known_state(stage: "Stage", step: Step, episode: Episode) -> End:
    """`/list` has no state of the device."""
    return _at_bridge(stage, step, episode, lambda faults: faults.no_last_known_state(_id_of(stage, step)))


@fault((20, 600), draw=_draw_device, wants="order")
def unreachable_device(stage: "Stage", step: Step, episode: Episode) -> End:
    """The radio does not reach the device."""
    return _at_bridge(stage, step, episode, lambda faults: faults.unreachable(_id_of(stage, step)))


@fault((300, 900), draw=_draw_device)
def missing_from_scan(stage: "Stage", step: Step, episode: Episode) -> End:
    """The device is not among the scan results."""
    return _at_bridge(stage, step, episode, lambda faults: faults.missing_from_scan(_id_of(stage, step)))


def _draw_reboot(chance: Random, spec: Spec) -> Step:
    forgets = {"lose_states": chance.random() < 0.5, "lose_callbacks": chance.random() < 0.4}
    return {**_draw_bridge(chance, spec), **forgets}


@fault((10, 60), draw=_draw_reboot)
def reboot(stage: "Stage", step: Step, episode: Episode) -> End:
    """The Bridge boots, and may have forgotten its callbacks and what it knew of the devices."""
    episode.hit()
    lose_states, lose_callbacks = bool(step["lose_states"]), bool(step["lose_callbacks"])
    one = stage.bridge(step).faults.reboot(lose_states=lose_states, lose_callbacks=lose_callbacks).begin()
    return one.end


def _draw_skew(chance: Random, spec: Spec) -> Step:
    return {**_draw_bridge(chance, spec), "seconds": chance.choice([-3600, -300, -90, -40, 40, 90, 300, 3600])}


@fault((120, 600), draw=_draw_skew, wants="order")
def bridge_clock_wrong(stage: "Stage", step: Step, episode: Episode) -> End:
    """The Bridge's clock is ahead or behind."""
    bridge, before = stage.bridge(step), len(stage.world.wire.calls)
    one = bridge.faults.clock_skew(float(step["seconds"])).begin()

    def end() -> None:
        episode.hit(sum(1 for call in stage.world.wire.calls[before:] if call.bridge is bridge))
        one.end()

    return end


def _draw_slow(chance: Random, spec: Spec) -> Step:
    return {**_draw_bridge(chance, spec), "seconds": chance.choice([2.0, 6.0, 14.0, 20.0, 40.0, 70.0])}


@fault((30, 300), draw=_draw_slow, wants="order")
def slow(stage: "Stage", step: Step, episode: Episode) -> End:
    """The Bridge takes its time for everything."""
    bridge, before = stage.bridge(step), len(stage.world.wire.calls)
    seconds = float(step["seconds"])
    timing = Timing(answer_s=seconds, read_s=2.0 + seconds, accept_s=min(seconds, 65.0))
    release = stage.hold(bridge, "timing", timing)

    def end() -> None:
        episode.hit(sum(1 for call in stage.world.wire.calls[before:] if call.bridge is bridge))
        release()

    return end


def _draw_slots(chance: Random, spec: Spec) -> Step:
    return {**_draw_bridge(chance, spec), "count": chance.choice([2, 3, 3])}


@fault((120, 900), draw=_draw_slots)
def slots_taken(stage: "Stage", step: Step, episode: Episode) -> End:
    """Strangers take callback slots, ours too."""
    bridge = stage.bridge(step)
    had = _own_slots(stage, step)
    one = bridge.faults.slots_taken(int(step["count"])).begin()
    if had != _own_slots(stage, step) or None not in bridge.callbacks.slots:
        episode.hit()
    return one.end


def _own_slots(stage: "Stage", step: Step) -> int:
    return sum(1 for url in stage.bridge(step).callbacks.slots if url is not None and f":{DOOR_PORT}/callback/" in url)


@fault((40, 120), draw=_draw_ordered, wants="orders")
def hogged(stage: "Stage", step: Step, episode: Episode) -> End:
    """Another program asks the Bridge all the time, which then has 503 for us."""
    world, bridge = stage.world, stage.bridge(step)
    is_on = [True]
    query = {"token": bridge.tokens.token}

    def ask() -> None:
        if is_on[0]:
            bridge.answer("/callback/list", query, world.now)
            world.later(0.07, ask)

    def note() -> None:
        if not any(one.name is FaultName.BUSY for one in bridge.faults.active):
            episode.hit()

    forget = world.listen(f"busy {world.host_of(bridge)}", note)
    ask()

    def end() -> None:
        is_on[0] = False
        forget()

    return end


@fault((30, 400), draw=_draw_bridge, wants="order")
def dark(stage: "Stage", step: Step, episode: Episode) -> End:
    """The Bridge has left its address: packets come back from nobody, and none arrives from there."""
    world, host = stage.world, stage.world.spec.bridge_host(int(step["bridge"]))
    world.dark[host] += 1
    forget = world.listen(f"dark {host} for main", episode.hit)

    def end() -> None:
        forget()
        world.dark[host] -= 1

    return end


@fault((60, 500), draw=_draw_bridge, wants="opening")
def stranger_at_address(stage: "Stage", step: Step, episode: Episode) -> End:
    """Our Bridge leaves its address, and when that was noticed another one has it, which would take our token."""
    world, host = stage.world, stage.world.spec.bridge_host(int(step["bridge"]))
    own, stranger = stage.bridge(step), stage.make_stranger(int(step["bridge"]))
    state = ["gone"]

    def notice() -> None:
        if state[0] == "gone":
            state[0] = "noticed"
            world.later(CONNECT_S + 1.0, move_in)

    def move_in() -> None:
        if state[0] == "noticed":
            state[0] = "stranger"
            world.dark[host] -= 1
            world.at_address[host] = stranger

    # Between a request that was answered and the next one nobody can tell that another Bridge has moved in.
    world.dark[host] += 1
    forget = world.listen(f"dark {host} for main", notice)

    def end() -> None:
        forget()
        episode.hit(len(stranger.requests))
        if state[0] != "stranger":
            world.dark[host] -= 1
        elif world.at_address[host] is stranger:
            world.at_address[host] = own
        state[0] = "over"
        if stranger.requests:
            # The contact has ended until a person does something (docs/architecture.md, "Whom we talk to").
            world.main.kill()
            world.main.start()

    return end


@fault((500, 1500), draw=_draw_bridge, wants="order", cards=3, is_of_learnt=True)
def moved(stage: "Stage", step: Step, episode: Episode) -> End:
    """The router gives the Bridge another address, where it announces itself, and later its former one again."""
    world, number = stage.world, int(step["bridge"])
    own, home, place = world.bridges[number], world.spec.bridge_host(number), world.spec.moved_bridge_host(number)
    if world.places[number] != home:
        return _nothing
    before = len(world.wire.calls)

    def go(old: str, new: str) -> None:
        world.at_address.pop(old, None)
        world.at_address[new] = own
        world.places[number] = new

    def end() -> None:
        episode.hit(sum(1 for call in world.wire.calls[before:] if call.host == place and call.bridge is own))
        go(place, home)

    go(home, place)
    return end


def _draw_rogue(chance: Random, spec: Spec) -> Step:
    return {**_draw_bridge(chance, spec), "silences": chance.random() < 0.6}


@fault((400, 1100), draw=_draw_rogue, wants="order", cards=2, is_of_learnt=True)
def rogue_announcer(stage: "Stage", step: Step, episode: Episode) -> End:
    """Something announces itself by the ID of our Bridge, and answers as one, having silenced ours or not.

    Somebody searches meanwhile.
    """
    world, number = stage.world, int(step["bridge"])
    host, silenced = world.spec.rogue_host(number), world.places[number]
    if host in world.at_address:
        return _nothing
    world.dark[silenced] += bool(step["silences"])
    world.at_address[host] = stage.make_stranger(number)
    world.rogues[host] = number
    ask = Packet(f"{BASE}/gateway/request/find", b"{}", 1)
    world.later(1.0, lambda: stage.people.client.publish(ask))

    forget = world.listen(f"found {host}", episode.hit)

    def end() -> None:
        forget()
        world.dark[silenced] -= bool(step["silences"])
        del world.at_address[host], world.rogues[host]

    return end


@fault((100, 900), draw=_draw_bridge, wants="order", cards=2, is_of_learnt=True)
def token_mode_gone(stage: "Stage", step: Step, episode: Episode) -> End:
    """The Bridge takes hashed and plain tokens only, as one of an older firmware; then encrypted ones again."""
    tokens, before = stage.bridge(step).tokens, len(stage.world.wire.calls)
    bridge = stage.bridge(step)
    release = stage.hold(tokens, "modes", frozenset({"hashed", "plain"}))

    def end() -> None:
        calls = (call for call in stage.world.wire.calls[before:] if call.bridge is bridge and call.answer is not None)
        episode.hit(sum(1 for call in calls if call.answer is not None and call.answer.status == 401))
        release()

    return end


# --- Callbacks ----------------------------------------------------------------------------------------------------


def _on_the_way(stage: "Stage", step: Step, change: Callable[[list[float]], list[float]]) -> End:
    bridge, rules = stage.bridge(step), stage.world.callback_rules

    def rule(sender: object, delays_s: list[float]) -> list[float]:
        return change(delays_s) if sender is bridge else delays_s

    rules.append(rule)
    return lambda: rules.remove(rule)


@fault((30, 500), draw=_draw_bridge, wants="change")
def callbacks_lost(stage: "Stage", step: Step, episode: Episode) -> End:
    """Callbacks get lost on their way."""

    def lose(delays_s: list[float]) -> list[float]:
        episode.hit(len(delays_s))
        return []

    return _on_the_way(stage, step, lose)


def _draw_late(chance: Random, spec: Spec) -> Step:
    return {**_draw_bridge(chance, spec), "seconds": chance.choice([3.0, 8.0, 25.0, 70.0])}


@fault((30, 400), draw=_draw_late, wants="change")
def callbacks_late(stage: "Stage", step: Step, episode: Episode) -> End:
    """Callbacks come late; none comes after the fault has ended."""
    ends, seconds = stage.world.now + float(step["for"]), float(step["seconds"])

    def delay(delays_s: list[float]) -> list[float]:
        episode.hit(len(delays_s))
        left_s = max(0.0, ends - stage.world.now)
        return [min(delay_s + seconds, max(delay_s, left_s)) for delay_s in delays_s]

    return _on_the_way(stage, step, delay)


@fault((30, 500), draw=_draw_bridge, wants="change")
def callbacks_doubled(stage: "Stage", step: Step, episode: Episode) -> End:
    """Callbacks come twice."""

    def double(delays_s: list[float]) -> list[float]:
        episode.hit(len(delays_s))
        return [*delays_s, *(delay_s + 1.5 for delay_s in delays_s)]

    return _on_the_way(stage, step, double)


@fault((30, 400), draw=_draw_bridge, wants="change")
def callbacks_reordered(stage: "Stage", step: Step, episode: Episode) -> End:
    """Every other callback is overtaken by the next one."""
    ends, count = stage.world.now + float(step["for"]), [0]

    def shuffle(delays_s: list[float]) -> list[float]:
        count[0] += 1
        if count[0] % 2 == 0:
            return delays_s
        episode.hit(len(delays_s))
        left_s = max(0.0, ends - stage.world.now)
        return [min(delay_s + 9.0, max(delay_s, left_s)) for delay_s in delays_s]

    return _on_the_way(stage, step, shuffle)


_AGAIN_S = 12.0


def _draw_forged(chance: Random, spec: Spec) -> Step:
    sender = chance.choice(["bridge", "neighbour", "elsewhere"])
    return {**_draw_device(chance, spec), "sender": sender, "code": chance.choice([1, 3, 3, 254])}


@fault((30, 240), draw=_draw_forged)
def callback_forged(stage: "Stage", step: Step, episode: Episode) -> End:
    """Somebody who knows the path tells a state that is not so, until he is believed, by another address if need be."""

    def forge() -> bool:
        is_believed = stage.forge(step)
        step["sender"] = "bridge"
        return is_believed

    step = dict(step)
    return _until_done(stage, episode, forge)


def _until_done(stage: "Stage", episode: Episode, do: Callable[[], bool]) -> End:
    """Try now and again until it was done once."""
    is_on = [True]

    def attempt() -> None:
        if is_on[0] and do():
            episode.hit()
        elif is_on[0]:
            stage.world.later(_AGAIN_S, attempt)

    def end() -> None:
        is_on[0] = False

    attempt()
    return end


def _nothing() -> None:
    """It has no end of its own."""


# --- The broker and its clients -----------------------------------------------------------------------------------


def _count_connected(stage: "Stage", episode: Episode) -> None:
    if stage.is_connected:
        episode.hit()


@fault((1, 60), wants="change")
def broker_gone(stage: "Stage", _step: Step, episode: Episode) -> End:
    """The broker is down and comes back as it was."""
    _count_connected(stage, episode)
    return stage.stop_broker(keeps=True)


@fault((1, 60), wants="change")
def broker_emptied(stage: "Stage", _step: Step, episode: Episode) -> End:
    """The broker comes back having forgotten everything."""
    _count_connected(stage, episode)
    return stage.stop_broker(keeps=False)


@fault((1, 60), wants="opening")
def line_cut(stage: "Stage", _step: Step, episode: Episode) -> End:
    """The connection to the broker breaks, once, as soon as there is one."""

    def cut() -> bool:
        line = stage.line
        if line is not None:
            line.cut()
        return line is not None

    return _until_done(stage, episode, cut)


def _draw_stall(chance: Random, _spec: Spec) -> Step:
    return {"in_pipe": chance.random() < 0.5}


@fault((2, 30), draw=_draw_stall, wants="order")
def line_stalled(stage: "Stage", step: Step, episode: Episode) -> End:
    """Nothing comes through from the broker for a while, without a sign of it."""
    line = stage.line
    if line is None:
        return _nothing
    episode.hit()
    line.stall()
    stage.line_stalls += 1
    stage.stalled_lines.append((stage.world.now, stage.world.now + float(step["for"])))

    def end() -> None:
        stage.line_stalls -= 1
        if line.is_open:
            line.resume(in_pipe=bool(step["in_pipe"]))

    return end


@fault((5, 25), draw=_draw_ordered, wants="orders")
def words_lost(stage: "Stage", _step: Step, episode: Episode) -> End:
    """The line swallows what we say for a while, without a sign of it, and breaks then."""
    line = stage.line
    if line is None:
        return _nothing
    line.swallow(episode.hit)
    stage.line_stalls += 1

    def end() -> None:
        stage.line_stalls -= 1
        if line.is_open:
            line.cut()

    return end


@fault((20, 300), wants="opening")
def redelivery(stage: "Stage", _step: Step, episode: Episode) -> End:
    """Clients send every message of QoS 1 twice."""
    client, world = stage.people.client, stage.world
    client.copies = 2
    forget = world.listen("redelivery", episode.hit)

    def end() -> None:
        client.copies = 1
        forget()

    return end


@fault((1, 20))
def home_assistant_restarted(stage: "Stage", _step: Step, episode: Episode) -> End:
    """Home Assistant goes, and is born again."""
    client = stage.people.client
    client.publish(Packet("homeassistant/status", b"offline", 1))

    def end() -> None:
        _count_connected(stage, episode)
        client.publish(Packet("homeassistant/status", b"online", 1))

    return end


# --- Our own process and its computer -----------------------------------------------------------------------------


@fault((0.2, 60), wants="order")
def killed(stage: "Stage", _step: Step, episode: Episode) -> End:
    """kill -9, and started again later."""
    computer = stage.world.main
    if computer.is_alive:
        episode.hit()
    computer.kill()
    return computer.start


_DEADLY = (
    "request /lockAction",
    "request /lockAction",
    "request /lockAction",
    "request /lockState",
    "request /list",
    "request /list",
    "request /callback/list",
    "publish result",
    "publish result",
    "publish result",
    "publish",
    "publish event",
    "publish event",
    "publish state",
)
_AT_START = ("request /callback/list", f"publish {BASE}/gateway/state")


def _draw_deadly(chance: Random, spec: Spec) -> Step:
    drawn, what = _draw_ordered(chance, spec), chance.choice(_DEADLY)
    if what.startswith("publish"):
        device, _, topic = "gateway" if what == "publish state" else drawn["device"], *what.partition(" ")[1:]
        what = f"publish {BASE}/{device}/{topic}".rstrip("/")
    return {**drawn, "what": what, "nth": chance.choice([1, 1, 1, 2]), "down_s": chance.uniform(0.5, 40)}


@fault((30, 120), draw=_draw_deadly, wants="orders")
def killed_at(stage: "Stage", step: Step, episode: Episode) -> End:
    """kill -9 in the very moment of saying or asking something, and started again later.

    The second of two moments of a message is when the broker has it and we do not know. What is said or asked at the
    start only is said or asked after a restart.
    """
    computer, what, left = stage.world.main, str(step["what"]), [int(step["nth"])]
    if what in _AT_START:
        computer.kill()
        computer.start()
    if what.startswith("publish ") and left[0] > 1:
        what, left = what.replace("publish ", "published "), [1]

    def is_now(happening: str) -> bool:
        if happening != what:
            return False
        left[0] -= 1
        return left[0] == 0

    def note() -> None:
        episode.hit()
        stage.world.later(float(step.get("down_s", 1e9)), computer.start)

    computer.dies_at = is_now
    forget = stage.world.listen("kill_at main", note)

    def end() -> None:
        computer.dies_at = None
        forget()
        computer.start()

    return end


@fault((8, 60), wants="order")
def stopped(stage: "Stage", _step: Step, episode: Episode) -> End:
    """SIGTERM, and started again later."""
    computer = stage.world.main
    if computer.is_alive:
        episode.hit()
    computer.stop()

    def end() -> None:
        computer.kill()  # as container engines do after a while
        computer.start()

    return end


KICKED_S = 90.0  # the broker ends a connection that is silent for so long


@fault((10, 130), draw=_draw_ordered, wants="orders")
def standing_still(stage: "Stage", _step: Step, episode: Episode) -> End:
    """Our process stands still (SIGSTOP, a closed lid) and goes on, with what came meanwhile."""
    computer, process, line = stage.world.main, stage.world.main.process, stage.line
    if not computer.stand_still():
        return _nothing
    stage.line_stalls += 1

    def is_still() -> bool:
        return computer.is_standing_still and computer.process is process

    def kick() -> None:
        if is_still() and line is not None and line.is_open:
            line.cut()

    stage.world.later(KICKED_S, kick)

    def end() -> None:
        stage.line_stalls -= 1
        if is_still():
            episode.hit(computer.go_on())

    return end


def _draw_wall(chance: Random, _spec: Spec) -> Step:
    return {"seconds": chance.choice([-1.7e9, -86400.0, -3600.0, -600.0, 600.0, 3600.0, 86400.0])}


@fault((30, 200), draw=_draw_wall, wants="opening")
def own_clock_wrong(stage: "Stage", step: Step, episode: Episode) -> End:
    """The wall clock of our computer is far off, and the kernel knows that it is not synchronised."""
    computer = stage.world.main
    computer.wall_offset_s, computer.is_synchronised = float(step["seconds"]), False
    before = stage.delivered

    def end() -> None:
        episode.hit(stage.delivered - before)
        computer.wall_offset_s, computer.is_synchronised = 0.0, True

    return end


@fault((10, 300), wants="opening")
def disk_full(stage: "Stage", step: Step, episode: Episode) -> End:
    """The state file cannot be written."""
    computer, world = stage.world.main, stage.world
    computer.full_disks += 1
    stage.full_disks.append((world.now, world.now + float(step["for"])))
    forget = world.listen("disk_full main", episode.hit)

    def end() -> None:
        computer.full_disks -= 1
        forget()

    return end


def _draw_disk(chance: Random, spec: Spec) -> Step:
    return {**_draw_ordered(chance, spec), "seconds": chance.choice([0.5, 3.0, 9.0, 20.0])}


@fault((20, 200), draw=_draw_disk, wants="orders")
def disk_slow(stage: "Stage", step: Step, episode: Episode) -> End:
    """Writing the state file takes its time."""
    computer, world = stage.world.main, stage.world
    release = stage.hold(computer, "disk_s", float(step["seconds"]))
    forget = world.listen("disk_slow main", episode.hit)

    def end() -> None:
        release()
        forget()

    return end


@fault((20, 300))
def door_taken(stage: "Stage", _step: Step, episode: Episode) -> End:
    """Our callback port is taken by another program when we start."""
    computer, world = stage.world.main, stage.world
    computer.kill()
    computer.is_port_taken = True
    forget = world.listen("door_taken main", episode.hit)
    computer.start()

    def end() -> None:
        computer.is_port_taken = False
        forget()
        computer.kill()
        computer.start()

    return end


@fault((60, 600), wants="change")
def address_changed(stage: "Stage", _step: Step, episode: Episode) -> End:
    """Our computer gets another address, and the old one back later."""
    computer, world = stage.world.main, stage.world
    episode.hit()
    return stage.hold(computer, "host", world.spec.moved_host)


@fault((60, 500), wants="order")
def second_gateway(stage: "Stage", step: Step, episode: Episode) -> End:
    """Another gateway is started on the same base topic."""
    world = stage.world
    if world.main.is_alive:
        episode.hit()
    world.other.start()
    stage.second_gateways.append((world.now, world.now + float(step["for"]) + OTHER_GONE_S))
    return world.other.stop


# --- The house ----------------------------------------------------------------------------------------------------


def _draw_lock(chance: Random, spec: Spec) -> Step:
    bridges, devices = chance.choice(spec.homes())
    return {
        "bridge": bridges[0],
        "home": devices,
        "device": chance.choice([name for name in devices if name != "bell"]),
    }


@fault((40, 300), draw=_draw_lock, wants="orders")
def motor_jams(stage: "Stage", step: Step, episode: Episode) -> End:
    """The motor of a lock is blocked."""
    lock = stage.world.devices[step.get("device", "front_door")]
    assert isinstance(lock, SimulatedLock)
    lock.is_jammed = True

    def note(device: SimulatedDevice) -> None:
        if device is lock and device.state == MOTOR_BLOCKED and lock.is_jammed:
            episode.hit()

    stage.world.house.observe(note)

    def end() -> None:
        lock.is_jammed = False
        stage.world.house.ignore(note)
        if lock.state == MOTOR_BLOCKED:
            lock.turn(3)

    return end


@fault((1, 20), draw=_draw_lock, wants="order")
def turned_by_hand_meanwhile(stage: "Stage", step: Step, episode: Episode) -> End:
    """Somebody turns the key while an order is under way."""
    lock = stage.world.devices[step.get("device", "front_door")]
    lock.turn(1 if lock.state != 1 else 3)
    episode.hit()

    def end() -> None:
        lock.turn(1 if lock.state != 1 else 3)

    return end
