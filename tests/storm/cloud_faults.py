"""Everything that can go wrong with Nuki's cloud, its keypads and its log; see `faults` for what a fault is.

What the simulated cloud can do by itself (`simulator/web_faults.py`) is begun and ended here. `dice` (0 to 1) and
`which` are chance that the plan has thrown for a fault.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from nuki2mqtt.simulator.keypad import KEYPAD_CODE, StoredAuth
from nuki2mqtt.simulator.web_device import KnownDevice
from nuki2mqtt.simulator.web_faults import CloudFault, CloudFaults, Write
from nuki2mqtt.simulator.web_hooks import signed
from nuki2mqtt.simulator.web_routes import SCOPES
from nuki2mqtt.simulator.web_values import Json, write
from tests.storm.faults import KINDS, End, Episode, Kind, Step, cloud_fault
from tests.storm.spec import WEB_TOKEN

if TYPE_CHECKING:
    from tests.storm.cloud import CloudSite
    from tests.storm.stage import Stage

_LIST, _OF_LOCK, _ONE = "/smartlock", "/smartlock/{smartlockId}/auth", "/smartlock/{smartlockId}/auth/{id}"
_ACTION, _LOG, _SYNC = (f"/smartlock/{{smartlockId}}/{word}" for word in ("action", "log", "sync"))
_PATHS = (None, _LIST, _OF_LOCK, _OF_LOCK, _ONE, _ONE, _LOG, _ACTION, _SYNC)
_GARBAGE = (b"", b"[", b"null", b"[[]]", b'{"smartlockId": "x"}', b"\x00\xff", b"[{}]", b"[]")


def cloud_kinds() -> dict[str, Kind]:
    """The kinds that can befall the cloud."""
    return {name: kind for name, kind in KINDS.items() if kind.is_of_cloud}


def _site(stage: "Stage") -> "CloudSite":
    assert stage.world.cloud is not None
    return stage.world.cloud


def _known(stage: "Stage", step: Step) -> KnownDevice:
    return _site(stage).names[step["device"]]


def _in_cloud(stage: "Stage", episode: Episode, make: Callable[[CloudFaults], CloudFault]) -> End:
    one = make(_site(stage).cloud.faults).begin()
    episode.count(one)
    return one.end


def _path(step: Step) -> str | None:
    return _PATHS[int(step["which"]) % len(_PATHS)]


def _calls_while(stage: "Stage", episode: Episode, release: End) -> End:
    """Every request meanwhile went otherwise."""
    calls = _site(stage).calls
    before = len(calls)

    def end() -> None:
        episode.hit(len(calls) - before)
        release()

    return end


# --- The way to it and its proxy ------------------------------------------------------------------------------------


@cloud_fault((60, 1500))
def cloud_away(stage: "Stage", _step: Step, episode: Episode) -> End:
    """The internet is gone: connecting ends in nothing."""
    site = _site(stage)
    site.dark += 1
    forget = stage.world.listen("cloud dark", episode.hit)

    def end() -> None:
        site.dark -= 1
        forget()

    return end


@cloud_fault((30, 900))
def cloud_refuses(stage: "Stage", _step: Step, episode: Episode) -> End:
    """Nobody listens there."""
    return _in_cloud(stage, episode, lambda faults: faults.refuse_connections())


@cloud_fault((60, 900))
def cloud_slow(stage: "Stage", step: Step, episode: Episode) -> End:
    """Every answer takes its time, or more than one waits for."""
    cloud = _site(stage).cloud
    seconds = (3.0, 9.0, 20.0, 45.0)[int(step["which"]) % 4]
    return _calls_while(stage, episode, stage.hold(cloud, "timing", replace(cloud.timing, answer_s=seconds)))


@cloud_fault((60, 600))
def cloud_silent(stage: "Stage", step: Step, episode: Episode) -> End:
    """Requests get lost before they are taken, or their answers after that."""
    return _in_cloud(stage, episode, lambda faults: faults.silent(_path(step), acts=step["dice"] < 0.6))


@cloud_fault((60, 600))
def cloud_resets(stage: "Stage", step: Step, episode: Episode) -> End:
    """The same, and the connection breaks."""
    return _in_cloud(stage, episode, lambda faults: faults.reset_connections(_path(step), acts=step["dice"] < 0.6))


@cloud_fault((60, 900))
def cloud_html(stage: "Stage", step: Step, episode: Episode) -> End:
    """A proxy answers in HTML; the work behind it was done, or was not."""
    status = (500, 502, 503, 504)[int(step["which"]) % 4]
    return _in_cloud(
        stage, episode, lambda faults: faults.proxy_error(_path(step), status=status, acts=step["dice"] < 0.5)
    )


@cloud_fault((60, 900))
def cloud_throttles(stage: "Stage", step: Step, episode: Episode) -> End:
    """429, with and without Retry-After."""
    seconds = None if step["dice"] < 0.4 else (1.0, 30.0, 120.0, 600.0)[int(step["which"]) % 4]
    return _in_cloud(stage, episode, lambda faults: faults.throttle(seconds=seconds))


@cloud_fault((60, 900))
def cloud_garbage(stage: "Stage", step: Step, episode: Episode) -> End:
    """One endpoint does its work and answers something else."""
    path, body = _path(step) or _OF_LOCK, _GARBAGE[int(step["which"]) % len(_GARBAGE)]
    return _in_cloud(stage, episode, lambda faults: faults.garbage(path, body, acts=step["dice"] < 0.5))


@cloud_fault((60, 900))
def cloud_list_cut(stage: "Stage", step: Step, episode: Episode) -> End:
    """The list of authorizations lacks entries, or has one that nobody can read."""
    known = _known(stage, step)
    shown: list[Json] = [{"id": f"{number:024x}", "smartlockId": known.smartlock_id, "type": 0} for number in range(2)]
    body = write([*shown, {"id": 7}] if step["dice"] < 0.5 else [])
    return _in_cloud(stage, episode, lambda faults: faults.garbage(_OF_LOCK, body, acts=True))


@cloud_fault((60, 900))
def cloud_token_refused(stage: "Stage", _step: Step, episode: Episode) -> End:
    """401 to everything for a while."""
    return _in_cloud(stage, episode, lambda faults: faults.refuse_token())


@cloud_fault((60, 900))
def cloud_scope_missing(stage: "Stage", step: Step, episode: Episode) -> End:
    """The token lacks a scope for a while."""
    cloud = _site(stage).cloud
    missing = (("smartlock.auth",), ("smartlock.log",), ("smartlock.action",), ("smartlock", "smartlock.readOnly"))
    left = frozenset(SCOPES) - set(missing[int(step["which"]) % 4])
    release = stage.hold(cloud, "tokens", {WEB_TOKEN: left})
    return _calls_while(stage, episode, release)


# --- What is written ------------------------------------------------------------------------------------------------


@cloud_fault((60, 900), wants="code", cards=2)
def writes_lost(stage: "Stage", step: Step, episode: Episode) -> End:
    """Writes of a kind, or of all, are answered 204 and never carried out: lost creates, sticky deletes."""
    kinds = (Write.CREATE, Write.UPDATE, Write.DELETE, Write.DELETE, Write.SYNC, None)
    kind = kinds[int(step["which"]) % len(kinds)]
    return _in_cloud(stage, episode, lambda faults: faults.lost_writes(kind=kind))


@cloud_fault((60, 900), wants="code", cards=2)
def writes_slow(stage: "Stage", step: Step, episode: Episode) -> End:
    """Writes are carried out after minutes."""
    seconds = (40.0, 100.0, 200.0, 280.0)[int(step["which"]) % 4]
    return _in_cloud(stage, episode, lambda faults: faults.slow_writes(seconds))


@cloud_fault((60, 900), wants="code", cards=2)
def ghosts(stage: "Stage", _step: Step, episode: Episode) -> End:
    """What is created comes into the cloud's list and not onto the lock."""
    return _in_cloud(stage, episode, lambda faults: faults.ghost_creates())


