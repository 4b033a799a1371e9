"""Rows of made-up tables, as documents write them out, with questions asked of one attribute."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

_FIRST = (
    "Alder Birch Cobalt Dune Elder Fjord Garnet Harbor Indigo Juniper Kestrel Larch Meadow Nimbus Onyx Pebble Quartz"
    " Raven Slate Tundra Umber Vesper Willow Xenon Yarrow Zephyr Luna Orbit Maple Falcon Terra Nova Aero Polar Delta"
).split()
_SECOND = "100 200 X2 X5 Pro Mini Max Plus S3 Classic Lite Sport Duo Trek Home Air 12 40 Studio Compact".split()
_THINGS = (
    "kettle lamp backpack drill tent router printer heater blender bicycle chair mattress camera speaker mower fan"
    " desk freezer saddle stove thermostat keyboard telescope pram toaster canoe jacket monitor scale pump"
).split()
_PEOPLE_FIRST = "Anna Ben Carla David Elena Farid Grace Hugo Ines Jonas Karin Leo Mira Noah Olga Paul Rosa Tim".split()
_PEOPLE_LAST = (
    "Abbott Brandt Costa Dalgaard Ekman Fischer Gomez Hale Ito Jensen Kowalski Lopez Marsh Novak Okoro".split()
)
_TOWNS = (
    "Aarhus Bergen Cork Dresden Exeter Faro Ghent Halle Imola Jena Kiel Lund Malmo Nantes Oxford Porto Riga".split()
)
_MAKERS = "Norvik Haldane Brightwell Ostrava Kintaro Velmont Ridgeway Solvang Tessel Marlow".split()
_MONTHS = "January February March April May June July August September October November December".split()
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()


@dataclass(frozen=True)
class TableRow:
    """A question about a row.

    Attributes:
        question: What is asked.
        passage: The row, or a few rows of the table.
        answer: Where in ``passage`` the value stands, as characters (start, end); None where the row lacks it.
        claim: A sentence that says the value; of an unanswerable one, a sentence that the rows do not support.
    """

    question: str
    passage: str
    answer: tuple[int, int] | None
    claim: str


@dataclass(frozen=True)
class _Attribute:
    """A column: its headings, what is asked of it (``{n}`` the name), how it is said, and its values."""

    headings: tuple[str, ...]
    questions: tuple[str, ...]
    claim: str
    value: Callable[[random.Random], str]


def money_value(c: random.Random) -> str:
    """Make up an amount of money."""
    amount = f"{c.randint(2, 900)}" + c.choice(("", "", ".50", ".99", ".90"))
    return c.choice((f"{amount} euros", f"${amount}", f"€{amount}", f"{amount} EUR", f"£{amount}"))


def person_value(c: random.Random) -> str:
    """Make up a person's name."""
    return f"{c.choice(_PEOPLE_FIRST)} {c.choice(_PEOPLE_LAST)}"


def hours_value(c: random.Random) -> str:
    """Make up opening hours."""
    a, b = c.randint(6, 11), c.randint(1, 9)
    return c.choice((f"{a} am to {b} pm", f"{a}:00-{b + 12}:30", f"{a}.30 am - {b} pm"))


def date_value(c: random.Random) -> str:
    """Make up a date."""
    day, month, year = c.randint(1, 28), c.choice(_MONTHS), c.randint(2015, 2030)
    return c.choice((f"{day} {month} {year}", f"{month} {day}, {year}", f"{year}-{c.randint(1, 12):02}-{day:02}"))


def size_value(c: random.Random) -> str:
    """Make up the size of a thing."""
    return f"{c.randint(5, 90)} x {c.randint(5, 90)} x {c.randint(5, 90)} cm"


def one_of(*values: str) -> Callable[[random.Random], str]:
    """Return a function that draws one of ``values``."""
    return lambda c: c.choice(values)


def number_value(low: int, high: int, *units: str) -> Callable[[random.Random], str]:
    """Return a function that makes up a number from ``low`` to ``high`` with one of ``units``."""
    return lambda c: f"{c.randint(low, high)} {c.choice(units or ('',))}".strip()


