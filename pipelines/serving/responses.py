"""What clients are sent, in OpenAI's shapes."""

from __future__ import annotations

import base64
import json
import secrets
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    import numpy as np

    from pipelines.serving.work import Finished
    from toolkit.answering import Answer

Body = dict[str, Any]

DONE = "data: [DONE]\n\n"


def event(body: Body) -> str:
    """Return a server-sent event."""
    return f"data: {json.dumps(body, ensure_ascii=False, separators=(',', ':'))}\n\n"


def comment(text: str) -> str:
    """Return a line that keeps a connection open, and that clients skip."""
    return f": {text}\n\n"


def model(name: str, since: int) -> Body:
    """Return an entry of the list of models."""
    return {"id": name, "object": "model", "created": since, "owned_by": "housevoice"}


def citations(answer: Answer, documents_url: str = "") -> list[Body]:
    """Return the citations of an answer as the annotations of its message.

    A citation is of the whole reply. Its quote and its page are ours, and stand beside what clients look for.

    Args:
        answer: The answer.
        documents_url: What comes before the path of a document to open it; empty leaves the bare path.
    """
    return [
        {
            "type": "url_citation",
            "url_citation": {
                "url": documents_url + quote(item.source) + (f"#page={item.page}" if item.page else ""),
                "title": f"{item.source}, page {item.page}" if item.page else item.source,
                "start_index": 0,
                "end_index": len(answer.text),
                "quote": item.quote,
                "page": item.page,
            },
        }
        for item in answer.citations
    ]


class Completion:
    """The reply to one request, whole or in chunks.

    Args:
        name: The model that was asked.
        documents_url: What comes before the path of a document to open it.
        counts_tokens: Whether its stream ends with the tokens.
    """

    def __init__(self, name: str, documents_url: str = "", *, counts_tokens: bool = False) -> None:
        self._documents_url = documents_url
        self._counts_tokens = counts_tokens
        self._head: Body = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()), "model": name}

    def whole(self, finished: Finished) -> Body:
        """Return the reply at once."""
        answer = finished.answer
        cited = citations(answer, self._documents_url)
        message = {"role": "assistant", "content": answer.text, "refusal": None, "annotations": cited}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        body = {**self._head, "object": "chat.completion", "choices": [choice]}
        return body | ({"usage": _usage(*finished.tokens)} if finished.tokens else {}) | _ours(answer)

    def start(self) -> str:
        """Return the first chunk: who speaks."""
        return self._chunk({"role": "assistant", "content": ""})

    def piece(self, text: str) -> str:
        """Return a chunk with what is said."""
        return self._chunk({"content": text})

    def end(self, finished: Finished) -> str:
        """Return the last chunks: what the reply stands on, that it is over, and the tokens if they were asked for."""
        cited = citations(finished.answer, self._documents_url)
        chunks = [self._chunk({"annotations": cited})] if cited else []
        chunks.append(self._chunk({}, finish="stop", **_ours(finished.answer)))
        if self._counts_tokens and finished.tokens:
            body = {**self._head, "object": "chat.completion.chunk", "choices": [], "usage": _usage(*finished.tokens)}
            chunks.append(event(body))
        return "".join(chunks) + DONE

    def _chunk(self, delta: Body, finish: str | None = None, **more: Any) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        body = {**self._head, "object": "chat.completion.chunk", "choices": [choice], **more}
        return event(body | ({"usage": None} if self._counts_tokens else {}))


def _usage(prompt: int, completion: int) -> Body:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _ours(answer: Answer) -> Body:
    """Return what OpenAI's shape has no place for."""
    seconds = {step: round(value, 3) for step, value in answer.seconds.items()}
    return {"housevoice": {"abstained": answer.abstained, "answerable": answer.answerable, "seconds": seconds}}


def embeddings(name: str, vectors: np.ndarray, tokens: int, encoding: str | None) -> Body:
    """Return vectors.

    Args:
        name: The model that was asked.
        vectors: Unit vectors of shape ``(n, dimension)``, float32.
        tokens: Tokens of all texts.
        encoding: ``base64`` for the bytes of little-endian float32, or numbers.
    """
    rows = [
        base64.b64encode(row.astype("<f4").tobytes()).decode() if encoding == "base64" else row.tolist()
        for row in vectors
    ]
    data = [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(rows)]
    return {
        "object": "list",
        "data": data,
        "model": name,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