@cloud_fault((60, 900), wants="code")
def held(stage: "Stage", step: Step, episode: Episode) -> End:
    """Another operation holds the device and all its codes: 423."""
    nuki_id = _known(stage, step).nuki_id
    return _in_cloud(stage, episode, lambda faults: faults.held_operation(nuki_id))


@cloud_fault((60, 1500), wants="code", cards=2)
def cloud_offline(stage: "Stage", step: Step, episode: Episode) -> End:
    """The device does not reach the cloud."""
    known = _known(stage, step)
    episode.hit()
    return _in_cloud(stage, episode, lambda faults: faults.offline(known.nuki_id))


@cloud_fault((5, 60), wants="code")
def lock_forgets(stage: "Stage", step: Step, episode: Episode) -> End:
    """The lock forgets a code of ours, and the cloud does not notice: a ghost is made."""
    site, known = _site(stage), _known(stage, step)
    ours = site.ours(known)
    if ours:
        one = ours[int(step["which"]) % len(ours)]
        site.remove_by_app(known, one.number)
        episode.hit()
    return _nothing


@cloud_fault((5, 60), wants="code", cards=2)
def app_adds(stage: "Stage", step: Step, episode: Episode) -> End:
    """Somebody makes a code with the app, perhaps with one that we want, too, or by a name that we use."""
    site, known = _site(stage), _known(stage, step)
    code = (274620 + int(step["which"]), 839275, 594836)[int(step["which"]) % 3]
    if "0" not in str(code) and site.add_by_app(known, ("Guest", "Ben")[int(step["which"]) % 2], code):
        episode.hit()
    if step["dice"] < 0.5:
        known.sync(is_forced=False)
    return _nothing


