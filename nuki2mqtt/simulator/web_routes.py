"""The cloud's table of calls: which there are, which scopes they need, what does the work. Pure.

Source: reference of the Web API, sections 1.1 and 2.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nuki2mqtt.simulator import house as physical
from nuki2mqtt.simulator import web_auths as auths
from nuki2mqtt.simulator import web_hooks as hooks
from nuki2mqtt.simulator import web_locks as locks
from nuki2mqtt.simulator import web_log_calls as log
from nuki2mqtt.simulator.web_locks import Reply
from nuki2mqtt.simulator.web_values import CloudAsked, CloudRefusalError

if TYPE_CHECKING:
    from nuki2mqtt.simulator.web import SimulatedCloud

SCOPES = (
    "account",
    "notification",
    "smartlock",
    "smartlock.readOnly",
    "smartlock.action",
    "smartlock.auth",
    "smartlock.config",
    "smartlock.log",
    "smartlock.create",
    "webhook.decentral",
)
_READ = frozenset({"smartlock", "smartlock.readOnly"})
_RENAME = frozenset({"smartlock"})
_ACT = frozenset({"smartlock.action"})
_AUTH = frozenset({"smartlock.auth"})
_LOG = frozenset({"smartlock.log"})
_CONFIG = frozenset({"smartlock.config"})
_HOOK = frozenset({"webhook.decentral"})


@dataclass(frozen=True, slots=True)
class CloudCall:
    """One call; `template` has its values in braces, and any one of the scopes is enough."""

    method: str
    template: str
    scopes: frozenset[str]
    work: "Callable[[SimulatedCloud, CloudAsked], Reply]" = field(repr=False)

    def places(self, path: str) -> dict[str, str] | None:
        """The values in the path; None if it is another call's."""
        wanted, given = self.template.split("/"), path.split("/")
        if len(wanted) != len(given):
            return None
        pairs = list(zip(wanted, given, strict=True))
        if any(part != name and not (name.startswith("{") and part) for name, part in pairs):
            return None
        return {name[1:-1]: part for name, part in pairs if name.startswith("{")}


_LOCK = "/smartlock/{smartlockId}"
CALLS = (
    CloudCall("GET", "/account", frozenset({"account"}), log.account),
    CloudCall("GET", "/smartlock", _READ, locks.list_all),
    CloudCall("GET", "/smartlock/auth", _AUTH, auths.list_all),
    CloudCall("PUT", "/smartlock/auth", _AUTH, auths.create_on_many),
    CloudCall("POST", "/smartlock/auth", _AUTH, auths.update_many),
    CloudCall("DELETE", "/smartlock/auth", _AUTH, auths.delete_many),
    CloudCall("GET", "/smartlock/auth/paged", _AUTH, auths.list_paged),
    CloudCall("PUT", "/smartlock/auth/advanced", _AUTH, auths.create_advanced),
    CloudCall("GET", "/smartlock/log", _LOG, log.list_all),
    CloudCall("GET", _LOCK, _READ, locks.show),
    CloudCall("POST", _LOCK, _RENAME, locks.rename),
    CloudCall("POST", f"{_LOCK}/action", _ACT, locks.act),
    CloudCall("POST", f"{_LOCK}/action/advanced", _ACT, locks.act_advanced),
    CloudCall("POST", f"{_LOCK}/action/lock", _ACT, locks.act_simply(physical.LOCK)),
    CloudCall("POST", f"{_LOCK}/action/unlock", _ACT, locks.act_simply(physical.UNLOCK)),
    CloudCall("POST", f"{_LOCK}/action/lock/advanced", _ACT, locks.act_simply(physical.LOCK, is_advanced=True)),
    CloudCall("POST", f"{_LOCK}/action/unlock/advanced", _ACT, locks.act_simply(physical.UNLOCK, is_advanced=True)),
    CloudCall("POST", f"{_LOCK}/sync", _ACT, locks.sync),
    CloudCall("POST", f"{_LOCK}/config", _CONFIG, locks.configure("config")),
    CloudCall("POST", f"{_LOCK}/advanced/config", _CONFIG, locks.configure("advancedConfig")),
    CloudCall("POST", f"{_LOCK}/advanced/openerconfig", _CONFIG, locks.configure("openerAdvancedConfig")),
    CloudCall("POST", f"{_LOCK}/advanced/smartdoorconfig", _CONFIG, locks.configure("smartdoorAdvancedConfig")),
    CloudCall("POST", f"{_LOCK}/web/config", _CONFIG, locks.configure_web),
    CloudCall("GET", f"{_LOCK}/auth", _AUTH, auths.list_of_lock),
    CloudCall("PUT", f"{_LOCK}/auth", _AUTH, auths.create),
    CloudCall("GET", f"{_LOCK}/auth/{{id}}", _AUTH, auths.show),
    CloudCall("POST", f"{_LOCK}/auth/{{id}}", _AUTH, auths.update),
    CloudCall("DELETE", f"{_LOCK}/auth/{{id}}", _AUTH, auths.delete),
    CloudCall("GET", f"{_LOCK}/log", _LOG, log.list_of_lock),
    CloudCall("GET", "/api/decentralWebhook", _HOOK, hooks.listing),
    CloudCall("PUT", "/api/decentralWebhook", _HOOK, hooks.register),
    CloudCall("DELETE", "/api/decentralWebhook/{id}", _HOOK, hooks.unregister),
)


def find_call(method: str, path: str) -> tuple[CloudCall, Mapping[str, str]]:
    """The call of a request and the values in its path; raises CloudRefusalError (404, 405)."""
    found = [(call, places) for call in CALLS if (places := call.places(path)) is not None]
    for call, places in sorted(found, key=lambda one: len(one[1])):  # a word before a value
        if call.method == method:
            return call, places
    raise CloudRefusalError(405 if found else 404)
