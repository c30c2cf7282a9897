"""Which device has which topic, for ever (docs/topics.md, first paragraph)."""

import json

import pytest

from nuki2mqtt.gateway.devices import Devices
from nuki2mqtt.gateway.topic_memory import TopicMemory
from nuki2mqtt.gateway.vocabulary import DeviceMemory, Memory
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.state import Snapshot
from nuki2mqtt.protocol.payloads import RetainedSnapshot
from tests.gateway.builders import CONFIG, ZERO, read

FRONT, BACK, YARD = NukiId(0x1A2B3C4D), NukiId(0x4D5E6F70), NukiId(0x0000BEEF)


def snapshot(nuki_id: NukiId, name: str, device_type: int = 4) -> Snapshot:
    return Snapshot(nuki_id=nuki_id, device_type=device_type, name=name)


def retained(nuki_id: NukiId, name: str) -> RetainedSnapshot:
    body = json.dumps({"id": str(nuki_id), "name": name, "device_type": 4}).encode()
    return RetainedSnapshot(nuki_id, name, 4, body)


def memory_of(memory: Memory | None = None, config: str = CONFIG) -> TopicMemory:
    return TopicMemory(read(config), memory or Memory(), Devices(ZERO))


def with_devices(text: str) -> str:
    return f"{CONFIG}devices:\n{text}"


def topics(made: TopicMemory) -> dict[NukiId, str]:
    return {nuki_id: device.topic for nuki_id, device in made.known.items()}


def test_a_device_gets_the_slug_of_its_name_when_first_seen() -> None:
    made = memory_of()

    assert made.assign([snapshot(FRONT, "Front door")]) == []
    assert made.known == {FRONT: DeviceMemory("front_door", "Front door", 4)}
    assert made.retired == {"front_door": FRONT}


def test_a_rename_changes_the_shown_name_and_not_the_topic() -> None:
    made = memory_of()
    made.assign([snapshot(FRONT, "Front door")])

    assert made.assign([snapshot(FRONT, "Main entrance", 3)]) == []
    assert made.known == {FRONT: DeviceMemory("front_door", "Main entrance", 3)}


def test_a_remembered_topic_stays_whatever_the_name_is() -> None:
    made = memory_of(Memory(devices={FRONT: DeviceMemory("old_topic", "Front door", 4)}))
    made.assign([snapshot(FRONT, "Front door")])

    assert topics(made) == {FRONT: "old_topic"}


def test_two_equal_names_first_seen_together_both_get_a_suffix() -> None:
    made = memory_of()
    made.assign([snapshot(FRONT, "Door"), snapshot(BACK, "door"), snapshot(YARD, "Yard")])

    assert topics(made) == {FRONT: "door_3c4d", BACK: "door_6f70", YARD: "yard"}


def test_beside_a_remembered_one_only_the_newcomer_gets_a_suffix() -> None:
    made = memory_of()
    made.assign([snapshot(FRONT, "Door")])
    made.assign([snapshot(FRONT, "Door"), snapshot(BACK, "Door")])

    assert topics(made) == {FRONT: "door", BACK: "door_6f70"}


def test_a_slug_once_used_by_another_id_is_not_given_away() -> None:
    made = memory_of(Memory(retired_topics={"door": BACK}))
    made.assign([snapshot(FRONT, "Door")])

    assert topics(made) == {FRONT: "door_3c4d"}


def test_a_topic_that_another_device_has_is_not_given_away() -> None:
    made = memory_of(Memory(devices={BACK: DeviceMemory("door", "Door", 4)}))
    made.assign([snapshot(FRONT, "Door")])

    assert topics(made) == {BACK: "door", FRONT: "door_3c4d"}


def test_a_device_gets_back_the_slug_that_it_once_had() -> None:
    made = memory_of(Memory(retired_topics={"door": FRONT}))
    made.assign([snapshot(FRONT, "Door")])

    assert topics(made) == {FRONT: "door"}


# --- with the state file lost ---


def test_with_the_state_file_lost_our_own_retained_snapshots_tell_the_topics() -> None:
    made, devices = memory_of(), Devices(ZERO)
    made.learn_retained({"old_topic": retained(FRONT, "Front door")}, devices)
    made.assign([snapshot(FRONT, "Front door"), snapshot(BACK, "Old topic")])

    assert topics(made) == {FRONT: "old_topic", BACK: "old_topic_6f70"}
    assert (devices.ids(), devices.device_type(FRONT)) == ((FRONT,), 4)


def test_what_the_state_file_remembers_goes_before_retained_snapshots() -> None:
    made = memory_of(Memory(devices={FRONT: DeviceMemory("mine", "Front door", 4)}, retired_topics={"mine": FRONT}))
    made.learn_retained({"other": retained(FRONT, "x"), "mine": retained(BACK, "y")}, Devices(ZERO))

    assert topics(made) == {FRONT: "mine"}
    assert made.retired == {"mine": FRONT, "other": FRONT}


@pytest.mark.parametrize("topic", ["gateway", "bridge", "1a2b3c4d", "1A2B3C4D"])
def test_a_level_that_no_device_may_have_is_not_learnt_from_the_broker(topic: str) -> None:
    made = memory_of()
    made.learn_retained({topic: retained(FRONT, "Front door")}, Devices(ZERO))
    made.assign([snapshot(FRONT, "Front door")])

    assert topics(made) == {FRONT: "front_door"}


# --- with settings ---


def test_a_configured_topic_goes_before_everything_and_gives_the_old_one_up() -> None:
    config = with_devices("  1A2B3C4D: {topic: haustuer}\n")
    made = memory_of(Memory(devices={FRONT: DeviceMemory("front_door", "Front door", 4)}), config)

    assert made.assign([snapshot(FRONT, "Front door")]) == ["front_door"]
    assert topics(made) == {FRONT: "haustuer"}
    assert made.assign([snapshot(FRONT, "Front door")]) == []


def test_a_configured_topic_is_not_given_to_another_by_chance() -> None:
    config = with_devices("  1A2B3C4D: {topic: door}\n")
    made = memory_of(config=config)
    made.assign([snapshot(BACK, "Door")])

    assert topics(made) == {BACK: "door_6f70"}


def test_a_device_whose_topic_a_setting_gives_to_another_gets_a_new_one() -> None:
    config = with_devices("  1A2B3C4D: {topic: door}\n")
    made = memory_of(Memory(devices={BACK: DeviceMemory("door", "Door", 4)}, retired_topics={"door": BACK}), config)
    made.assign([snapshot(FRONT, "Front door"), snapshot(BACK, "Door")])

    assert topics(made) == {FRONT: "door", BACK: "door_6f70"}


def test_ignored_devices_are_told_stale_at_the_start_since_their_topics_are_still_there() -> None:
    config = with_devices("  1A2B3C4D: {ignore: true}\n")
    memory = Memory(devices={FRONT: DeviceMemory("a", "A", 4), BACK: DeviceMemory("b", "B", 0)})

    assert dict(memory_of(memory, config).remembered()) == memory.devices


def test_remembered_devices_are_known_from_the_start() -> None:
    devices = Devices(ZERO)
    TopicMemory(read(), Memory(devices={FRONT: DeviceMemory("a", "A", 3)}), devices)

    assert (devices.knows(FRONT), devices.device_type(FRONT), devices.snapshot(FRONT).name) == (True, 3, "A")
