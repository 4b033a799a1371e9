"""What the page is made of, and how it is laid out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from demo.sources import panel
from pipelines.serving.limits import LONGEST_QUESTION
from toolkit.errors import HousevoiceError
from toolkit.scoring import read_questions

if TYPE_CHECKING:
    from toolkit.bot import Chatbot

EXAMPLES = 4


@dataclass(frozen=True)
class Talk:
    """The column in which a person and the bot talk."""

    chat: gr.Chatbot
    example_row: gr.Column
    examples: list[gr.Button]
    box: gr.Textbox
    send: gr.Button
    stop: gr.Button
    voice: gr.Checkbox
    documents: gr.Checkbox
    retry: gr.Button
    clear: gr.Button

    @property
    def controls(self) -> list[Any]:
        """What changes while the bot speaks, in the order of :func:`controls`."""
        return [self.send, self.stop, self.retry, self.clear, self.example_row]


def controls(*, speaking: bool, empty: bool) -> tuple[Any, ...]:
    """Return how the controls stand; see :attr:`Talk.controls`.

    Args:
        speaking: Whether the bot is busy with an answer.
        empty: Whether nothing was asked yet.
    """
    idle = not speaking and not empty
    return (
        gr.Button(visible=not speaking),
        gr.Button(visible=speaking),
        gr.Button(interactive=idle),
        gr.Button(interactive=idle),
        gr.Column(visible=empty),
    )


def lay_out_widgets(bot: Chatbot) -> tuple[Talk, gr.Markdown]:
    """Put the widgets on the page; returns those to talk with, and the panel of sources."""
    gr.Markdown(f"# {bot.config.title or bot.config.name}\n\n{about(bot)}", elem_id="title", sanitize_html=True)
    with gr.Row(elem_id="columns"):
        with gr.Column(scale=3, min_width=320, elem_id="talk"):
            talk = _talk(bot)
        with gr.Column(scale=2, min_width=320, elem_id="beside"):
            gr.Markdown("## Sources", elem_id="beside-title")
            sources = gr.Markdown(panel(None), elem_id="sources", sanitize_html=True, latex_delimiters=[])
    return talk, sources


def _talk(bot: Chatbot) -> Talk:
    chat = gr.Chatbot(
        label="Conversation",
        show_label=False,
        elem_id="chat",
        height="100%",
        layout="bubble",
        placeholder="What would you like to know?",
        # Text is shown as text: Markdown, formulas and tags stay as they were written.
        render_markdown=False,
        sanitize_html=True,
        allow_tags=False,
        latex_delimiters=[],
        buttons=[],
        feedback_options=None,
        group_consecutive_messages=False,
    )
    with gr.Column(elem_id="examples") as example_row:
        examples = [gr.Button(text, size="sm", elem_classes="example") for text in example_questions(bot)]
    with gr.Row(elem_id="ask"):
        box = gr.Textbox(
            label="Question",
            show_label=False,
            container=False,
            elem_id="question",
            placeholder="Ask a question …",
            lines=1,
            max_lines=6,
            max_length=LONGEST_QUESTION,
            autofocus=True,
            scale=1,
        )
        send = gr.Button("Send", variant="primary", scale=0, min_width=72, elem_id="send")
        stop = gr.Button("Stop", variant="stop", scale=0, min_width=72, visible=False, elem_id="stop")
    with gr.Row(elem_id="tools"):
        voice = _switch("Voice", "voice", bot.has_voice)
        documents = _switch("Documents", "documents", bot.knowledge is not None)
        retry = gr.Button("Retry", size="sm", interactive=False, scale=0, min_width=72, elem_id="retry")
        clear = gr.Button("Clear", size="sm", interactive=False, scale=0, min_width=72, elem_id="clear")
    return Talk(chat, example_row, examples, box, send, stop, voice, documents, retry, clear)


def _switch(label: str, name: str, there: bool) -> gr.Checkbox:
    """Return a switch for one half of the bot: on, or off for good where the bot lacks that half."""
    return gr.Checkbox(there, label=label, interactive=there, container=False, elem_id=name)


def example_questions(bot: Chatbot) -> list[str]:
    """Return a few of the bot's own test questions that its documents answer; empty where it has none."""
    settings = bot.config.evaluation
    if settings.questions is None:
        return []
    try:
        questions = read_questions(settings.questions, settings.split)
    except HousevoiceError:
        return []
    return [item.question for item in questions if not item.unanswerable][:EXAMPLES]


def about(bot: Chatbot) -> str:
    """Say in a line what the bot is made of."""
    halves = ["knows its documents"] if bot.knowledge is not None else []
    halves += ["speaks in its own voice"] if bot.has_voice else []
    return f"{' and '.join(halves).capitalize()}. Everything stays on this machine."


def theme() -> gr.themes.Base:
    """Return the colours, with fonts of the system only: Gradio's own choice may be fetched from elsewhere."""
    fonts = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif"]
    mono = ["ui-monospace", "Consolas", "monospace"]
    base = gr.themes.Base(primary_hue="teal", secondary_hue="teal", neutral_hue="slate", font=fonts, font_mono=mono)
    # Darker than the default, so that small text can be read, and white letters on a button as well.
    return base.set(
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="*neutral_400",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        checkbox_background_color_selected="*primary_700",
        checkbox_border_color_selected="*primary_700",
        color_accent="*primary_700",
        color_accent_soft="*primary_50",
    )
