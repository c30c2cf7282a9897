"""What is said to an order on `keypad/set`, and who has not ordered well."""

from nuki2mqtt.gateway.command_lane import response_of
from nuki2mqtt.gateway.keypad_results import Reply
from nuki2mqtt.gateway.publications import Publications
from nuki2mqtt.gateway.vocabulary import Effect, Level, Log, Moment, MqttReceived
from nuki2mqtt.model.keypad_order import KeypadPhase, KeypadReason
from nuki2mqtt.protocol.command_payloads import BadCommand
from nuki2mqtt.protocol.keypad_payloads import KeypadResult, parse_keypad_order, render_keypad_result
from nuki2mqtt.protocol.topics import TopicTree


class KeypadReplies:
    """Says results on `keypad/result` and on the response topic."""

    def __init__(self, tree: TopicTree, publications: Publications, *, publish_codes: bool) -> None:
        self._tree = tree
        self._publications = publications
        self._publish_codes = publish_codes

    def say(self, addressee: str, reply: Reply, result: KeypadResult, now: Moment, mark: str | None = None) -> None:
        """On both topics; the last of the two carries the mark."""
        payload = render_keypad_result(result, publish_codes=self._publish_codes)
        topic, answer = self._tree.keypad_result(addressee), reply.response_topic
        self._publications.reply(topic, payload, now.monotonic, mark=mark if answer is None else None)
        if answer is not None:
            correlation = reply.correlation
            self._publications.reply(answer, payload, now.monotonic, correlation=correlation, mark=mark)

    def refuse(
        self,
        addressee: str,
        reply: Reply,
        op: str | None,
        transaction: object,
        reason: KeypadReason,
        now: Moment,
        detail: str | None = None,
    ) -> list[Effect]:
        """An order that is not even looked at."""
        refused = KeypadPhase.REFUSED
        result = KeypadResult(transaction=transaction, op=op, phase=refused, reason=reason, detail=detail)
        self.say(addressee, reply, result, now)
        why = f"{reason} ({detail})" if detail else reason
        return [Log(Level.INFO, f"A keypad order for {addressee} is refused: {why}.")]

    def clear(self, message: MqttReceived, now: Moment, *, is_v5: bool) -> None:
        """Take a retained order from the broker; 3.1.1 does not tell which live one was retained, too."""
        if message.retained or not is_v5:
            self._publications.reply(message.topic, b"", now.monotonic, retain=True)

    def refuse_all(self, message: MqttReceived, now: Moment, *, is_v5: bool) -> list[Effect]:
        """A message on `keypad/set` of a gateway that does not use the cloud."""
        if not message.payload:
            return []  # our own clearing
        self.clear(message, now, is_v5=is_v5)
        addressee, reply = self._tree.addressee(message.topic), Reply(*response_of(message, self._tree))
        reason = KeypadReason.RETAINED if message.retained else KeypadReason.NOT_MANAGED
        try:
            order = parse_keypad_order(message.payload, None)
        except BadCommand as error:
            return self.refuse(addressee, reply, error.word, error.transaction, reason, now)
        return self.refuse(addressee, reply, order.op, order.transaction, reason, now)
