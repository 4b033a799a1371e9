"""From a question to an answer that stands in the documents, or to a decline."""

from toolkit.answering.chain import Answer, Chain, Citation
from toolkit.answering.evidence import Evidence, EvidencePicker
from toolkit.answering.gate import Gate

__all__ = ["Answer", "Chain", "Citation", "Evidence", "EvidencePicker", "Gate"]
