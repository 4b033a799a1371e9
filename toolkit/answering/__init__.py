"""From a question to an answer that stands in the documents, or to a decline."""

from toolkit.answering.chain import Answer, Chain, Citation
from toolkit.answering.checking import Scales
from toolkit.answering.compound import Splitter, fit_splitter
from toolkit.answering.evidence import Evidence, EvidencePicker
from toolkit.answering.gate import Gate
from toolkit.answering.route import Base, Route, RoutePlanner
from toolkit.answering.router import Router, fit_router
from toolkit.answering.trace import OnStep, Step, Trace, Tracer

__all__ = [
    "Answer", "Base", "Chain", "Citation", "Evidence", "EvidencePicker", "Gate", "OnStep", "Route", "RoutePlanner",
    "Router", "Scales", "Splitter", "Step", "Trace", "Tracer", "fit_router", "fit_splitter",
]  # fmt: skip
