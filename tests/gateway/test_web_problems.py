"""What people are told of the cloud: what it is, the next step, and that nothing else is concerned."""

import pytest

from nuki2mqtt.errors import WebError, WebErrorKind
from nuki2mqtt.gateway import web_problems
from nuki2mqtt.gateway.web_jobs import WebJob, WebJobKind
from nuki2mqtt.gateway.web_refusals import WebRefusals
from nuki2mqtt.protocol.web_api import ActivityRequest
from tests.gateway.builders import LOCK
from tests.gateway.cloud_desk import LOCK_ID

JOB = WebJob(WebJobKind.LOG, ActivityRequest(LOCK_ID))


@pytest.mark.parametrize("kind", WebErrorKind)
def test_every_failure_names_its_kind_a_step_and_what_goes_on(kind: WebErrorKind) -> None:
    bare, told = (web_problems.failure(WebError(kind, detail)) for detail in ("", "HTTP 500: no"))

    assert bare.startswith(f"Nuki Web: {kind}. ")
    assert told.startswith(f"Nuki Web: {kind} (HTTP 500: no). ")
    assert bare.endswith(". Bridges are not concerned.")
    assert len(bare) > len(f"Nuki Web: {kind}. Bridges are not concerned.") + 10


def test_a_refused_token_names_feature_scope_and_setting() -> None:
    error = WebError(WebErrorKind.TOKEN_REFUSED, "HTTP 401: Your access token is not authorized")
    text = web_problems.refused(WebRefusals().refuse(JOB, error, 0.0), error)

    assert text == (
        "Nuki Web refuses the token for who opened the door (HTTP 401: Your access token is not authorized). If it was "
        "replaced, or the password of the account was changed, make a new one in Nuki Web (menu API) with the scope "
        "smartlock.log and set `nuki_web.token`. Everything else goes on; this is tried again now and then."
    )


def test_a_refused_device_is_named() -> None:
    error = WebError(WebErrorKind.FORBIDDEN)
    text = web_problems.refused(WebRefusals().refuse(JOB, error, 0.0), error)

    assert text.startswith(f"Nuki Web refuses who opened the door of device {LOCK} (forbidden).")


def test_refusals_are_of_a_scope_or_of_a_device_and_end_by_a_success() -> None:
    refusals = WebRefusals()
    every = refusals.refuse(JOB, WebError(WebErrorKind.TOKEN_REFUSED), 0.0)
    one = refusals.refuse(JOB, WebError(WebErrorKind.FORBIDDEN), 0.0)

    assert (every.nuki_id, one.nuki_id, every.is_new) == (None, LOCK, True)
    assert (refusals.scopes, refusals.devices) == (("smartlock.log",), (LOCK,))
    assert [refusals.find("smartlock.log", 7, now) for now in (59.9, 60.0)] == [WebErrorKind.TOKEN_REFUSED, None]
    assert refusals.find("smartlock.auth", LOCK_ID, 0.0) is None
    again = [refusals.refuse(JOB, WebError(WebErrorKind.TOKEN_REFUSED), 0.0).until for _ in range(4)]
    assert again == [900, 3600, 3600, 3600]
    assert (refusals.grant(JOB), refusals.grant(JOB), refusals.scopes, refusals.devices) == (True, False, (), ())


@pytest.mark.parametrize("scope", ["smartlock.readOnly", "smartlock.action", "smartlock.auth", "account", "else"])
def test_a_scope_has_a_feature(scope: str) -> None:
    assert (web_problems.feature_of(scope) == scope) is (scope == "else")
