"""Which token mode comes next (docs/architecture.md, "Whom we talk to")."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuki2mqtt.gateway.auth_ladder import AuthLadder
from nuki2mqtt.protocol.bridge_auth import AuthMode
from nuki2mqtt.protocol.settings_words import AuthSetting

ENCRYPTED, HASHED, PLAIN = AuthMode.ENCRYPTED, AuthMode.HASHED, AuthMode.PLAIN
CONFIGURED = [AuthSetting.ENCRYPTED, AuthSetting.HASHED, AuthSetting.PLAIN]


def first_contact(*, allow_plain: bool = False) -> AuthLadder:
    return AuthLadder(AuthSetting.AUTO, None, allow_plain=allow_plain)


def modes(ladder: AuthLadder, *refusals_at: float, is_clock_trusted: bool = True) -> list[AuthMode]:
    """The mode of the first request and of the one after each refusal."""
    tried = [ladder.mode]
    for now in refusals_at:
        ladder.refused(now, is_clock_trusted=is_clock_trusted)
        tried.append(ladder.mode)
    return tried


def test_a_first_contact_tries_encrypted_twice_then_hashed_and_both_in_turn() -> None:
    assert modes(first_contact(), 0, 1, 3, 33, 93, 153, 213) == [
        ENCRYPTED,
        ENCRYPTED,
        HASHED,
        ENCRYPTED,
        HASHED,
        ENCRYPTED,
        HASHED,
        ENCRYPTED,
    ]


def test_plain_is_tried_where_allowed_after_two_minutes_of_refusals() -> None:
    tried = modes(first_contact(allow_plain=True), 0, 1, 3, 33, 93, 153)

    assert tried == [ENCRYPTED, ENCRYPTED, HASHED, ENCRYPTED, HASHED, ENCRYPTED, PLAIN]


@pytest.mark.parametrize(
    ("refusals_at", "is_plain"),
    [
        ((0, 60, 119.9), False),
        ((0, 60, 120), True),
        ((0, 120), False),
        ((0, 300), False),
        ((0, 1, 120), True),
        ((1000, 1060, 1120), True),
    ],
)
def test_plain_needs_three_refusals_over_two_minutes(refusals_at: tuple[float, ...], *, is_plain: bool) -> None:
    assert (modes(first_contact(allow_plain=True), *refusals_at)[-1] is PLAIN) is is_plain


def test_plain_needs_a_trusted_clock() -> None:
    assert PLAIN not in modes(first_contact(allow_plain=True), *range(0, 3600, 60), is_clock_trusted=False)


def test_plain_needs_the_setting() -> None:
    assert PLAIN not in modes(first_contact(), *range(0, 3600, 60))


def test_plain_comes_as_soon_as_the_clock_is_trusted() -> None:
    ladder = first_contact(allow_plain=True)
    modes(ladder, 0, 100, 200, 300, is_clock_trusted=False)

    assert modes(ladder, 301)[-1] is PLAIN


def test_a_refused_plain_token_goes_back_to_encrypted_and_comes_again() -> None:
    ladder = first_contact(allow_plain=True)

    assert modes(ladder, 0, 60, 120)[-1] is PLAIN
    assert modes(ladder, 121, 122) == [PLAIN, ENCRYPTED, PLAIN]


def test_the_two_minutes_begin_anew_after_a_success() -> None:
    ladder = AuthLadder(AuthSetting.AUTO, None, allow_plain=True)
    ladder.refused(0, is_clock_trusted=True)
    ladder.accepted()
    ladder.refused(1000, is_clock_trusted=True)

    assert (ladder.mode, ladder.proven) == (ENCRYPTED, ENCRYPTED)


@pytest.mark.parametrize("mode", AuthMode)
def test_the_mode_that_worked_is_never_left(mode: AuthMode) -> None:
    ladder = AuthLadder(AuthSetting.AUTO, mode, allow_plain=True)

    assert set(modes(ladder, *range(0, 3600, 60))) == {mode}
    assert (ladder.proven, ladder.learnt) == (mode, mode)


@pytest.mark.parametrize("setting", CONFIGURED)
@pytest.mark.parametrize("remembered", [None, *AuthMode])
def test_a_configured_mode_is_used_as_it_is_and_not_remembered(
    setting: AuthSetting, remembered: AuthMode | None
) -> None:
    ladder = AuthLadder(setting, remembered, allow_plain=True)

    assert {str(mode) for mode in modes(ladder, *range(0, 3600, 60))} == {setting.value}
    ladder.accepted()
    assert (str(ladder.proven), ladder.learnt) == (setting.value, None)


def test_what_worked_at_the_first_contact_is_learnt() -> None:
    ladder = first_contact()
    assert (ladder.proven, ladder.learnt) == (None, None)

    modes(ladder, 0, 1)
    ladder.accepted()

    assert (ladder.mode, ladder.proven, ladder.learnt) == (HASHED, HASHED, HASHED)
    assert set(modes(ladder, *range(100, 3600, 60))) == {HASHED}


@pytest.mark.parametrize(("refusals", "is_exhausted"), [(0, False), (1, False), (2, False), (3, True), (9, True)])
def test_a_first_contact_is_exhausted_when_each_mode_was_tried(refusals: int, *, is_exhausted: bool) -> None:
    ladder = first_contact()
    modes(ladder, *range(refusals))

    assert ladder.is_exhausted is is_exhausted


@pytest.mark.parametrize(("setting", "remembered"), [(AuthSetting.AUTO, AuthMode.HASHED), (AuthSetting.PLAIN, None)])
def test_a_known_mode_is_exhausted_at_its_first_refusal(setting: AuthSetting, remembered: AuthMode | None) -> None:
    ladder = AuthLadder(setting, remembered, allow_plain=False)
    seen = [ladder.is_exhausted]
    ladder.refused(0, is_clock_trusted=True)
    seen.append(ladder.is_exhausted)
    ladder.accepted()
    seen.append(ladder.is_exhausted)

    assert seen == [False, True, False]


STEPS = st.lists(st.tuples(st.floats(0, 100), st.booleans(), st.booleans()), max_size=30)


@given(STEPS)
def test_plain_is_never_sent_where_it_is_not_allowed(steps: list[tuple[float, bool, bool]]) -> None:
    ladder, now = first_contact(), 0.0
    for delay, is_accepted, is_trusted in steps:
        now += delay
        if is_accepted:
            ladder.accepted()
        else:
            ladder.refused(now, is_clock_trusted=is_trusted)
        assert ladder.mode is not PLAIN


@given(STEPS)
def test_after_the_first_success_the_mode_stays(steps: list[tuple[float, bool, bool]]) -> None:
    ladder, now, worked = first_contact(allow_plain=True), 0.0, None
    for delay, is_accepted, is_trusted in steps:
        now += delay
        if is_accepted:
            worked = worked or ladder.mode
            ladder.accepted()
        else:
            ladder.refused(now, is_clock_trusted=is_trusted)
        assert ladder.learnt is worked
        assert worked is None or ladder.mode is worked
