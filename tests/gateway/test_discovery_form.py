"""The two forms of discovery, and the way from one to the other on which no entity is lost."""

import json

import pytest

from nuki2mqtt.gateway.announcements import LEAVE_OUT_AFTER_S
from nuki2mqtt.gateway.discovery_form import DiscoveryForms
from nuki2mqtt.gateway.publications import Publications
from nuki2mqtt.gateway.vocabulary import Memory, MqttPublished, Publish, Remember
from nuki2mqtt.protocol.homeassistant import MIGRATE, Discovery
from nuki2mqtt.protocol.settings_words import DiscoveryForm
from tests.gateway.builders import CONFIG, LOCKED, Hand, entry, only, said

DEVICE, ENTITY = DiscoveryForm.DEVICE, DiscoveryForm.ENTITY
WHOLE = "ha/device/nuki2mqtt_1A/config"
A, B = "ha/button/nuki2mqtt_1A/a/config", "ha/sensor/nuki2mqtt_1A/b/config"
BOTH = {"a": "button", "b": "sensor"}
ENTITIES = f"{CONFIG}homeassistant: {{form: entity}}\n"
FRONT_DOOR = "homeassistant/device/nuki2mqtt_1A2B3C4D/config"


def discovery(platforms: dict[str, str], unseen: dict[str, str] | None = None) -> Discovery:
    message = {"o": {"name": "nuki2mqtt"}, "cmps": {key: {"p": platform} for key, platform in platforms.items()}}
    return Discovery(WHOLE, json.dumps(message).encode(), platforms, unseen or {})


class Stage:
    """Announcements in one form, what the broker is told, and what is remembered over restarts."""

    def __init__(self, form: DiscoveryForm, announced: dict[str, dict[str, str]] | None = None) -> None:
        self.announced = announced or {}
        self.form = form
        self.restart()

    def restart(self) -> None:
        self.publications = Publications()
        self.publications.opened()
        self.forms = DiscoveryForms(self.publications, self.announced, self.form)

    def take(self) -> dict[str, str]:
        """What is said now: `move` asks to hand over, `-` is an empty message, `+` any other."""
        told: dict[str, str] = {}
        while publishes := only(self.publications.flush(0), Publish):
            for publish in publishes:
                is_move, is_empty = publish.payload == MIGRATE, not publish.payload
                told[publish.topic] = "move" if is_move else "-" if is_empty else "+"
                self.publications.ended(MqttPublished(publish.message_id))
        return told

    def at(self, now: float) -> dict[str, str]:
        self.forms.finish(now)
        told = self.take()
        self.forms.finish(now)
        return told


@pytest.mark.parametrize(("form", "told"), [(DEVICE, {WHOLE: "+"}), (ENTITY, {A: "+", B: "+"})])
def test_the_first_time_it_is_announced_in_its_form(form: DiscoveryForm, told: dict[str, str]) -> None:
    stage = Stage(form)
    stage.forms.announce(discovery(BOTH))

    assert stage.take() == told
    assert stage.announced == ({WHOLE: BOTH} if form is DEVICE else {A: {"a": "button"}, B: {"b": "sensor"}})
    assert stage.forms.next_deadline() is None


@pytest.mark.parametrize(
    ("form", "old", "new"),
    [
        (DEVICE, {A: {"a": "button"}, B: {"b": "sensor"}}, {WHOLE: "+"}),
        (ENTITY, {WHOLE: BOTH}, {A: "+", B: "+"}),
    ],
)
def test_from_one_form_to_the_other(form: DiscoveryForm, old: dict[str, dict[str, str]], new: dict[str, str]) -> None:
    stage = Stage(form, dict(old))
    stage.forms.announce(discovery(BOTH))

    assert stage.take() == dict.fromkeys(old, "move")
    assert stage.announced == old  # a restart begins it again
    assert stage.at(10) == {}
    assert stage.forms.next_deadline() == 10 + LEAVE_OUT_AFTER_S
    assert stage.at(11.9) == {}
    assert stage.at(12) == new
    assert stage.announced.keys() == old.keys() | new.keys()
    assert stage.forms.next_deadline() == 14
    assert stage.at(14) == dict.fromkeys(old, "-")
    assert stage.announced.keys() == new.keys()
    assert (stage.forms.next_deadline(), stage.at(1000)) == (None, {})


@pytest.mark.parametrize("form", [DEVICE, ENTITY])
def test_what_has_moved_away_is_cleared_once_and_not_again_for_home_assistant_s_birth_or_a_new_connection(
    form: DiscoveryForm,
) -> None:
    """Home Assistant would take it for the removal of entities that it had not yet seen move."""
    old = {WHOLE: BOTH} if form is ENTITY else {A: {"a": "button"}, B: {"b": "sensor"}}
    stage = Stage(form, dict(old))
    stage.forms.announce(discovery(BOTH))
    stage.take()
    for now in (0, 2, 4):
        stage.at(now)
    stage.publications.say_again(lambda _: True)
    born = stage.take()
    stage.publications.opened()

    assert set(born.values()) == {"+"}
    assert (stage.take(), born.keys() & old.keys()) == (born, set())


