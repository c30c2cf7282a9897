"""What `nuki2mqtt check` says of Nuki's cloud: one read of the account's devices, as the gateway's poll makes it."""

from nuki2mqtt.adapters.nuki_web import NukiWeb
from nuki2mqtt.errors import WebError, WebErrorKind
from nuki2mqtt.faces.setup import Setup
from nuki2mqtt.gateway.web_problems import failure
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.web_api import DeviceListAnswer, DeviceListRequest

_NEW_TOKEN = f"make a new one in Nuki Web (menu API) with the scope {DeviceListRequest.scope} and set `nuki_web.token`"
_STEPS = {
    WebErrorKind.TOKEN_REFUSED: f"it is wrong, went with a change of the password, or lacks a scope: {_NEW_TOKEN}",
    WebErrorKind.FORBIDDEN: f"it may not read the locks: {_NEW_TOKEN}",
}


async def look_at_cloud(setup: Setup, token: Secret) -> tuple[bool, str]:
    """Whether the cloud lists locks for this token, and what a person should know of it."""
    async with NukiWeb(setup.settings.nuki_web.base_url) as web:
        try:
            answer = await web.send(DeviceListRequest(), token)
        except WebError as error:
            return False, _refusal(error)
    return _count(answer) if isinstance(answer, DeviceListAnswer) else (False, "Nuki Web gives no list of devices")


def _refusal(error: WebError) -> str:
    if error.kind not in _STEPS:
        return failure(error)
    status = "401" if error.kind is WebErrorKind.TOKEN_REFUSED else "403"
    said = f", {error.detail}" if error.detail else ""
    return f"Nuki Web refuses the token ({status}{said}): {_STEPS[error.kind]}"


def _count(answer: DeviceListAnswer) -> tuple[bool, str]:
    count = len(answer.devices)
    if answer.broken:
        broken = len(answer.broken)
        return False, f"Nuki Web lists {count + broken} devices, of which {broken} cannot be read: please report it"
    if not count:
        step = "open each lock's settings in the Nuki app and activate Nuki Web; or the token is of another account"
        return False, f"Nuki Web takes the token, but the account has no device: {step}"
    devices = "1 device" if count == 1 else f"{count} devices"
    return True, f"Nuki Web takes the token and lists {devices}; whether a scope is missing shows in gateway/health"
