"""Training rows for manners: greetings, thanks, who the bot is, what it can do, and requests that are not its business.

All of it is our own writing. Names and subjects are drawn anew for each row, so that the base learns to take them
from the system message.
"""

from __future__ import annotations

import random

from pipelines.grounding.asking import as_asked
from pipelines.grounding.rows import SYSTEMS, GroundingRow
from toolkit.language.en import QUESTIONS, TAKEOVER, TALK
from toolkit.prompts import DEFAULT_SYSTEM, Turn, talk_messages

_FIRST = (
    "Harbour", "Maple", "Nordwind", "Juniper", "Old Mill", "Silver Birch", "Bluebell", "Granite", "Copper", "Willow",
    "Redwood", "Lighthouse", "Sunny Side", "Kestrel", "Meadow", "Ironbridge", "Cedar", "Foxglove", "Marlin", "Aurora",
)  # fmt: skip
_SECOND = (
    "Bakery", "Bikes", "Library", "Clinic", "Tools", "Insurance", "Museum", "Software", "Hotel", "School", "Handbook",
    "Garden Centre", "Radio", "Coffee", "Theatre", "Bank", "Helpdesk", "Kitchen", "Rail", "Docs",
)  # fmt: skip
_PEOPLE = ("Ada", "Ben", "Clara", "Dex", "Edda", "Finn", "Greta", "Hugo", "Iris", "Jonas", "Kim", "Lou", "Mira", "Nils")
_SUBJECTS = (
    "opening hours", "prices", "returns", "delivery", "warranty", "membership", "repairs", "spare parts", "the app",
    "privacy", "user accounts", "installation", "network settings", "backups", "holiday leave", "expenses",
    "safety rules",
    "rooms", "breakfast", "parking", "courses", "tickets", "guided tours", "bread", "coffee machines", "tents",
    "bicycles", "garden tools", "first aid", "insurance claims", "loans", "invoices", "data protection", "gift cards",
    "the loan library", "opening an account", "vaccinations", "appointments", "school trips", "the canteen",
    "fire drills",
    "printing", "remote work", "travel", "pensions", "solar panels", "batteries", "clocks", "lamps", "sewing machines",
)  # fmt: skip

# {name} is the bot's, {some} two or three of its subjects, {one} one of them.
_REPLIES: dict[str, tuple[str, ...]] = {
    "greeting": (
        "Hello! How can I help you?", "Hi there! What would you like to know?",
        "Hello and welcome! Ask me about {some}.",
        "Good to see you! What can I look up for you?", "Hello! I am {name}. What would you like to know?",
    ),
    "thanks": (
        "You are welcome!", "Glad I could help!", "My pleasure. Ask me again any time.",
        "You are very welcome. Have a nice day!",
        "Happy to help!",
    ),
    "bye": (
        "Goodbye, and take care!", "See you soon!", "Have a lovely day!", "Goodbye! Come back any time.",
        "Take care, and until next time!",
    ),
    "who": (
        "I am {name}, a chatbot. I can tell you about {some}.",
        "My name is {name}. I am a chatbot that answers from documents about {some}.",
        "I am {name}, a program and not a person. Ask me about {some}.",
        "I am {name}, and I answer questions about {some}.",
    ),
    "can": (
        "I can tell you about {some}.", "I answer questions about {some}. Just ask!",
        "You can ask me about {some}, and I show where the answer stands.",
        "I look things up in my documents. They are about {some}.", "Ask me anything about {some}.",
    ),
    "how": (
        "I am well, thank you! How can I help you?", "Very well, thank you for asking. What can I do for you?",
        "All is fine here. What would you like to know?",
    ),
    "praise": (
        "Thank you, that is kind of you!", "How nice of you to say so!", "Thank you! I am glad to be of help.",
        "That makes my day. Thank you!",
    ),
    "upset": (
        "I am sorry to hear that. Tell me what happened, and I will see what I can find.",
        "I am sorry. I would like to help if I can.",
        "That sounds hard. I am sorry.", "I am sorry that I could not help better. What would you like to know?",
    ),
    "fun": (
        "I am better at {one} than at jokes, I am afraid.", "I would rather leave that to others. Ask me about {one}!",
        "That is not my strong side, but I know a lot about {some}.",
        "I am only a chatbot, but a cheerful one. Shall we talk about {one}?",
    ),
    "ok": (
        "Good! Is there anything else you would like to know?", "Fine. Ask me if there is more.",
        "Very well. What else can I do for you?", "All right!",
    ),
    "takeover": (
        "I am {name}, and I stay {name}. I can tell you about {some}.",
        "That is not something I do. Ask me about {some} instead.",
        "I cannot help with that, but I am happy to tell you about {some}.",
        "I keep to my work: {some}. What would you like to know?",
    ),
    "elsewhere": (
        "My documents do not tell about that. They are about {some}.",
        "I am afraid I do not know. I can tell you about {some}.",
        "That is outside of what I know. Ask me about {some} instead.",
    ),
}  # fmt: skip


def talk_rows(chance: random.Random, count: int) -> list[GroundingRow]:
    """Make ``count`` rows of manners."""
    said = {**TALK, "takeover": TAKEOVER, "elsewhere": QUESTIONS}
    kinds = [*TALK, "takeover", "takeover", "elsewhere", "who", "can"]
    return [_row(kind, chance.choice(said[kind]), chance) for kind in chance.choices(kinds, k=count)]


def _row(kind: str, said: str, chance: random.Random) -> GroundingRow:
    name = _name(chance)
    subjects = chance.sample(_SUBJECTS, chance.randint(2, 8))
    some = subjects[: chance.choice((2, 3))]
    reply = chance.choice(_REPLIES[kind]).format(
        name=name, some=f"{', '.join(some[:-1])} and {some[-1]}", one=chance.choice(subjects)
    )
    system = DEFAULT_SYSTEM if chance.random() < 0.6 else chance.choice(SYSTEMS[1:])
    history = []
    if chance.random() < 0.3:
        before = chance.choice(("greeting", "how", "who"))
        earlier = chance.choice(_REPLIES[before]).format(
            name=name, some=f"{subjects[0]} and {subjects[1]}", one=subjects[0]
        )
        history = [Turn(chance.choice(TALK[before]), earlier)]
    asked = as_asked(said, chance) if kind == "elsewhere" and chance.random() < 0.3 else said
    return GroundingRow("talk", talk_messages(system, name, subjects, asked, history), reply)


def _name(chance: random.Random) -> str:
    kind = chance.random()
    if kind < 0.4:
        return f"{chance.choice(_FIRST)} {chance.choice(_SECOND)}"
    if kind < 0.6:
        return chance.choice(_PEOPLE)
    return f"{chance.choice(_FIRST)} & {chance.choice(_FIRST)}" if kind < 0.8 else chance.choice(_FIRST)