_GOODS = (
    _Attribute(("Price", "Cost", "List price"),
               ("How much is the {n}?", "What does the {n} cost?", "What is the price of the {n}?"),
               "The {n} costs {v}.", money_value),
    _Attribute(("Weight", "Net weight"), ("How heavy is the {n}?", "What does the {n} weigh?"),
               "The {n} weighs {v}.", number_value(1, 60, "kg", "g", "lbs")),
    _Attribute(("Warranty", "Guarantee"),
               ("How long is the warranty on the {n}?", "What guarantee comes with the {n}?"),
               "The {n} comes with a warranty of {v}.", number_value(1, 10, "years", "months")),
    _Attribute(("Colour", "Color"), ("What colour is the {n}?", "Which colours does the {n} come in?"),
               "The {n} comes in {v}.", one_of("black", "white, red", "navy blue", "green or grey", "silver", "sand")),
    _Attribute(("Power", "Wattage"), ("How many watts does the {n} draw?", "How powerful is the {n}?"),
               "The {n} draws {v}.", number_value(5, 2400, "W", "watts")),
    _Attribute(("Battery life", "Runtime"),
               ("How long does the battery of the {n} last?", "What is the {n}'s runtime?"),
               "The battery of the {n} lasts {v}.", number_value(2, 90, "hours", "h")),
    _Attribute(("Dimensions", "Size"), ("How big is the {n}?", "What are the dimensions of the {n}?"),
               "The {n} measures {v}.", size_value),
    _Attribute(("Capacity", "Volume"), ("How much does the {n} hold?", "What is the capacity of the {n}?"),
               "The {n} holds {v}.", number_value(1, 120, "litres", "l", "ml")),
    _Attribute(("Material",), ("What is the {n} made of?", "Which material is the {n}?"),
               "The {n} is made of {v}.", one_of("steel", "oak", "aluminium", "recycled plastic", "cotton", "glass")),
    _Attribute(("Made in", "Origin", "Country"), ("Where is the {n} made?", "Which country does the {n} come from?"),
               "The {n} is made in {v}.", one_of("Portugal", "Japan", "Poland", "Canada", "Vietnam", "Denmark")),
    _Attribute(("Maker", "Manufacturer", "Brand"), ("Who makes the {n}?", "Which brand is the {n}?"),
               "The {n} is made by {v}.", lambda c: c.choice(_MAKERS)),
    _Attribute(("Stock", "In stock", "Available"), ("How many of the {n} are left?", "How many {n} are in stock?"),
               "There are {v} of the {n} in stock.", number_value(1, 400, "", "pieces", "units")),
    _Attribute(("Delivery", "Shipping time"), ("How long does delivery of the {n} take?", "When will the {n} arrive?"),
               "The {n} is delivered in {v}.", number_value(1, 30, "days", "working days", "weeks")),
    _Attribute(("Article no.", "SKU", "Part number"),
               ("What is the part number of the {n}?", "Article number for {n}?"),
               "The part number of the {n} is {v}.",
               lambda c: f"{c.choice('ABKRT')}{c.choice('XYZ')}-{c.randint(100, 9999)}"),
    _Attribute(("Bluetooth", "Wi-Fi", "Waterproof", "Dishwasher safe", "Foldable"),
               ("Is the {n} {a}?", "{a} on the {n}?"), "{A} on the {n}: {v}.", one_of("yes", "no", "on request")),
    _Attribute(("Max. load", "Load limit"),
               ("How much weight can the {n} carry?", "What is the load limit of the {n}?"),
               "The {n} carries up to {v}.", number_value(5, 300, "kg", "lbs")),
)  # fmt: skip
_PLACES = (
    _Attribute(("Opening hours", "Hours", "Open"), ("When is {n} open?", "What are the opening hours of {n}?"),
               "{n} is open {v}.", hours_value),
    _Attribute(("Closed on", "Closing day"), ("On which day is {n} closed?", "When is {n} closed?"),
               "{n} is closed on {v}.", lambda c: f"{c.choice(_DAYS)}s"),
    _Attribute(("Phone", "Telephone"), ("What is the phone number of {n}?", "How do I call {n}?"),
               "The phone number of {n} is {v}.",
               lambda c: f"0{c.randint(20, 99)} {c.randint(100, 999)} {c.randint(1000, 9999)}"),
    _Attribute(("Town", "City", "Location"), ("Where is {n}?", "Which town is {n} in?"),
               "{n} is in {v}.", lambda c: c.choice(_TOWNS)),
    _Attribute(("Manager", "Contact", "Head"), ("Who runs {n}?", "Who is the contact at {n}?"),
               "{v} is the contact at {n}.", person_value),
    _Attribute(("Seats", "Places"), ("How many people fit into {n}?", "How many seats does {n} have?"),
               "{n} has {v}.", number_value(8, 600, "seats", "places")),
    _Attribute(("Entry fee", "Admission", "Ticket"), ("What is the entry fee at {n}?", "How much is a ticket for {n}?"),
               "Entry to {n} costs {v}.", money_value),
    _Attribute(("Parking",), ("Can I park at {n}?", "Is there parking at {n}?"),
               "Parking at {n}: {v}.", one_of("free", "2 euros an hour", "none", "for residents only", "in the yard")),
    _Attribute(("Founded", "Since", "Opened"), ("When was {n} founded?", "How old is {n}?"),
               "{n} was founded in {v}.", lambda c: str(c.randint(1850, 2024))),
    _Attribute(("Floor", "Level"), ("Which floor is {n} on?", "What level is {n}?"),
               "{n} is on the {v} floor.", one_of("ground", "1st", "2nd", "third", "top")),
    _Attribute(("Next course", "Next date", "Starts"),
               ("When does the next course at {n} begin?", "When does {n} start?"),
               "The next date at {n} is {v}.", date_value),
    _Attribute(("Deadline", "Apply by"), ("What is the deadline for {n}?", "By when do I have to apply to {n}?"),
               "The deadline for {n} is {v}.", date_value),
    _Attribute(("Email", "E-mail"), ("What is the email address of {n}?", "Where can I write to {n}?"),
               "The address of {n} is {v}.",
               lambda c: f"{c.choice(_FIRST).lower()}@{c.choice(_MAKERS).lower()}.example"),
)  # fmt: skip
_PLACE_KINDS = (
    "Library Museum Clinic Studio Workshop Hall Garage Bakery Pool School Office Garden Cinema Hostel".split()
)


