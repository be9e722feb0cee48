"""The reference: a bare proxy of aiohttp and Litestar's `Stream`, which does nothing else.

python -m tests.bench.proxy http://127.0.0.1:PORT
"""

from __future__ import annotations

import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import uvicorn
from litestar import Litestar, Request, post
from litestar.datastructures import State
from litestar.response import Stream


@post(["/v1/audio/speech", "/slow/v1/audio/speech"], status_code=200)
async def speak(request: Request[Any, Any, State]) -> Stream:
    state = request.app.state
    answer: aiohttp.ClientResponse = await state.session.post(
        state.upstream + request.url.path,
        data=await request.body(),
        headers={"content-type": "application/json"},
    )
    return Stream(_body(answer), media_type=answer.content_type)


async def _body(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async with answer:
        async for chunk in answer.content.iter_any():
            yield chunk


@asynccontextmanager
async def _session(app: Litestar) -> AsyncIterator[None]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        app.state.session = session
        yield


def main(upstream: str) -> None:
    app = Litestar([speak], lifespan=[_session], logging_config=None, openapi_config=None)
    app.state.upstream = upstream
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        host, port = listener.getsockname()
        print(f"http://{host}:{port}", flush=True)
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, proxy_headers=False
        )
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(sys.argv[1])
