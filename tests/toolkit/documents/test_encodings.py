"""Legacy encodings: short texts with few letters, and those that differ from another in a few places."""

from __future__ import annotations

import time

import pytest

from toolkit.documents.readers import read_bytes
from toolkit.documents.sniff import decode

WESTERN = (
    "Käse;3 €",
    "Name;Preis\nKäse;3 €\nBrötchen;1 €\n",
    "€ 3,50;Tee\n€ 1,10;Milch",
    "Größe: 3 m²",
    "ÄRGER ÜBER ÖL",
    "Über den Wolken – „schön“ ist es…",
    "Temperatur: 20 °C",
    "Café crème à la façon de l’hôtel, œuvre naïve",
    "naïve résumé",
    "¿Dónde está el señor Muñoz? ¡Aquí!",
    "A ação não é só dele, também é nossa missão",
    "Perché la città è così? Più caffè",
    "Smörgåsbord på svenska är gott",
    "Rødgrød med fløde på øen",
    "Þetta reddast, ég þarf að fara á Íslandi",
    "Gänse «franz» in Zürich, Genève und São Paulo",
    "© 2024 Müller GmbH",
    "3 Ä",
)
CENTRAL = (
    "Zażółć gęślą jaźń",
    "Łódź;5 zł",
    "Cena: 5 zł, wysyłka 3 zł",
    "książka",
    "Příliš žluťoučký kůň úpěl ďábelské ódy",
    "Šálek čaje za 20 korun",
    "Árvíztűrő tükörfúrógép",
    "Kŕdeľ šťastných ďatľov učí mĺkveho koňa",
    "Čokolada in žganje, šest kilogramov",
)


@pytest.mark.parametrize("text", WESTERN)
def test_western_text_is_read_however_short_it_is(text: str) -> None:
    assert decode(text.encode("cp1252"))[0] == text


@pytest.mark.parametrize("encoding", ["iso8859_2", "cp1250"])
@pytest.mark.parametrize("text", CENTRAL)
def test_central_european_text_is_read_in_both_its_encodings(text: str, encoding: str) -> None:
    found, name = decode(text.encode(encoding))
    assert found == text
    assert name in ("iso8859_2", "cp1250")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Şişli İstanbul’da, çiğ köfte ılık", "cp1254"),
        ("Įlinkdama fechtuotojo špaga pragręžė arbūzą", "cp1257"),
        ("Glāžšķūņa rūķīši dzērumā čiepj vākus", "cp1257"),
        ("Põdur Zagrebi tšellomängija külmetas", "cp1257"),
        ("Käse;3 €", "mac_roman"),
        ("Der Käse und das Öl kosten viel", "cp850"),
        ("Привет, мир! Как дела?", "cp1251"),
        ("Сыр;3 €", "cp1251"),
        ("Καλημέρα κόσμε", "cp1253"),
        ("مرحبا بالعالم", "cp1256"),
        ("名前,年齢\n佐藤太郎,30", "cp932"),
        ("カタカナ", "cp932"),
        ("你好，世界", "big5"),
        ("안녕하세요 세계", "cp949"),
    ],
)
def test_other_languages_and_scripts_are_not_taken_for_western(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding))[0] == text


def test_a_price_list_with_few_letters_is_read_right() -> None:
    extract = read_bytes("Ware;Preis\nKäse;3 €\nÖl;5 €\n".encode("cp1252"), "prices.csv")
    assert "Käse" in extract.sections[0].text
    assert "5 €" in extract.sections[0].text


def test_a_long_text_in_another_script_is_told_quickly() -> None:
    data = ("Привет, мир! Как дела у вас сегодня? " * 20000).encode("cp1251")
    started = time.perf_counter()
    assert decode(data)[1] == "cp1251"
    assert time.perf_counter() - started < 5
