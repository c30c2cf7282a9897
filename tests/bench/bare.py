"""`python -m tests.bench.bare`: imports what the gateway imports, connects, publishes one state and stays."""

import asyncio
import sys

import aiohttp.web
import aiomqtt
import cattrs
import nacl.secret
import nacl.utils
import paho.mqtt.client
import yaml

LIBRARIES = (asyncio, aiohttp.web, aiomqtt, cattrs, nacl.secret, nacl.utils, paho.mqtt.client, yaml)
HOST = "127.0.0.1"
PROTOCOLS = {"5": aiomqtt.ProtocolVersion.V5, "3.1.1": aiomqtt.ProtocolVersion.V311}


async def stay(broker_port: int, protocol: str, topic: str) -> None:
    """Connect, publish, and wait to be ended."""
    async with aiomqtt.Client(HOST, broker_port, protocol=PROTOCOLS[protocol]) as mqtt:
        await mqtt.publish(topic, '{"state":"locked"}', qos=1, retain=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(stay(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
