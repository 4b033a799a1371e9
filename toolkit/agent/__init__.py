"""The agent: a model that looks with tools as often as it needs to, within limits; its words are checked as all are."""

from toolkit.agent.opening import open_agent

__all__ = ["open_agent"]
