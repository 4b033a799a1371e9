"""Opening an agent: the model that calls tools, the tools, and whether a bot can have one at all."""

from __future__ import annotations

import importlib.util
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toolkit.engines.base import Decoding
from toolkit.errors import MissingExtra, ModelError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.tools import BaseTool
    from transformers import PreTrainedTokenizerBase

    from toolkit.agent.agent import Agent
    from toolkit.answering import Chain
    from toolkit.config import BotConfig


@dataclass(frozen=True)
class ToolModel:
    """A model that can call tools.

    Attributes:
        make: Returns it; what it writes stops once an event is set, where it can be stopped.
        explained: Returns an error of it with its remedy, or None.
    """

    make: Callable[[threading.Event], BaseChatModel]
    explained: Callable[[Exception], ModelError | None] = lambda error: None


def tool_model(model: BaseChatModel, decoding: Decoding) -> ToolModel | None:
    """Return a bot's model as one that can call tools, or None where it cannot.

    Args:
        model: The bot's model.
        decoding: How it writes for the agent.
    """
    from langchain_core.language_models import BaseChatModel

    engine: Any = getattr(model, "engine", None)
    engine = getattr(engine, "inner", engine)  # example replies in the prompt are for the voice
    if engine is None:
        able = type(model).bind_tools is not BaseChatModel.bind_tools
        return ToolModel(lambda cancel: model) if able else None
    if hasattr(engine, "tool_client"):
        client = engine.tool_client(decoding)
        return ToolModel(lambda cancel: client, engine.explained)
    if not hasattr(engine, "complete"):
        return None
    from toolkit.agent.local import LocalToolModel, reading_tokenizer

    tokenizer = reading_tokenizer(engine.tokenizer)
    if tokenizer is None:
        return None
    return ToolModel(
        lambda cancel: LocalToolModel(engine=engine, tokenizer=tokenizer, decoding=decoding, cancel=cancel)
    )


def open_agent(config: BotConfig, chain: Chain) -> Agent | None:
    """Return the agent of a bot; None where its settings want none, or with ``auto`` where the base cannot.

    Args:
        config: The settings of the bot.
        chain: Its chain, whose documents, model and checks the agent shares.

    Raises:
        ConfigError: A tool of the settings cannot be used.
        MissingExtra: LangChain's agents are not installed, and the settings want one.
        ModelError: The base cannot call tools, and the settings want an agent.
    """
    mode = config.chain.mode
    if mode == "chain" or chain.planner.speaker is None:
        return None
    try:
        check_installed()
        model = tool_model(chain.speaker.model, Decoding(config.agent.reply_tokens, config.chain.temperature))
        if model is None:
            raise _unable(config)
    except (MissingExtra, ModelError):
        if mode == "auto":
            return None
        raise
    from toolkit.agent.agent import Agent

    # Without documents there is nothing to hold a reply against, and most of what is said is talk.
    falls_back = mode == "auto" or chain.knowledge is None
    return Agent(chain, model, tools_of(config, chain), config.agent, falls_back=falls_back)


def check_agent(config: BotConfig, tokenizer: Callable[[], PreTrainedTokenizerBase] | None) -> str:
    """See to it that a bot can have the agent that its settings want, before anything is loaded or trained.

    Args:
        config: The settings.
        tokenizer: Returns that of a base in this process; None for one on a server, which is asked when it is used.

    Returns:
        What answers questions.

    Raises:
        ConfigError: A function that the settings name cannot be a tool.
        MissingExtra: LangChain's agents are not installed, and the settings want one.
        ModelError: The base cannot call tools, and the settings want an agent.
    """
    if config.chain.mode == "chain":
        return "the chain alone"
    from toolkit.agent.registered import registered_tools

    own = ", ".join(tool.name for tool in registered_tools(config.tools))
    try:
        check_installed()
        if tokenizer is not None:
            from toolkit.agent.local import reading_tokenizer

            if reading_tokenizer(tokenizer()) is None:
                raise _unable(config)
    except (MissingExtra, ModelError) as error:
        if config.chain.mode == "auto":
            return f"the chain alone: {error.message}"
        raise
    return f"an agent{f' with tools of yours: {own}' if own else ''}"


def check_installed() -> None:
    """See to it that what an agent is made of is there.

    Raises:
        MissingExtra: It is not installed.
    """
    if importlib.util.find_spec("langchain") is None or importlib.util.find_spec("simpleeval") is None:
        raise MissingExtra(
            "An agent needs langchain and simpleeval, which are not installed.",
            "Install them with: pip install 'housevoice[agent]'",
        )


def _unable(config: BotConfig) -> ModelError:
    return ModelError(
        f"The base {config.base.model} cannot call tools: its chat template has no place for them, or none that is "
        "known.",
        "Set chain.mode to 'auto' or 'chain', or take another base.",
    )


def tools_of(config: BotConfig, chain: Chain) -> list[BaseTool]:
    """Return the tools of a bot's agent.

    Raises:
        ConfigError: A function that the settings name cannot be used, or has the name of another tool.
    """
    from toolkit.agent.documents import DocumentTools
    from toolkit.agent.plain import PlainTools
    from toolkit.agent.registered import registered_tools
    from toolkit.agent.tables import TableTools
    from toolkit.errors import ConfigError
    from toolkit.prompts import LETTERS_PER_TOKEN
    from toolkit.tables import HeldTables, Measures

    planner = chain.planner
    tools: list[BaseTool] = []
    if planner.knowledge is not None:
        tools += DocumentTools(planner, config.agent.result_tokens * LETTERS_PER_TOKEN).tools()
        tools += TableTools(HeldTables(planner.knowledge.folder, Measures(planner.language)), planner.language).tools()
    tools += PlainTools(planner.language).tools()
    tools += registered_tools(config.tools)
    twice = [name for name, count in Counter(tool.name for tool in tools).items() if count > 1]
    if twice:
        raise ConfigError(f"There is more than one tool called {', '.join(twice)}.", "Give your function another name.")
    return tools
