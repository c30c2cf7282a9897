"""`gateway/request/<verb>`: what people ask the gateway itself, and its Bridges.

Each request gets one answer on `gateway/response/<verb>`. What needs a Bridge waits in the Bridge's queue, behind
orders and polls, for a minute at most.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nuki2mqtt.errors import BridgeError
from nuki2mqtt.gateway.bridge_link import BridgeLink
from nuki2mqtt.gateway.callback_lease import masked_url
from nuki2mqtt.gateway.command_lane import response_of
from nuki2mqtt.gateway.following import Following
from nuki2mqtt.gateway.news import AskEnded, ListEnded, News, PairEnded, SearchEnded, SyncEnded
from nuki2mqtt.gateway.publications import Publications
from nuki2mqtt.gateway.vocabulary import CLOUD, Effect, Level, Log, Moment, MqttReceived, SetLogLevel
from nuki2mqtt.model.bridge import CallbackSlot
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.protocol.bridge_api import (
    Answer,
    BridgeRequest,
    CallbackListAnswer,
    CallbackListRequest,
    CallbackRemoveRequest,
    LogAnswer,
    LogRequest,
    RebootRequest,
    SuccessAnswer,
)
from nuki2mqtt.protocol.bridge_texts import STARS, is_secret_key
from nuki2mqtt.protocol.command_payloads import BadCommand, RequestOrder, parse_request, render_response
from nuki2mqtt.protocol.discovery import Verdict, join_tried, shown
from nuki2mqtt.protocol.payloads import render_time
from nuki2mqtt.protocol.topics import TopicTree

PATIENCE_S = 60.0
MOST_REQUESTS = 50
MOST_LOG_ENTRIES = 200
VERBS = (
    "refresh",
    "callbacks",
    "callback_remove",
    "bridge_log",
    "bridge_reboot",
    "diagnostics",
    "log_level",
    "device_remove",
    "find",
    "pair",
    "sync",
)
# What changes something waits until it is sure that no other gateway does the same.
_CHANGING = frozenset({"callback_remove", "bridge_reboot", "device_remove", "pair", "sync"})
_SEARCH = "search"  # what a `find` waits for, in the place of a link


class CannotError(Exception):
    """A request cannot be done; the text says why, and what to do."""


@dataclass(eq=False, slots=True)
class _Question:
    """A request that waits for Bridges. `parts` is what they said so far, by link."""

    verb: str
    transaction: Any
    response_topic: str | None
    correlation: bytes | None
    deadline: float
    waits_for: set[str]
    parts: dict[str, Any]


Then = Callable[[Answer, Moment], None]


class Requests:
    """All requests under way.

    `remove` takes a device from everything that we know and said; `sync` begins a forced sync at the cloud, or raises
    ValueError with a text for people; None without a cloud.
    """

    def __init__(
        self,
        tree: TopicTree,
        publications: Publications,
        following: Following,
        *,
        find_device: Callable[[str], NukiId | None],
        is_under_way: Callable[[NukiId], bool],
        diagnose: Callable[[Moment], dict[str, Any]],
        remove: Callable[[NukiId], None],
        sync: Callable[[NukiId, Moment], None] | None = None,
    ) -> None:
        self._tree = tree
        self._publications = publications
        self._following = following
        self._find_device = find_device
        self._is_under_way = is_under_way
        self._diagnose = diagnose
        self._remove = remove
        self._sync = sync
        self._questions: list[_Question] = []
        self._asked: dict[int, tuple[_Question, str, Then]] = {}
        self._asks = 0
        self._effects: list[Effect] = []

    # --- Messages -----------------------------------------------------------------------------------------------------

    def take(self, message: MqttReceived, now: Moment, *, is_v5: bool, is_starting: bool) -> list[Effect]:
        """A message on `gateway/request/<verb>`."""
        if not message.payload:
            return []  # our own clearing
        if message.retained or not is_v5:
            self._publications.reply(message.topic, b"", now.monotonic, retain=True)
        verb = self._tree.addressee(message.topic)
        response_topic, correlation = response_of(message, self._tree)
        question = _Question(
            verb=verb,
            transaction=None,
            response_topic=response_topic,
            correlation=correlation,
            deadline=now.monotonic + PATIENCE_S,
            waits_for=set(),
            parts={},
        )
        try:
            order = parse_request(message.payload)
            question.transaction = order.transaction
            self._begin(question, order, now, is_retained=message.retained, is_starting=is_starting)
        except BadCommand as error:
            question.transaction = error.transaction
            text = "retained" if message.retained else f"bad payload: {error}"
            self._answer(question, now, error=text)
        except CannotError as error:
            self._answer(question, now, error=str(error))
        effects, self._effects = self._effects, []
        return effects

    def _begin(
        self, question: _Question, order: RequestOrder, now: Moment, *, is_retained: bool, is_starting: bool
    ) -> None:
        if is_retained:
            raise CannotError("retained: it is cleared now; publish requests without the retain flag")
        if question.verb not in VERBS:
            raise CannotError(f"unknown request; known are {', '.join(VERBS)}")
        if is_starting and question.verb in _CHANGING:
            raise CannotError("starting: try again in a few seconds")
        if len(self._questions) >= MOST_REQUESTS:
            raise CannotError("busy: too many requests wait")
        match question.verb:
            case "refresh":
                self._refresh(question, order, now)
            case "callbacks":
                self._callbacks(question, order)
            case "callback_remove":
                self._callback_remove(question, order)
            case "bridge_log":
                self._bridge_log(question, order)
            case "bridge_reboot":
                link = self._one_bridge(order)
                if order.word is not None and order.word.lower() not in _names(link):
                    raise CannotError('say which Bridge, {"bridge":"ID"}: a restart takes it away for a minute')
                self._ask(question, link, RebootRequest(), lambda _, now: self._done(question, link, {}, now))
            case "diagnostics":
                self._answer(question, now, data=self._diagnose(now))
            case "log_level":
                self._log_level(question, order, now)
            case "find":
                if not self._following.finding.ask():
                    raise CannotError("find.mdns, find.hostnames and find.cloud are all off in the settings")
                question.waits_for.add(_SEARCH)
            case "pair":
                self._pair(question, order)
            case "sync":
                self._begin_sync(question, order, now)
            case _:
                self._device_remove(question, order, now)
        if question.waits_for:
            self._questions.append(question)

    # --- The verbs ----------------------------------------------------------------------------------------------------

    def _refresh(self, question: _Question, order: RequestOrder, now: Moment) -> None:
        for link in self._bridges(order):
            link.ask_list_now(now)
            question.waits_for.add(link.link)

    def _callbacks(self, question: _Question, order: RequestOrder) -> None:
        for link in self._bridges(order):
            self._ask(question, link, CallbackListRequest(), self._show_slots(question, link))

    def _show_slots(self, question: _Question, link: BridgeLink) -> Then:
        def then(answer: Answer, now: Moment) -> None:
            slots = answer.slots if isinstance(answer, CallbackListAnswer) else ()
            self._done(question, link, {"callbacks": [_shown(slot, link) for slot in slots]}, now)

        return then

    def _callback_remove(self, question: _Question, order: RequestOrder) -> None:
        link = self._one_bridge(order)
        slot_id, url = order.values.get("id"), order.values.get("url")
        if type(slot_id) is not int or not isinstance(url, str):
            raise CannotError('"id" (a number) and "url" (as `callbacks` shows it) are needed')

        def remove(answer: Answer, now: Moment) -> None:
            # Numbers are positions: what stands there now must be what the person saw.
            slots = answer.slots if isinstance(answer, CallbackListAnswer) else ()
            slot = next((slot for slot in slots if slot.id == slot_id), None)
            if slot is None or url not in {slot.url, masked_url(slot.url)}:
                self._answer(question, now, error=f"slot {slot_id} does not hold this url; ask for `callbacks` again")
            elif link.own is not None and link.own.is_own(slot):
                self._answer(question, now, error="this slot is ours; set callback.enabled to false instead")
            else:
                self._ask(question, link, CallbackRemoveRequest(slot.id), look)

        def look(answer: Answer, now: Moment) -> None:
            if isinstance(answer, SuccessAnswer) and not answer.success:
                self._answer(question, now, error=f"the Bridge said no: {answer.message or 'no reason given'}")
                return
            link.verify_lease(now)
            self._ask(question, link, CallbackListRequest(), self._show_slots(question, link))

        self._ask(question, link, CallbackListRequest(), remove)

    def _bridge_log(self, question: _Question, order: RequestOrder) -> None:
        link = self._one_bridge(order)
        offset, count = order.values.get("offset", 0), order.values.get("count", 50)
        if type(offset) is not int or type(count) is not int or offset < 0 or not 1 <= count <= MOST_LOG_ENTRIES:
            raise CannotError(f'"offset" must be 0 or more, "count" 1 to {MOST_LOG_ENTRIES}')

        def then(answer: Answer, now: Moment) -> None:
            entries = answer.entries[:count] if isinstance(answer, LogAnswer) else ()
            shown = [
                {
                    "at": None if entry.at is None else render_time(entry.at),
                    "type": link.hide(entry.type),
                    "id": None if entry.nuki_id is None else str(entry.nuki_id),
                    **{link.hide(key): STARS if is_secret_key(key) else link.hide(text) for key, text in entry.details},
                }
                for entry in entries
            ]
            self._done(question, link, {"log": shown}, now)

        self._ask(question, link, LogRequest(offset, count), then)

    def _log_level(self, question: _Question, order: RequestOrder, now: Moment) -> None:
        wanted = order.values.get("level", order.word)
        if not isinstance(wanted, str) or wanted.lower() not in set(Level):
            raise CannotError(f"the level must be one of {', '.join(Level)}")
        level = Level(wanted.lower())
        self._effects += [
            SetLogLevel(level),
            Log(Level.WARNING, f"The log level is {level} now, until the next start."),
        ]
        self._answer(question, now, data={"level": level})

    def _one_device(self, order: RequestOrder) -> NukiId:
        wanted = order.values.get("device", order.word)
        nuki_id = self._find_device(wanted) if isinstance(wanted, str) else None
        if nuki_id is None:
            raise CannotError('"device" must be the topic or the ID of a known device')
        return nuki_id

    def _device_remove(self, question: _Question, order: RequestOrder, now: Moment) -> None:
        nuki_id = self._one_device(order)
        if self._is_under_way(nuki_id):
            raise CannotError("busy: a command for this device is under way; try again in a minute")
        following = self._following
        listing = [link for link, devices in following.listed.items() if nuki_id in devices]
        if any(following.vouching.is_bridge_online(link, now.monotonic) for link in listing):
            raise CannotError(
                f"a Bridge still lists {nuki_id}, so it would come back at once: remove it from the Bridge in the Nuki"
                f" app, or set devices.{nuki_id}.ignore to true"
            )
        self._remove(nuki_id)
        self._answer(question, now, data={"id": str(nuki_id)})

    def _begin_sync(self, question: _Question, order: RequestOrder, now: Moment) -> None:
        if self._sync is None:
            raise CannotError("nuki_web.token is not set: a forced sync is made by Nuki's cloud, never by a Bridge")
        nuki_id = self._one_device(order)
        try:
            self._sync(nuki_id, now)
        except ValueError as error:
            raise CannotError(str(error)) from None
        question.waits_for.add(_cloud_name(nuki_id))

    def _synced(self, ended: SyncEnded, now: Moment) -> None:
        for question in [one for one in self._questions if _cloud_name(ended.nuki_id) in one.waits_for]:
            self._answer(question, now, data=ended.data, error=ended.error)

    # --- Finding and pairing ------------------------------------------------------------------------------------------

    def _pair(self, question: _Question, order: RequestOrder) -> None:
        """With a Bridge that is followed or was found; what a stranger names here is not asked for a token."""
        asked = order.values.get("bridge", order.word)
        wanted = asked.lower() if isinstance(asked, str) else ""
        places: dict[str, dict[str, None]] = {}
        for tried in self._following.finding.found:
            if tried.verdict in {Verdict.BRIDGE, Verdict.UNCLEAR}:
                for name in (tried.candidate.link, *map(str, tried.candidate.ids)):
                    places.setdefault(name.lower(), {})[tried.candidate.link] = None
        for link in self._following.links.values():
            places[link.place.link.lower()] = {link.place.link: None}
            if link.bridge_id is not None:
                places[str(link.bridge_id).lower()] = {link.place.link: None}
        if wanted not in places:
            raise CannotError(
                '"bridge" must be the ID or the address (host:port) of a Bridge in the settings, or of one that `find`'
                " has found"
            )
        place, *others = places[wanted]
        if others:  # one of them may only call itself so
            listed = ", ".join([place, *others])
            raise CannotError(f'it was found at several addresses: say which one is yours, as "bridge": {listed}')
        try:
            self._effects += self._following.begin_pairing(place)
        except ValueError as error:
            raise CannotError(str(error)) from None
        question.waits_for.add(place)

    def _found(self, found: SearchEnded, now: Moment) -> None:
        bridges = [shown(tried) for tried in join_tried(found.tried)]
        for question in [question for question in self._questions if _SEARCH in question.waits_for]:
            self._answer(question, now, data={"bridges": bridges, "notes": list(found.notes)})

    def _paired(self, ended: PairEnded, now: Moment) -> None:
        for question in list(self._questions):
            if question.verb == "pair" and ended.link in question.waits_for:
                data = {"address": ended.link, "paired": True}
                self._answer(question, now, data=None if ended.why else data, error=ended.why)

    # --- Bridges ------------------------------------------------------------------------------------------------------

    def _bridges(self, order: RequestOrder) -> list[BridgeLink]:
        wanted = order.values.get("bridge")
        links = list(self._following.links.values())
        if wanted is not None:
            links = [link for link in links if str(wanted).lower() in _names(link)]
            if not links:
                raise CannotError('"bridge" must be the ID or the address (host:port) of a configured Bridge')
        links = [link for link in links if link.can_be_asked]
        if not links:
            raise CannotError("no Bridge can be asked: see gateway/health")
        return links

    def _one_bridge(self, order: RequestOrder) -> BridgeLink:
        links = self._bridges(order)
        if len(links) > 1:
            raise CannotError('there are several Bridges: say which one, {"bridge":"ID"}')
        return links[0]

    def _ask(self, question: _Question, link: BridgeLink, request: BridgeRequest, then: Then) -> None:
        self._asks += 1
        if not link.ask(self._asks, request):
            raise CannotError("busy: too many requests wait for this Bridge")
        self._asked[self._asks] = (question, link.link, then)
        question.waits_for.add(link.link)

    def hear(self, news: News, now: Moment) -> None:
        """Take in what following the Bridges brought."""
        match news:
            case ListEnded(link, devices):
                for question in list(self._questions):
                    if question.verb == "refresh" and link in question.waits_for:
                        failure = None if devices is not None else "no readable answer"
                        self._part(question, link, {"devices": len(devices or ())}, failure, now)
            case SearchEnded():
                self._found(news, now)
            case PairEnded():
                self._paired(news, now)
            case SyncEnded():
                self._synced(news, now)
            case AskEnded(ask_id, answer):
                question_link_then = self._asked.pop(ask_id, None)
                if question_link_then is not None:
                    self._answered(*question_link_then, answer, now)
            case _:
                pass

    def _answered(self, question: _Question, link: str, then: Then, answer: Answer | BridgeError, now: Moment) -> None:
        if question not in self._questions:
            return  # given up
        answer = self._following.links[link].hide_secrets(answer)
        if isinstance(answer, BridgeError):
            self._part(question, link, {}, f"the Bridge gave no answer ({answer})", now)
            return
        try:
            then(answer, now)
        except CannotError as error:
            self._answer(question, now, error=str(error))

    def _done(self, question: _Question, link: BridgeLink, part: dict[str, Any], now: Moment) -> None:
        self._part(question, link.link, part, None, now)

    def _part(self, question: _Question, link: str, part: dict[str, Any], failure: str | None, now: Moment) -> None:
        """One Bridge is done; the request is answered when all are, with an error where none did it."""
        asked = self._following.links[link]
        about = {"id": None if asked.bridge_id is None else str(asked.bridge_id), "address": asked.place.link}
        question.parts[link] = about | (part if failure is None else {"error": failure})
        question.waits_for.discard(link)
        if question.waits_for:
            return
        has_succeeded = any("error" not in said for said in question.parts.values())
        if has_succeeded or failure is None:
            self._answer(question, now, data={"bridges": list(question.parts.values())})
        else:
            self._answer(question, now, error=failure)

    # --- Answers ------------------------------------------------------------------------------------------------------

    def _answer(
        self, question: _Question, now: Moment, *, data: dict[str, Any] | None = None, error: str | None = None
    ) -> None:
        if question in self._questions:
            self._questions.remove(question)
        # What was answered must not be done later.
        for ask_id in [ask_id for ask_id, asked in self._asked.items() if asked[0] is question]:
            _, link, _ = self._asked.pop(ask_id)
            self._following.links[link].withdraw_question(ask_id)
        payload = render_response(data or {}, error, question.transaction)
        self._publications.reply(self._tree.response(question.verb), payload, now.monotonic)
        if question.response_topic is not None:
            self._publications.reply(question.response_topic, payload, now.monotonic, correlation=question.correlation)

    def next_deadline(self) -> float | None:
        """When somebody has waited long enough."""
        return min([question.deadline for question in self._questions]) if self._questions else None

    def handle_timer(self, now: Moment) -> None:
        """Answer what has waited long enough."""
        for question in [question for question in self._questions if question.deadline <= now.monotonic]:
            who = "Nuki Web" if question.verb == "sync" else "the Bridge"
            self._answer(question, now, error=f"{who} does not answer: see gateway/health")

    def stop(self, now: Moment) -> None:
        """The gateway stops: who waits is told."""
        for question in list(self._questions):
            self._answer(question, now, error="the gateway stops: ask again when it is back")

    def drop(self) -> None:
        """Forget all: another gateway owns the base."""
        self._questions.clear()
        self._asked.clear()


def _cloud_name(nuki_id: NukiId) -> str:
    """What a `sync` waits for, in the place of a link."""
    return f"{CLOUD} {nuki_id}"


def _names(link: BridgeLink) -> frozenset[str]:
    """What a Bridge can be called in a request, in lower case."""
    return frozenset({link.place.link.lower(), str(link.bridge_id).lower()})


def _shown(slot: CallbackSlot, link: BridgeLink) -> dict[str, Any]:
    is_own = link.own is not None and link.own.is_own(slot)
    return {"id": slot.id, "url": masked_url(slot.url), "own": is_own}