@cloud_fault((5, 60), cards=2)
def app_changes(stage: "Stage", step: Step, episode: Episode) -> End:
    """Somebody changes a code with the app, ours or not; the cloud sees it now or at its next sync."""
    site, known = _site(stage), _known(stage, step)
    one = _any_code(known, int(step["which"]))
    if one is not None:
        what = ({"enabled": not one.enabled}, {"name": f"{one.name[:12]} 2"}, {"code": 274631})[int(step["which"]) % 3]
        if site.change_by_app(known, one.number, **what):
            episode.hit()
    if step["dice"] < 0.5:
        known.sync(is_forced=False)
    return _nothing


@cloud_fault((5, 60))
def app_removes(stage: "Stage", step: Step, episode: Episode) -> End:
    """Somebody takes a code away with the app, ours or not."""
    site, known = _site(stage), _known(stage, step)
    one = _any_code(known, int(step["which"]))
    if one is not None and site.remove_by_app(known, one.number):
        episode.hit()
    if step["dice"] < 0.5:
        known.sync(is_forced=False)
    return _nothing


def _any_code(known: KnownDevice, which: int) -> StoredAuth | None:
    codes = [one for one in known.memory.stored.values() if one.type == KEYPAD_CODE]
    return codes[which % len(codes)] if codes else None


@cloud_fault((60, 900), wants="code")
def no_room(stage: "Stage", step: Step, episode: Episode) -> End:
    """Others have filled the lock: what is created never appears."""
    known = _known(stage, step)
    episode.hit()
    return stage.hold(known.memory, "capacity", len(known.memory.stored))


@cloud_fault((300, 1500))
def daily_syncs(stage: "Stage", _step: Step, episode: Episode) -> End:
    """The cloud reads all locks, as it does once a day."""

    def end() -> None:
        for known in _site(stage).names.values():
            if not known.is_offline:
                known.sync(is_forced=False)
                episode.hit()

    return end


# --- States, log and webhooks ---------------------------------------------------------------------------------------


@cloud_fault((60, 900), wants="visit")
def copy_frozen(stage: "Stage", step: Step, episode: Episode) -> End:
    """The cloud's copy of the state does not follow the lock."""
    nuki_id = _known(stage, step).nuki_id
    return _in_cloud(stage, episode, lambda faults: faults.frozen_copy(nuki_id))


@cloud_fault((60, 900))
def copy_stripped(stage: "Stage", step: Step, episode: Episode) -> End:
    """The device is shown without its state."""
    nuki_id = _known(stage, step).nuki_id
    return _in_cloud(stage, episode, lambda faults: faults.stripped(nuki_id))


