"""The test page: built from `browser/` and served on the loopback address, a secure context for microphones."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

_SOURCE = Path(__file__).parent / "browser"
_INSTALL_LIMIT_S = 300.0
_BUILD_LIMIT_S = 180.0


async def build_page(target: Path) -> Path:
    """Bundle the page into `target`; packages come from the lock file, unless they are there."""
    if not (_SOURCE / "node_modules" / "esbuild").exists():
        await _run("npm", "ci", "--ignore-scripts", limit_s=_INSTALL_LIMIT_S)
    await _run("node", "build.mjs", str(target), limit_s=_BUILD_LIMIT_S)
    return target


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[str]:
    """Serve `folder`; gives the address of its `index.html`."""
    application = web.Application()
    application.router.add_static("/", folder)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        port = runner.addresses[0][1]
        yield f"http://127.0.0.1:{port}/index.html"
    finally:
        await runner.cleanup()


async def _run(*command: str, limit_s: float) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=_SOURCE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), limit_s)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise RuntimeError(f"{' '.join(command)} did not end in {limit_s:.0f} s") from None
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{output.decode(errors='replace')}")
