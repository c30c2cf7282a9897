"""Between a gateway and the simulated cloud in virtual time: requests there, webhooks here; no sockets."""

from collections.abc import Mapping

from nuki2mqtt.errors import UnreadableBody, WebError, WebErrorKind
from nuki2mqtt.gateway.vocabulary import CallWeb, WebhookReceived
from nuki2mqtt.protocol.settings import Settings
from nuki2mqtt.protocol.web_api import WebAnswer, read_response
from nuki2mqtt.protocol.webhooks import SIGNATURE_HEADER, is_signed, parse_webhook, repeat_key
from nuki2mqtt.simulator.bridge import Ending
from nuki2mqtt.simulator.web import SimulatedCloud

TIMEOUT_S = 30.0
ENDINGS = {
    Ending.REFUSED: (WebErrorKind.REFUSED, 0.05),
    Ending.RESET: (WebErrorKind.RESET, 0.1),
    Ending.SILENT: (WebErrorKind.TIMEOUT, TIMEOUT_S),
}


def ask(
    cloud: SimulatedCloud | None, call: CallWeb, now: float, monotonic: float
) -> tuple[WebAnswer | WebError, float]:
    """What becomes of a request that goes out now, and after how many seconds; without a cloud nobody listens."""
    if call.not_after is not None and monotonic >= call.not_after:
        return WebError(WebErrorKind.TOO_LATE), 0.0
    if cloud is None:
        return WebError(WebErrorKind.REFUSED), 0.05
    request = call.request
    headers = {"Authorization": f"Bearer {call.token.reveal()}"}
    said = cloud.answer(request.method, request.path, request.query(), headers, request.body() or b"", now)
    if said.ending is not Ending.ANSWERED:
        kind, delay_s = ENDINGS[said.ending]
        return WebError(kind), delay_s
    try:
        retry_after = said.headers.get("Retry-After")
        return read_response(request, said.status, said.body, retry_after=retry_after), said.delay_s
    except WebError as error:
        return error, said.delay_s


class WebhookDoor:
    """What the adapter's door does with a post: signature, repeats, status."""

    def __init__(self, settings: Settings) -> None:
        self.is_open = False
        self.port = settings.nuki_web.webhook.port
        self._secret = settings.nuki_web.webhook.secret
        self._taken: set[str] = set()

    def take(self, headers: Mapping[str, str], body: bytes, monotonic: float) -> tuple[int, WebhookReceived | None]:
        """The status of the answer, and the event if there is one."""
        if not self.is_open or self._secret is None:
            return 502, None  # the reverse proxy's
        if not is_signed(body, headers.get(SIGNATURE_HEADER), self._secret):
            return 403, None
        try:
            hooks = parse_webhook(body)
        except UnreadableBody:
            return 400, None
        new = tuple(hook for hook in hooks if (key := repeat_key(hook)) is None or key not in self._taken)
        self._taken |= {key for hook in new if (key := repeat_key(hook)) is not None}
        return 204, WebhookReceived(new, monotonic) if new else None
