"""Made-up manuals and handbooks: facts in a document's words, asked for in a person's.

What public sets lack is the distance between the two: a manual writes "runs for 38 hours on one charge", and people ask
how long the thing lasts before it goes flat. Names, values and wording are all of our own making.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from pipelines.grounding.tables import (
    date_value,
    hours_value,
    money_value,
    name_of,
    number_value,
    one_of,
    person_value,
    size_value,
)

Value = Callable[[random.Random], str]


@dataclass(frozen=True)
class Fact:
    """A kind of fact: how documents state it and how people ask for it. ``{n}`` is the name, ``{v}`` the value."""

    stated: tuple[str, ...]
    asked: tuple[str, ...]
    value: Value


@dataclass(frozen=True)
class HandbookRow:
    """A question about a made-up passage.

    Attributes:
        question: What is asked.
        heading: The heading that the passage stands under.
        sentences: The passage, sentence by sentence.
        told: Which sentence answers; None where none does.
        answer: The value, word for word in that sentence; None where none answers.
        rival: What another page says of another thing in the same respect: it names its own thing, and the asked one
            is not meant. None where the statement would not tell whose it is.
    """

    question: str
    heading: str
    sentences: tuple[str, ...]
    told: int | None
    answer: str | None
    rival: str | None = None


def _f(stated: str, asked: str, value: Value) -> Fact:
    return Fact(tuple(map(str.strip, stated.split("|"))), tuple(map(str.strip, asked.split("|"))), value)


THINGS: tuple[Fact, ...] = (
    _f("The {n} runs for {v} on a full charge.|A full battery lasts {v}.|On one charge the {n} works for {v}.",
       "How long does the {n} last before it is flat?|what's the battery life of the {n}|"
       "How many hours do I get out of the {n}?|When do I have to plug the {n} in again?|"
       "Will the {n} get through a night without a cable?",
       number_value(3, 90, "hours")),
    _f("Charging takes {v}.|An empty {n} is full again after {v}.|It takes {v} to charge the {n} from empty.",
       "How long does the {n} need to charge?|until the {n} is full, how long?|"
       "How much time must the {n} spend on the charger?|charging time {n}",
       number_value(1, 12, "hours")),
    _f("The {n} weighs {v}.|At {v}, the {n} can be carried by one person.|Its weight is {v}.",
       "How heavy is the {n}?|What does the {n} weigh?|Is the {n} too heavy to carry?|weight of the {n}?|"
       "How many kilos is the {n}?",
       number_value(1, 60, "kilograms", "kg")),
    _f("The {n} measures {v}.|Its outer size is {v}.|Packed, the {n} takes up {v}.",
       "How big is the {n}?|Will the {n} fit on my shelf?|What are the measurements of the {n}?|dimensions {n}",
       size_value),
    _f("The {n} costs {v}.|The price of the {n} is {v}.|We sell the {n} for {v}.",
       "How much is the {n}?|What do I have to pay for a {n}?|price {n}?|What does the {n} sell for?|"
       "How expensive is the {n}?",
       money_value),
    _f("The {n} comes with a warranty of {v}.|We guarantee the {n} for {v} from the day of purchase.|"
       "Faults of the {n} are repaired free of charge for {v}.",
       "How long is the {n} under guarantee?|Until when can I have the {n} fixed for free?|warranty on the {n}?|"
       "My {n} broke after a while, am I still covered?",
       number_value(1, 10, "years")),
    _f("The housing of the {n} is made of {v}.|The body is {v}.|Its case is built from {v}.",
       "What is the {n} made of?|Which material is used for the {n}?|is the {n} plastic or something better|"
       "What is the shell of the {n}?",
       one_of("aluminium", "recycled plastic", "oak", "stainless steel", "birch plywood", "cast iron", "bamboo",
              "ceramic")),
    _f("To reset the {n}, hold the main button for {v}.|Press and hold the button for {v} to start the {n} afresh.|"
       "If the {n} hangs, keep its switch pressed for {v}.",
       "My {n} does not react any more. How long do I hold the button?|how do I reset the {n}|"
       "The {n} is frozen, how many seconds must I press?|How can I restart the {n}?",
       number_value(3, 30, "seconds")),
    _f("The serial number stands {v}.|You find the serial number {v}.|Its number is printed {v}.",
       "Where is the serial number of the {n}?|where do i find the number of my {n}|"
       "Where can I read off which {n} I have?",
       one_of("under the base", "inside the lid", "on the back plate", "beneath the battery", "on the left side",
              "next to the power socket")),
    _f("The {n} works between {v}.|Use the {n} at temperatures between {v} only.|Its safe range is {v}.",
       "How cold may it get for the {n}?|At which temperatures does the {n} work?|Can I leave the {n} out in frost?|"
       "is heat a problem for the {n}",
       one_of("minus 10 and 40 degrees", "0 and 35 degrees", "minus 20 and 50 degrees", "5 and 30 degrees")),
    _f("Its range is {v} in the open.|The signal of the {n} reaches {v}.|The {n} can be up to {v} away from its base.",
       "How far does the {n} reach?|What distance can there be between the {n} and the base?|range of the {n}?|"
       "Does the {n} still connect from the garden?",
       number_value(5, 400, "metres")),
    _f("The tank of the {n} holds {v}.|It has room for {v}.|Fill in at most {v}.",
       "How much goes into the {n}?|What is the capacity of the {n}?|how much water can i put in the {n}|"
       "What volume does the {n} take?",
       number_value(1, 40, "litres")),
    _f("At full power the {n} makes a noise of {v}.|Its sound level is {v}.",
       "How loud is the {n}?|Will the {n} wake the baby?|noise level {n}",
       number_value(20, 90, "decibels")),
    _f("The {n} draws {v}.|Its power consumption is {v}.|It uses {v} when running.",
       "How much electricity does the {n} use?|What is the wattage of the {n}?|power draw {n}?",
       number_value(2, 2400, "watts")),
    _f("Clean the {n} with {v}.|To wipe it, use {v} and nothing else.|For cleaning, {v} is enough.",
       "What do I clean the {n} with?|How do I get the {n} clean?|can I use detergent on the {n}|"
       "My {n} is dirty, what may I use?",
       one_of("a damp cloth", "warm water and soap", "a soft brush", "vinegar and water", "a dry cotton cloth",
              "alcohol wipes")),
    _f("Oil the {n} every {v}.|It has to be serviced every {v}.|Have the {n} checked every {v}.",
       "How often does the {n} need service?|When must the {n} be looked after?|maintenance interval {n}|"
       "How frequently should I oil the {n}?",
       one_of("3 months", "6 months", "2 years", "500 hours", "spring", "12 weeks")),
    _f("The {n} is sold in {v}.|You can choose between {v}.|It comes in {v}.",
       "Which colours does the {n} come in?|Can I have the {n} in another colour?|what colors are there for the {n}",
       one_of("black and white", "red, green and grey", "sand and navy", "silver only", "yellow and teal")),
    _f("In the box are {v}.|The {n} is delivered with {v}.|Included with the {n}: {v}.",
       "What comes with the {n}?|Do I need to buy anything else for the {n}?|what's in the box of the {n}",
       one_of("a cable and a bag", "two batteries", "a charger and a strap", "three filters and a brush",
              "four screws and a key", "a manual and a stand")),
    _f("When the {n} is low, its light turns {v}.|A {v} light means that the {n} must be charged.|"
       "The lamp of the {n} shows {v} when little is left.",
       "Which colour shows that the {n} is nearly empty?|How do I see that the {n} needs charging?|"
       "What light does the {n} give when it runs out?",
       one_of("red", "orange", "blue", "violet", "amber")),
    _f("Up to {v} can be linked to one {n}.|A {n} works with as many as {v}.|The {n} supports {v} at once.",
       "How many devices can I connect to the {n}?|What is the most that one {n} can handle?|"
       "max number of devices for the {n}",
       number_value(2, 64, "devices", "sensors", "users")),
    _f("The cable of the {n} is {v} long.|It comes with a lead of {v}.",
       "How long is the cable of the {n}?|Does the lead of the {n} reach the other wall?|cable length {n}?",
       number_value(1, 10, "metres")),
    _f("The {n} carries {v} at most.|Do not load the {n} with more than {v}.|Its load limit is {v}.",
       "How much weight can the {n} take?|What can I put on the {n} before it breaks?|max load {n}|"
       "Will the {n} hold my father-in-law?",
       number_value(5, 300, "kilograms", "kg")),
    _f("A spare {p} for the {n} costs {v}.|We sell the {p} of the {n} separately for {v}.",
       "What is the price of a new {p} for the {n}?|I lost the {p} of my {n}, what does another one cost?|"
       "how much for a replacement {p} ({n})",
       money_value),
    _f("The {n} was first sold in {v}.|It has been on sale since {v}.|We brought out the {n} in {v}.",
       "Since when is the {n} sold?|How old is the {n} as a model?|What year did the {n} come out?",
       number_value(1980, 2024)),
    _f("The {n} is rated {v} against dust and water.|Its protection class is {v}.",
       "Is the {n} waterproof?|Can the {n} stand rain?|What is the protection class of the {n}?",
       one_of("IP44", "IP54", "IP65", "IP67", "IP68")),
    _f("Store the {n} {v}.|When it is not in use, keep the {n} {v}.",
       "Where should I keep the {n} over winter?|How do I store the {n}?|Where to put the {n} when I don't need it?",
       one_of("in a dry room", "away from sunlight", "upright in its box", "half charged in a cool place",
              "hanging from its hook")),
)  # fmt: skip
PLACES: tuple[Fact, ...] = (
    _f("{n} is open from {v}.|Opening hours of {n} are {v}.|You find us at {n} {v}.",
       "When is {n} open?|What are the hours of {n}?|how late can i come to {n}|Until when is somebody at {n}?",
       hours_value),
    _f("{n} is closed on {v}.|On {v} nobody is there.|There is no service on {v}.",
       "Which day is {n} closed?|Can I come to {n} any day?|On which day does {n} stay shut?",
       one_of("Mondays", "Tuesdays", "Sundays", "Wednesdays", "public holidays")),
    _f("Parcels arrive within {v}.|{n} delivers in {v}.|Delivery takes {v}.",
       "How long until my parcel is here?|when will my order from {n} arrive|What is the delivery time of {n}?|"
       "I ordered today. When can I expect it?",
       number_value(2, 14, "days", "working days")),
    _f("Shipping costs {v} per order.|We charge {v} for delivery.|Postage is {v}.",
       "What does shipping cost?|How much do I pay for delivery?|postage?|Is delivery free at {n}?",
       money_value),
    _f("Goods can be returned within {v}.|You may send anything back within {v} of delivery.|"
       "{n} takes back unused goods for {v}.",
       "How long do I have to send something back?|I don't like it. Until when can I return it?|return window at {n}?|"
       "Can I give it back after a while?",
       number_value(7, 100, "days")),
    _f("The money is paid back within {v}.|Refunds take {v}.|You get your money {v} after we receive the goods.",
       "When do I get my money back?|How long does a refund take?|I sent it back, when is my refund here?",
       number_value(2, 30, "days", "working days")),
    _f("Membership costs {v} a month.|Members of {n} pay {v} a month.|The monthly fee is {v}.",
       "What do I pay as a member?|How much is the membership of {n}?|monthly fee {n}?|What does it cost to join?",
       money_value),
    _f("Members get {v} off.|There is a discount of {v} for members.|Whoever is a member pays {v} less.",
       "Do members get anything cheaper?|How big is the discount for members?|What do I save if I join {n}?",
       number_value(5, 50, "percent")),
    _f("Memberships are cancelled with {v} notice.|To leave {n}, tell us {v} ahead.|The notice period is {v}.",
       "How do I get out of my membership?|What is the notice period at {n}?|when must i cancel|"
       "How far ahead do I have to tell you that I leave?",
       number_value(2, 12, "weeks")),
    _f("Children from {v} on may take part.|The minimum age is {v}.|{n} is for people of {v} and above.",
       "From what age can my kid come?|How old must you be for {n}?|Is {n} something for a small child?|minimum age?",
       number_value(4, 18, "years")),
    _f("Groups have at most {v}.|There is room for {v}.|{n} takes up to {v}.",
       "How many people can come to {n}?|What is the largest group?|How many places are there?",
       number_value(4, 60, "people", "persons")),
    _f("Bookings open {v} ahead.|You can book {n} up to {v} in advance.|Places are given out {v} before.",
       "How early can I book?|How far in advance may I reserve at {n}?|When do bookings for {n} open?",
       number_value(2, 20, "weeks")),
    _f("A deposit of {v} is due.|We ask for a deposit of {v}.|Leave {v} as a security, which you get back.",
       "How much is the deposit?|What must I leave as security at {n}?|deposit {n}?",
       money_value),
    _f("You can pay by {v}.|{n} takes {v}.|Payment is by {v}.",
       "How can I pay?|Do you take cards at {n}?|Which ways of paying are there?|can i pay cash",
       one_of("card and bank transfer", "cash only", "invoice or card", "debit card", "mobile payment and card")),
    _f("{v} runs {n}.|The head of {n} is {v}.|{n} is led by {v}.",
       "Who is in charge of {n}?|Who runs {n}?|Who is the boss at {n}?|name of the manager of {n}",
       person_value),
    _f("Questions about invoices go to {v}.|For complaints, ask for {v}.|{v} looks after privacy.",
       "Who can I talk to about my invoice?|Whom do I ask about privacy?|Who deals with complaints at {n}?",
       person_value),
    _f("{n} was founded in {v}.|It all began in {v}.|{n} has existed since {v}.",
       "When was {n} founded?|How long has {n} been around?|Since when does {n} exist?",
       number_value(1890, 2022)),
    _f("{v} people work at {n}.|{n} has a staff of {v}.|We are {v} people at {n}.",
       "How many people work there?|How big is the team of {n}?|How many employees does {n} have?",
       number_value(3, 400)),
    _f("{n} is at {v}.|Come to {v}.|You find {n} at {v}.",
       "Where is {n}?|What is the address of {n}?|How do I find {n}?|Where do I have to go?",
       one_of("12 Mill Lane", "3 Station Square", "48 Quay Street", "7 Market Place", "the end of Canal Road",
              "Building C, second floor")),
    _f("The summer fair is on {v}.|Our next open day is on {v}.|{n} celebrates on {v}.",
       "When is the next open day?|On which date is the fair at {n}?|when do you celebrate",
       date_value),
    _f("The course lasts {v}.|Each lesson takes {v}.|Plan {v} for the tour.",
       "How long is the course?|How much time should I plan for it?|duration of a lesson at {n}?",
       one_of("2 hours", "90 minutes", "3 evenings", "a weekend", "45 minutes", "6 weeks")),
    _f("Whoever comes late pays {v}.|Overdue items cost {v} a day.|The late fee is {v}.",
       "What happens if I bring it back late?|How much is the fine?|late fee {n}?|"
       "I forgot to return it. What do I owe?",
       money_value),
    _f("Items are lent for {v}.|You may keep a loan for {v}.|The loan period is {v}.",
       "How long can I borrow something?|When must I bring it back?|loan period {n}?|For how long may I keep it?",
       number_value(1, 8, "weeks")),
    _f("Dogs are {v}.|As for dogs: they are {v}.",
       "May I bring my dog?|Are pets allowed at {n}?|what about my dog",
       one_of("welcome on a lead", "not allowed", "allowed in the garden", "allowed except in the kitchen")),
    _f("You can park {v}.|Parking is {v}.",
       "Where can I leave my car?|Is there parking at {n}?|Where do I park?",
       one_of("behind the building", "in the street, free after 6 pm", "in the garage for members",
              "at the station only")),
    _f("Passwords must have at least {v}.|Choose a password of at least {v}.",
       "How long must my password be?|What are the rules for passwords?|minimum password length",
       number_value(8, 20, "characters")),
    _f("We keep your data for {v}.|Records are deleted after {v}.|Logs are stored for {v}.",
       "How long do you keep my data?|When is my data deleted?|For how long are the records stored?",
       number_value(1, 10, "years", "months")),
    _f("Backups are made {v}.|A copy of everything is made {v}.",
       "How often is a backup made?|When do you back up?|Is my stuff saved regularly?",
       one_of("every night", "once a week", "every 6 hours", "on the first of each month")),
    _f("Files may have up to {v}.|The size limit for an upload is {v}.",
       "How large may a file be?|What is the upload limit?|Why is my file refused, is it too big?",
       number_value(5, 900, "MB")),
    _f("Every employee has {v} of leave a year.|Staff get {v} off each year.|Annual leave is {v}.",
       "How many days off do I get?|How much holiday is there?|what's my annual leave",
       number_value(20, 40, "days")),
    _f("Sick notes are due after {v}.|Bring a doctor's note after {v}.",
       "When do I need a doctor's note?|How long can I be ill without a certificate?|sick note rule?",
       number_value(1, 5, "days")),
    _f("Meals on trips are paid up to {v} a day.|You may spend {v} a day on food when travelling.",
       "How much can I spend on food on a business trip?|What is the daily limit for meals?|meal allowance?",
       money_value),
    _f("Hand in expenses by {v}.|Claims must be in by {v}.",
       "By when must I hand in my receipts?|deadline for expenses?|Until when can I claim?",
       one_of("the 5th of the next month", "the end of the quarter", "15 December", "Friday noon")),
    _f("In an emergency, call {v}.|The number for emergencies is {v}.",
       "Whom do I ring in an emergency?|What number do I call if there is a fire?|emergency phone?",
       number_value(1000, 99999)),
    _f("A lost key costs {v}.|Whoever loses a key pays {v}.",
       "I lost my key. What does that cost?|What do I pay for a lost key?|price of a new key",
       money_value),
    _f("{n} gives {v} of its profit away.|{v} of what we earn goes to charity.",
       "How much do you give to charity?|What share of the profit does {n} donate?|Do you donate anything?",
       number_value(1, 20, "percent")),
)  # fmt: skip
_PARTS = ("lid", "filter", "strap", "battery", "handle", "knob", "bag", "lens", "wheel", "stand")
_SECTIONS = ("At a glance", "Details", "Use", "Good to know")
_FILLERS = (
    "It has been tested by people who use such things every day.", "We are proud of how it turned out.",
    "Please read this page to the end before you begin.", "Many of our customers come back for another one.",
    "If anything is unclear, write to us.", "Photographs on this page may differ from the real thing.",
    "This has changed a little since last year.", "Ask us if you are in doubt.", "It was a long way until we got here.",
)  # fmt: skip


def handbook_row(chance: random.Random, *, answerable: float = 0.6) -> HandbookRow:
    """Make up a passage of a manual or handbook and a question about it."""
    goods = chance.random() < 0.5
    name, other = name_of(goods, chance), name_of(goods, chance)
    while other == name:
        other = name_of(goods, chance)
    facts = chance.sample(THINGS if goods else PLACES, chance.randint(3, 7))
    part, about = chance.choice(_PARTS), facts[0]
    value = about.value(chance)
    told = chance.random() < answerable
    lines: list[tuple[str, bool]] = []
    if told:
        lines.append((_say(chance.choice(about.stated), name, value, part), True))
    elif chance.random() < 0.4:  # the same fact, of another thing
        statement = chance.choice([text for text in about.stated if "{n}" in text] or [""])
        lines += [(_say(statement, other, value, part), False)] if statement else []
    for fact in facts[1:]:
        lines.append((_say(chance.choice(fact.stated), name, fact.value(chance), chance.choice(_PARTS)), False))
    lines += [(text, False) for text in chance.sample(_FILLERS, chance.choice((0, 0, 1, 2)))]
    chance.shuffle(lines)
    at = next((index for index, (_, telling) in enumerate(lines) if telling), None)
    heading = name if chance.random() < 0.8 else f"{name} > {chance.choice(_SECTIONS)}"
    question = _say(chance.choice(about.asked), name, "", part)
    naming = [text for text in about.stated if "{n}" in text]
    rival = f"{other}: {_say(chance.choice(naming), other, about.value(chance), part)}" if naming else None
    if name not in question:  # nobody could tell whom it means
        rival = None
    return HandbookRow(question, heading, tuple(text for text, _ in lines), at, value if told else None, rival)


def _say(text: str, name: str, value: str, part: str) -> str:
    said = text.format(n=name, v=value, p=part)
    return said[0].upper() + said[1:]