@cloud_fault((60, 900), wants="visit")
def log_slow(stage: "Stage", step: Step, episode: Episode) -> End:
    """Entries of the log come late."""
    seconds = (30.0, 120.0, 400.0)[int(step["which"]) % 3]
    return _in_cloud(stage, episode, lambda faults: faults.slow_log(seconds))


@cloud_fault((60, 900), wants="visit")
def log_lost(stage: "Stage", _step: Step, episode: Episode) -> End:
    """Entries of the log never come."""
    return _in_cloud(stage, episode, lambda faults: faults.lost_log())


@cloud_fault((60, 900), wants="visit")
def log_nameless(stage: "Stage", _step: Step, episode: Episode) -> End:
    """Entries of the log have no names."""
    return _in_cloud(stage, episode, lambda faults: faults.nameless_log())


@cloud_fault((60, 900), wants="visit", cards=2)
def log_clock_wrong(stage: "Stage", step: Step, episode: Episode) -> End:
    """The lock dates its entries by a clock that is wrong."""
    site, nuki_id = _site(stage), _known(stage, step).nuki_id
    if nuki_id in site.clocks:
        return _nothing
    site.clock_changed_at = stage.world.now
    site.clocks[nuki_id] = (-3600.0, -40.0, -12.0, 12.0, 40.0, 3600.0)[int(step["which"]) % 6]
    forget = stage.world.listen("log clock", episode.hit)

    def end() -> None:
        del site.clocks[nuki_id]
        site.clock_changed_at = stage.world.now
        forget()

    return end


@cloud_fault((60, 900), wants="visit")
def webhooks_silent(stage: "Stage", _step: Step, episode: Episode) -> End:
    """No webhook is sent."""
    return _in_cloud(stage, episode, lambda faults: faults.silent_webhooks())


@cloud_fault((60, 900), wants="visit")
def webhooks_lost(stage: "Stage", _step: Step, episode: Episode) -> End:
    """Webhooks get lost on their way."""
    return _on_the_way(stage, episode, lambda _: [])


@cloud_fault((60, 900), wants="visit")
def webhooks_doubled(stage: "Stage", _step: Step, episode: Episode) -> End:
    """Webhooks come twice or thrice."""
    return _on_the_way(stage, episode, lambda delays_s: [*delays_s, *(one + 2.0 for one in delays_s), 30.0])


@cloud_fault((60, 600), wants="visit")
def webhooks_late(stage: "Stage", step: Step, episode: Episode) -> End:
    """Webhooks come late; none comes after the fault has ended."""
    ends, seconds = stage.world.now + float(step["for"]), (5.0, 20.0, 90.0)[int(step["which"]) % 3]

    def delay(delays_s: list[float]) -> list[float]:
        left_s = max(0.0, ends - stage.world.now)
        return [min(one + seconds, max(one, left_s)) for one in delays_s]

    return _on_the_way(stage, episode, delay)


def _on_the_way(stage: "Stage", episode: Episode, change: Callable[[list[float]], list[float]]) -> End:
    rules = _site(stage).rules

    def rule(delays_s: list[float]) -> list[float]:
        episode.hit(len(delays_s))
        return change(delays_s)

    rules.append(rule)
    return lambda: rules.remove(rule)


@cloud_fault((10, 60))
def webhook_forged(stage: "Stage", step: Step, episode: Episode) -> End:
    """Somebody posts what is not so, without our secret, or changes a body that was signed."""
    site, known = _site(stage), _known(stage, step)
    body = write(
        {
            "feature": "DEVICE_STATUS",
            "smartlockId": known.smartlock_id,
            "state": {"mode": 2, "state": 3 if known.device.state == 1 else 1, "lastAction": 1, "trigger": 255},
            "serverState": 0,
            "adminPinState": 0,
        }
    )
    headers = (signed(body, "not the secret"), {}, signed(body + b" ", "m4rked"))[int(step["which"]) % 3]
    if site.deliver(headers, body, is_forged=True) not in {0, 404}:
        episode.hit()
    return _nothing


def _nothing() -> None:
    """It has no end of its own."""