def table_row(chance: random.Random) -> TableRow:
    """Make up a row of a table, often with its neighbours, and a question about one of its values."""
    goods = chance.random() < 0.55
    columns = chance.sample(_GOODS if goods else _PLACES, chance.randint(4, 8))
    headings = [chance.choice(column.headings) for column in columns]
    lacking = chance.random() < 0.45
    stranger = lacking and chance.random() < 0.35
    shown = columns[1:] if lacking and not stranger else columns
    shown_headings = headings[1:] if lacking and not stranger else headings
    name_heading = chance.choice(("Name", "Item", "Model", "Product") if goods else ("Name", "Place", "Site"))
    names = [name_of(goods, chance) for _ in range(chance.choice((1, 1, 1, 2, 3)) + 1)]
    names = list(dict.fromkeys(names))
    asked_name, rows = names[0], names[1:] if stranger and len(names) > 1 else names[: max(1, len(names) - 1)]
    lines: list[str] = []
    place: tuple[int, int] | None = None
    value = columns[0].value(chance)
    order = sorted(range(len(shown)), key=lambda _: chance.random())
    bars = chance.random() < 0.15
    rows = chance.sample(rows, len(rows))
    for name in rows:
        cells = [f"{name}" if bars else f"{name_heading}: {name}"]
        for index in order:
            text = value if shown[index] is columns[0] and name == asked_name else shown[index].value(chance)
            cells.append(text if bars else f"{shown_headings[index]}: {text}")
            if shown[index] is columns[0] and name == asked_name:
                before = sum(len(line) + 1 for line in lines) + len((" | " if bars else "; ").join(cells)) - len(text)
                place = (before, before + len(text))
        lines.append((" | " if bars else "; ").join(cells))
    head = ""
    if bars:
        head = " | ".join([name_heading, *[shown_headings[index] for index in order]]) + "\n"
        place = (place[0] + len(head), place[1] + len(head)) if place else None
    elif chance.random() < 0.3:
        head = chance.choice(("Products: ", "Overview: ", "Our range: ", "Sites: ", "List: ", "Table: "))
        place = (place[0] + len(head), place[1] + len(head)) if place else None
    attribute = headings[0].lower()
    question = chance.choice(columns[0].questions).format(n=asked_name, a=attribute)
    claim = columns[0].claim.format(n=asked_name, a=attribute, A=headings[0], v=value)
    return TableRow(question, head + "\n".join(lines), place, claim[0].upper() + claim[1:])


def name_of(goods: bool, chance: random.Random) -> str:
    """Make up a name of a thing or of a place."""
    if goods:
        name = f"{chance.choice(_FIRST)} {chance.choice(_SECOND)}"
        return f"{name} {chance.choice(_THINGS)}" if chance.random() < 0.5 else name
    return chance.choice(
        (
            f"{chance.choice(_FIRST)} {chance.choice(_PLACE_KINDS)}",
            f"{chance.choice(_TOWNS)} {chance.choice(_PLACE_KINDS)}",
        )
    )
