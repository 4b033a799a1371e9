"""The agent: a model that looks with tools as often as it needs to, within limits; its words are checked as all are."""

from toolkit.agent.opening import check_agent, open_agent

__all__ = ["check_agent", "open_agent"]
