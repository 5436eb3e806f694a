"""Holds sessions through the official SDK: an order a line, an answer a line. Time is taken in here."""

import asyncio
import json
import resource
import sys
import time

from claude_agent_sdk import (
    ClaudeAgentOptions,
    ClaudeSDKClient,
    HookMatcher,
    PermissionResultAllow,
    ResultMessage,
    StreamEvent,
    create_sdk_mcp_server,
    tool,
)


async def allow(_name, _input, _context):
    return PermissionResultAllow()


async def hook(_input, _tool_use_id, _context):
    return {}


@tool("add", "Adds two numbers", {"a": int, "b": int})
async def add(arguments):
    return {"content": [{"type": "text", "text": str(arguments["a"] + arguments["b"])}]}


def options(session):
    seams = {}
    if session["has_seams"]:
        seams = {
            "can_use_tool": allow,
            "hooks": {"PreToolUse": [HookMatcher(matcher="Write", hooks=[hook])]},
            "mcp_servers": {"calc": create_sdk_mcp_server("calc", tools=[add])},
            "allowed_tools": ["mcp__calc__add"],
        }
    return ClaudeAgentOptions(
        cli_path=session["cli"],
        cwd=session["cwd"],
        env=session["env"],
        model=session["model"],
        tools=session["tools"],
        system_prompt=session["system_prompt"],
        permission_mode="default",
        setting_sources=[],
        include_partial_messages=session["has_partials"],
        **seams,
    )


async def turn(client, prompt):
    partials = 0
    await client.query(prompt)
    async for message in client.receive_response():
        if isinstance(message, StreamEvent):
            partials += 1
        elif isinstance(message, ResultMessage) and message.is_error:
            raise RuntimeError(f"the turn failed: {message}")
    return partials


async def opened(session, prompt):
    client = ClaudeSDKClient(options(session))
    await client.connect()
    await turn(client, prompt)
    return client


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def obey(clients, order):
    """Gives the seconds, or None when it was given up, and the partial messages."""
    started = time.perf_counter()
    partials = 0
    match order["do"]:
        case "open":
            clients += await asyncio.gather(
                *(opened(session, order["prompt"]) for session in order["sessions"])
            )
        case "turn":
            partials = await turn(clients[0], order["prompt"])
        case "interrupt":
            await clients[0].query(order["prompt"])
            # It never takes more than a hundred; this is far longer than those need.
            await asyncio.sleep(2)
            started = time.perf_counter()
            try:
                await asyncio.wait_for(clients[0].interrupt(), order["patience_seconds"])
            except TimeoutError:
                return None, 0
        case other:
            raise ValueError(other)
    return time.perf_counter() - started, partials


def say(answer):
    print(json.dumps(answer), flush=True)


async def main():
    clients = []
    loop = asyncio.get_running_loop()
    say({"seconds": None, "cpu_seconds": 0, "partials": 0})
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        used = cpu_seconds()
        try:
            seconds, partials = await obey(clients, json.loads(line))
            say({"seconds": seconds, "cpu_seconds": cpu_seconds() - used, "partials": partials})
        except Exception as error:
            say({"seconds": None, "cpu_seconds": 0, "partials": 0, "problem": repr(error)})
    for client in clients:
        await client.disconnect()


asyncio.run(main())
