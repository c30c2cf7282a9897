"""Who did what in a whole gateway: what the cloud's state and log bring, and when it is told."""

import pytest

from nuki2mqtt.model.cloud_device import CloudFacts
from tests.gateway.builders import state
from tests.gateway.cloud_site import CLOUD_CONFIG, CloudSite, twin, wifi

STUDIO = "studio"
LOCKED_BY_HAND = CloudFacts(server_state_code=0, last_action_code=2, trigger_code=2)
WITHOUT_LOG = CLOUD_CONFIG.replace("log: true", "log: false")


# --- what the cloud's state says of the last deed ---


@pytest.mark.parametrize("config", [CLOUD_CONFIG, WITHOUT_LOG], ids=["log", "no log"])
def test_the_trigger_of_an_older_deed_is_not_that_of_a_change_that_the_bridge_told(config: str) -> None:
    site = CloudSite.with_cloud(twin(state(1), facts=LOCKED_BY_HAND), config=config, seconds=70)
    assert site.shows("last_action", "trigger") == ("lock", "button")
    site.call_back(state(3, 2))
    site.wait(1)
    site.call_back(state(1, 2))
    site.wait(70)

    assert site.shows("state", "trigger") == ("locked", None)


def test_of_a_change_that_the_cloud_told_its_state_knows_the_trigger() -> None:
    site = CloudSite.with_cloud(wifi(3))
    site.have(wifi(1, facts=LOCKED_BY_HAND))
    site.wait(130)

    assert site.shows("state", "last_action", "trigger", to=STUDIO) == ("locked", "lock", "button")