def test_nothing_goes_on_before_the_broker_has_the_step_before() -> None:
    stage = Stage(ENTITY, {WHOLE: BOTH})
    stage.forms.announce(discovery(BOTH))
    stage.forms.finish(0)
    stage.forms.finish(100)

    assert (stage.forms.next_deadline(), stage.take()) == (None, {WHOLE: "move"})


def test_a_restart_on_the_way_ends_with_the_new_form_alone() -> None:
    stage = Stage(ENTITY, {WHOLE: BOTH})
    stage.forms.announce(discovery(BOTH))
    stage.take()
    stage.at(0)
    stage.at(2)
    stage.restart()
    stage.forms.announce(discovery(BOTH))
    told = [stage.take(), stage.at(0), stage.at(2), stage.at(4)]

    assert told == [{WHOLE: "move"}, {}, {A: "+", B: "+"}, {WHOLE: "-"}]
    assert stage.announced.keys() == {A, B}


def test_what_changes_on_the_way_is_announced_as_it_is_then() -> None:
    stage = Stage(ENTITY, {WHOLE: BOTH})
    stage.forms.announce(discovery(BOTH))
    stage.take()
    stage.forms.announce(discovery({"a": "button"}))
    stage.at(0)
    first = stage.at(2)
    stage.forms.announce(discovery(BOTH))

    assert (first, stage.take(), stage.at(2), stage.at(4)) == ({A: "+"}, {B: "+"}, {}, {WHOLE: "-"})


def test_an_entity_that_is_not_offered_any_more_is_cleared() -> None:
    stage = Stage(ENTITY, {A: {"a": "button"}, B: {"b": "sensor"}, "ha/sensor/other/b/config": {"b": "sensor"}})
    stage.forms.announce(discovery({"b": "sensor"}))

    assert stage.at(0) == {B: "+", A: "-"}
    assert stage.announced.keys() == {B, "ha/sensor/other/b/config"}


def test_one_that_was_merely_not_seen_again_stays() -> None:
    stage = Stage(ENTITY, {A: {"a": "button"}})
    stage.forms.announce(discovery({"b": "sensor"}, {"a": "button"}))

    assert stage.at(0) == {B: "+"}


@pytest.mark.parametrize("form", [DEVICE, ENTITY])
def test_what_is_withdrawn_leaves_nothing(form: DiscoveryForm) -> None:
    stage = Stage(form, {WHOLE: BOTH, A: {"a": "button"}})
    stage.forms.announce(discovery(BOTH))
    stage.take()
    stage.forms.withdraw(WHOLE)

    assert stage.at(0) == {WHOLE: "-", A: "-"}
    stage.at(2)
    assert stage.announced == {}


# --- the whole gateway ---


def test_a_gateway_changes_its_form_and_back() -> None:
    memory = Memory()
    for run, config in enumerate((CONFIG, ENTITIES, CONFIG)):
        hand = Hand.with_config(config, memory, started=run * 1000.0)
        asked = hand.own_base()
        effects = asked + hand.follow(entry(LOCKED, run * 1000.0 - 5), asked=asked)
        for _ in range(8):
            effects += hand.acknowledge_all(hand.wait(1))
        memory = only(effects, Remember)[-1].memory
        last = dict(said(effects))
        whole = last.get(FRONT_DOOR)
        own = {topic: payload for topic, payload in last.items() if "/nuki2mqtt_1A2B3C4D/" in topic}
        singles = {topic: payload for topic, payload in own.items() if topic != FRONT_DOOR}
        if config is CONFIG:
            assert whole
            assert set(singles.values()) <= {""}
            assert [topic for topic in memory.announced if "/device/" not in topic] == []
        else:
            assert whole == ""
            lock = json.loads(singles["homeassistant/lock/nuki2mqtt_1A2B3C4D/lock/config"])
            assert (lock["uniq_id"], lock["qos"], "cmd_tpl" in lock, "p" in lock) == (
                "nuki2mqtt_1A2B3C4D_lock",
                0,
                False,
                False,
            )
            assert lock["dev"]["ids"] == ["nuki2mqtt_1A2B3C4D"]
            assert [topic for topic in memory.announced if "/device/" in topic] == []


def test_in_the_entity_form_the_time_of_commands_can_be_asked_for() -> None:
    hand = Hand.with_config(f"{CONFIG}homeassistant: {{form: entity, command_ts: 'on'}}\n")
    asked = hand.own_base()
    told = dict(said(asked + hand.follow(entry(LOCKED, -5), asked=asked)))
    lock = json.loads(told["homeassistant/lock/nuki2mqtt_1A2B3C4D/lock/config"])

    assert (lock["qos"], "utcnow()" in lock["cmd_tpl"]) == (1, True)
