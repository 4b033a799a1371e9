"""Model servers: whether that of the base has it, and which run on this machine."""

from __future__ import annotations

from pipelines.doctor.check import Check, attempt
from toolkit.bot import open_elsewhere, told_of_voice
from toolkit.config import BotConfig
from toolkit.servers import find_servers
from toolkit.servers.faults import named


def base_checks(config: BotConfig) -> list[Check]:
    """Ask the server of the base whether it has it, and say what becomes of the voice there."""
    address = config.base.address
    assert address is not None

    def look() -> str:
        open_elsewhere(config.base)
        return f"{address}, at {address.url}"

    checks = [attempt("base model", look)]
    if not address.is_local:
        open_way = " unencrypted" if address.url.startswith("http:") else ""
        found = f"questions and passages go{open_way} to {address.host}"
        checks.append(Check("what leaves this machine", True, found, note=True))
    if config.voice:
        checks.append(Check("voice", True, told_of_voice(config.base)))
    return checks


def local_servers() -> Check:
    """Tell which model servers run on this machine, and what ``base.model`` would name them."""
    told = []
    for server in find_servers():
        models = named([f"{server.kind}:{model}" for model in server.models]) or "no model yet"
        told.append(f"{server.url}: {models}")
    return Check("model servers here", True, "; ".join(told) or "none on the usual ports")
