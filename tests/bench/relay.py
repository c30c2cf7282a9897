"""`python -m tests.bench.relay`: the least that can stand between a Bridge and MQTT, on the gateway's own libraries.

It parses what comes and waits for each PUBACK before it goes on. It knows no history, no evidence, no faults.
"""

import asyncio
import json
import socket
import sys

import aiohttp
import aiomqtt
from aiohttp import web

from tests.bench.bare import HOST, PROTOCOLS

# Its `accepted` follows the PUBACK of the order at once: without this it would wait 40 ms for the broker's TCP.
NODELAY = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)


async def relay(broker_port: int, protocol: str, door_port: int, bridge_port: int) -> None:
    """Relay until it is ended."""
    bridge = aiohttp.ClientSession(f"http://{HOST}:{bridge_port}", connector=aiohttp.TCPConnector(force_close=True))
    client = aiomqtt.Client(HOST, broker_port, protocol=PROTOCOLS[protocol], socket_options=NODELAY)
    async with client as mqtt, bridge:

        async def called_back(request: web.Request) -> web.Response:
            report = json.loads(await request.read())
            device = f"relay/{report['nukiId']}"
            await mqtt.publish(device, json.dumps(report), qos=1, retain=True)
            await mqtt.publish(f"{device}/event", json.dumps({"state": report["state"]}), qos=1)
            return web.Response()

        app = web.Application()
        app.router.add_post("/callback", called_back)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, HOST, door_port).start()
        await mqtt.subscribe("relay/set", qos=1)
        await mqtt.publish("relay/state", '"online"', qos=1, retain=True)
        async for message in mqtt.messages:
            order = json.loads(str(message.payload, "utf-8"))
            await mqtt.publish("relay/result", json.dumps({"status": "accepted"}), qos=1)
            async with bridge.get("/lockAction", params=order) as answer:
                await mqtt.publish("relay/result", json.dumps({"status": "done", "said": await answer.text()}), qos=1)


if __name__ == "__main__":
    asyncio.run(relay(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
