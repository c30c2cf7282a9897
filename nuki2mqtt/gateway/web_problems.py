"""What can be wrong with the cloud, told to a person, with the next step."""

from nuki2mqtt.errors import WebError, WebErrorKind
from nuki2mqtt.gateway.web_refusals import Refusal

# What is missing without a scope (web reference 1.1).
_FEATURES = {
    "smartlock.readOnly": "reading the locks",
    "smartlock.action": "commands and syncs",
    "smartlock.auth": "keypad codes and the names of people",
    "smartlock.log": "who opened the door",
    "account": "the account",
    "webhook.decentral": "webhooks",
}
_STEPS = {
    WebErrorKind.REFUSED: "Check the internet connection of this machine.",
    WebErrorKind.TIMEOUT: "Nothing is to be done: it is tried again by itself.",
    WebErrorKind.RESET: "Nothing is to be done: it is tried again by itself.",
    WebErrorKind.SERVER_ERROR: "Nuki's service has a problem; it is tried again by itself.",
    WebErrorKind.TOO_MANY: "Too many requests with this account: raise `nuki_web.poll_s`, or find the other programs.",
    WebErrorKind.UNREADABLE: "Check `nuki_web.base_url`, and whether a login page stands before the internet.",
}


def feature_of(scope: str) -> str:
    """What needs this scope."""
    return _FEATURES.get(scope, scope)


def failure(error: WebError) -> str:
    """The cloud cannot be polled."""
    detail = f" ({error.detail})" if error.detail else ""
    step = _STEPS.get(error.kind, "If this lasts, please report the text.")
    return f"Nuki Web: {error.kind}{detail}. {step} Bridges are not concerned."


def refused(refusal: Refusal, error: WebError) -> str:
    """The token is wrong, or lacks a scope, or the account has no right to one device."""
    scope, feature = refusal.scope, feature_of(refusal.scope)
    why = error.detail or error.kind
    if refusal.nuki_id is not None:
        return (
            f"Nuki Web refuses {feature} of device {refusal.nuki_id} ({why}). Check in the Nuki app that the account "
            "may administer it. Everything else goes on."
        )
    return (
        f"Nuki Web refuses the token for {feature} ({why}). If it was replaced, or the password "
        f"of the account was changed, make a new one in Nuki Web (menu API) with the scope {scope} and set "
        "`nuki_web.token`. Everything else goes on; this is tried again now and then."
    )


def granted(scope: str) -> str:
    """What was refused works."""
    return f"Nuki Web allows {feature_of(scope)} again."


def recovered() -> str:
    """The cloud can be polled again."""
    return "Nuki Web answers again."


def hooks_lost() -> str:
    """A poll told what no webhook had told."""
    return "A webhook of Nuki Web was lost: polling at full speed until the next one comes."
