"""Which action a word or a number means (docs/topics.md, "Commands"): every spelling for every type of device."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuki2mqtt.model.action import Action, actions_of
from nuki2mqtt.model.device import DEVICE_TYPES
from nuki2mqtt.protocol.command_words import find_action, fold

LOCKS, OPENER, BOX, UNKNOWN = (0, 3, 4, 5), 2, 1, 99
LOCK_WORDS = {
    "unlock": Action.UNLOCK,
    "lock": Action.LOCK,
    "unlatch": Action.UNLATCH,
    "lock_n_go": Action.LOCK_N_GO,
    "lock_n_go_unlatch": Action.LOCK_N_GO_UNLATCH,
    "open": Action.UNLATCH,
}
OPENER_WORDS = {
    "activate_rto": Action.ACTIVATE_RTO,
    "deactivate_rto": Action.DEACTIVATE_RTO,
    "electric_strike": Action.ELECTRIC_STRIKE,
    "activate_cm": Action.ACTIVATE_CM,
    "deactivate_cm": Action.DEACTIVATE_CM,
    "open": Action.ELECTRIC_STRIKE,
    "unlock": Action.ACTIVATE_RTO,
    "lock": Action.DEACTIVATE_RTO,
}
UNDERSTOOD = {
    **dict.fromkeys(LOCKS, LOCK_WORDS),
    OPENER: OPENER_WORDS,
    BOX: {},
    UNKNOWN: {"unlock": Action.UNLOCK, "lock": Action.LOCK},
}
# Bridge API 1.13.2 section 4.4.
LOCK_NUMBERS = {
    1: Action.UNLOCK,
    2: Action.LOCK,
    3: Action.UNLATCH,
    4: Action.LOCK_N_GO,
    5: Action.LOCK_N_GO_UNLATCH,
}
OPENER_NUMBERS = {
    1: Action.ACTIVATE_RTO,
    2: Action.DEACTIVATE_RTO,
    3: Action.ELECTRIC_STRIKE,
    4: Action.ACTIVATE_CM,
    5: Action.DEACTIVATE_CM,
}
NUMBERS = {
    **dict.fromkeys(LOCKS, LOCK_NUMBERS),
    OPENER: OPENER_NUMBERS,
    BOX: {},
    UNKNOWN: {1: Action.UNLOCK, 2: Action.LOCK},
}
ALL_WORDS = sorted(LOCK_WORDS | OPENER_WORDS)
SEPARATORS = ("_", "-", " ", "", "'", "\u2019", ".", " '")


def spellings(word: str) -> set[str]:
    """A word as people write it: in any case, with any separator or none."""
    written = {separator.join(word.split("_")) for separator in SEPARATORS}
    camel = "".join(part.capitalize() for part in word.split("_"))
    written |= {camel, camel[0].lower() + camel[1:]}
    return {case(text) for text in written for case in (str.lower, str.upper, str.title, str)}


def test_no_device_type_is_forgotten_here() -> None:
    assert set(UNDERSTOOD) == set(NUMBERS) == {*DEVICE_TYPES, UNKNOWN}


@pytest.mark.parametrize("device_type", UNDERSTOOD)
@pytest.mark.parametrize("word", ALL_WORDS)
def test_every_spelling_of_every_word(word: str, device_type: int) -> None:
    for written in spellings(word):
        assert find_action(written, device_type) is UNDERSTOOD[device_type].get(word), written


@pytest.mark.parametrize("device_type", NUMBERS)
def test_every_number(device_type: int) -> None:
    found = {number: find_action(number, device_type) for number in range(-10, 1000)}
    assert {number: action for number, action in found.items() if action is not None} == NUMBERS[device_type]


@pytest.mark.parametrize(
    "word",
    [
        "",
        " ",
        "_",
        "'",
        "toggle",
        "lock now",
        "lockk",
        "unlok",
        "lock_n_go_2",
        "1",
        "true",
        "\ud83d",
        "lock\x00",
        "öffnen",
    ],
)
def test_words_that_nobody_knows(word: str) -> None:
    assert [find_action(word, device_type) for device_type in UNDERSTOOD] == [None] * len(UNDERSTOOD)


@given(st.text(max_size=40) | st.integers(), st.integers(0, 0xFFFF_FFFF) | st.sampled_from(DEVICE_TYPES))
def test_nothing_means_what_a_device_does_not_understand(word: str | int, device_type: int) -> None:
    action = find_action(word, device_type)
    assert action is None or action in actions_of(device_type)


def test_no_two_actions_are_written_alike() -> None:
    for one, other in itertools.combinations(Action, 2):
        assert fold(one) != fold(other)


def test_lock_never_opens_and_unlock_never_unlatches() -> None:
    """The words that people say without thinking of the device."""
    for device_type in UNDERSTOOD:
        action = find_action("lock", device_type)
        assert action is None or not actions_of(device_type)[action].opens
        assert find_action("unlock", device_type) not in {Action.UNLATCH, Action.ELECTRIC_STRIKE}
