"""Drives the CLI through the official SDK: an order a line, an answer a line. Time is taken in here."""

import asyncio
import json
import sys
import time

from claude_agent_sdk import ClaudeAgentOptions, ClaudeSDKClient, ResultMessage, query


def options(order):
    return ClaudeAgentOptions(
        cli_path=order["cli"],
        cwd=order["cwd"],
        env=order["env"],
        model=order["model"],
        tools=order["tools"],
        system_prompt=order["system_prompt"],
        permission_mode="default",
        setting_sources=[],
    )


def check(message):
    if message.is_error:
        raise RuntimeError(f"the turn failed: {message}")


async def warm(client, order):
    started = time.perf_counter()
    await client.query(order["prompt"])
    async for message in client.receive_response():
        if isinstance(message, ResultMessage):
            took = time.perf_counter() - started
            check(message)
    return took


async def cold(order):
    took = None
    started = time.perf_counter()
    async for message in query(prompt=order["prompt"], options=options(order)):
        if isinstance(message, ResultMessage):
            took = time.perf_counter() - started
            check(message)
    return took


async def main():
    print(json.dumps({"ready": True}), flush=True)
    client = None
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order = json.loads(line)
        if order["do"] == "warm":
            if client is None:
                client = ClaudeSDKClient(options(order))
                await client.connect()
            seconds = await warm(client, order)
        else:
            seconds = await cold(order)
        print(json.dumps({"seconds": seconds}), flush=True)
    if client is not None:
        await client.disconnect()


asyncio.run(main())
