"""What is said: sentences from small grammars in five languages; each sentence belongs to one split for ever.

A sentence's split follows from its own letters, so training and held-out sentences cannot meet whatever the seeds.
"""

from __future__ import annotations

import re
import zlib

import numpy as np

HELD_OUT_SHARE = 5
"""One sentence in five is held out."""

GRAMMARS: dict[str, dict[str, tuple[str, ...]]] = {
    "en": {
        "S": (
            "NP VP.", "NP VP, and NP VP.", "OPEN, NP VP.", "OPEN, NP VP, but NP VP.", "NP VP because NP VP.",
            "When NP VP, NP VP.", "I ATT that NP VP.", "Do you ATT that NP VP?", "ASK", "There are NUM NOUNS PLACE.",
            "Look, NP VP!", "NP VP, not NP.", "First NP VP, then NP VP.", "It was ADJ, it was ADJ, and NP VP.",
            "If NP VP, then NP VP too.", "SAY", "NP and NP VP PLACE.", "You and I ATT that NP VP.",
        ),
        "NP": (
            "the NOUN", "the ADJ NOUN", "my ADJ NOUN", "a NOUN", "this NOUN", "every NOUN", "our NOUN", "NAME",
            "a very ADJ NOUN", "NAME and I", "the NOUN PLACE", "nobody", "your NOUN",
        ),
        "VP": (
            "VERBED NP", "VERBED the ADJ NOUN", "WENT PLACE", "was ADJ", "was really ADJ", "VERBED NP TIME",
            "WENT away TIME", "never VERBED NP", "could have VERBED NP", "WENT back PLACE", "VERBED NUM NOUNS",
        ),
        "OPEN": (
            "Well", "Honestly", "To begin with", "In the end", "This morning", "As you know", "On the other hand",
            "Years ago", "Between you and me", "Of course", "Suddenly", "For example", "Believe me",
        ),
        "ATT": ("think", "know", "believe", "remember", "hope", "suppose", "imagine", "said"),
        "ASK": (
            "Where is NP?", "How did NP find NP?", "Why was NP so ADJ?", "Who VERBED NP PLACE?",
            "What happened to NP TIME?", "Which NOUN do you like better, NP or NP?",
        ),
        "SAY": (
            "Listen to me, this is important.", "That is exactly what I mean.", "We can do better than that.",
            "Let me tell you a story about NP.", "Nothing could be further from the truth.", "Thank you, NAME!",
            "I have NUM reasons, and the first is NP.", "Big or small, NP VERBED NP.", "Wait a minute, that was NP!",
        ),
        "NAME": (
            "Anna", "Peter", "Maria", "doctor Brown", "uncle Joe", "Lucy", "Mister Green", "Sophie", "captain Miller",
            "Oliver", "grandmother", "Benny",
        ),
        "NOUN": (
            "garden", "machine", "teacher", "river", "picture", "window", "elephant", "kitchen", "mountain", "letter",
            "bicycle", "village", "doctor", "answer", "captain", "engine", "blanket", "planet", "sister", "table",
            "apple", "puppet", "market", "hammer", "island", "problem", "camera", "boat", "horse", "dream", "castle",
            "neighbour", "tiger", "piano", "question", "bottle", "winter", "shadow", "ladder", "button",
        ),
        "NOUNS": (
            "people", "stories", "houses", "children", "flowers", "reasons", "bottles", "birds", "ideas", "windows",
            "tickets", "giants", "pages", "cookies",
        ),
        "ADJ": (
            "big", "little", "wonderful", "yellow", "broken", "quiet", "enormous", "happy", "terrible", "golden",
            "careful", "old", "beautiful", "hungry", "simple", "heavy", "famous", "lonely", "bright", "dangerous",
            "gentle", "empty", "new", "funny", "curious", "proud",
        ),
        "VERBED": (
            "followed", "opened", "painted", "forgot", "carried", "visited", "noticed", "lifted", "remembered",
            "answered", "bought", "moved", "admired", "discovered", "wanted", "needed", "finished", "repaired",
            "watched", "invited", "counted", "promised",
        ),
        "WENT": ("went", "travelled", "wandered", "hurried", "came", "sailed", "moved", "walked", "jumped"),
        "PLACE": (
            "over the hill", "to the city", "under the bridge", "near the station", "across the water", "into the dark",
            "in the middle of the room", "at the end of the road", "on the other side", "behind the tower",
            "all around the world", "up the stairs",
        ),
        "TIME": (
            "yesterday", "last summer", "every single day", "a long time ago", "before breakfast", "on Monday",
            "in the evening", "for seven years", "once again", "tonight",
        ),
        "NUM": ("two", "three", "four", "seven", "eleven", "twenty", "a hundred", "a thousand", "fifty", "nine"),
    },
    "de": {
        "S": ("NP VP.", "NP VP, und NP VP.", "OPEN VERB NP NOUN2.", "NP VP, aber NP VP.", "Warum VERB NP NOUN2?"),
        "NP": ("der ADJ Hund", "die alte Stadt", "mein Bruder", "das kleine Haus", "unsere Lehrerin", "der Garten",
               "meine Tante", "der ADJ Berg", "das Kind", "die ganze Familie"),
        "VP": ("VERB NOUN2", "VERB heute NOUN2", "VERB immer wieder NOUN2", "war wirklich schön", "war viel zu teuer"),
        "OPEN": ("Gestern", "Am Morgen", "Natürlich", "Vor vielen Jahren", "Manchmal", "Plötzlich"),
        "ADJ": ("große", "gute", "kleine", "rote", "müde", "neue"),
        "VERB": ("sieht", "findet", "sucht", "kauft", "liebt", "malt", "bringt"),
        "NOUN2": ("einen Apfel", "ein Bild", "die Blumen", "drei Bücher", "den Zug", "eine Antwort", "das Wasser"),
    },
    "es": {
        "S": ("NP VP.", "NP VP, y NP VP.", "OPEN, NP VP.", "NP VP, pero NP VP.", "¿Por qué NP VP?"),
        "NP": ("el perro", "la ciudad", "mi hermano", "la casa pequeña", "nuestra maestra", "el jardín", "mi tía",
               "el barco", "la niña", "todo el mundo"),
        "VP": ("VERB OBJ", "VERB OBJ todos los días", "VERB siempre OBJ", "era muy bonito", "era demasiado grande"),
        "OPEN": ("Ayer", "Por la mañana", "Claro", "Hace muchos años", "A veces", "De repente"),
        "VERB": ("busca", "encuentra", "mira", "compra", "quiere", "pinta", "lleva"),
        "OBJ": ("una manzana", "un libro", "las flores", "tres caballos", "el tren", "una respuesta", "el agua"),
    },
    "fr": {
        "S": ("NP VP.", "NP VP, et NP VP.", "OPEN, NP VP.", "NP VP, mais NP VP.", "Pourquoi est-ce que NP VP?"),
        "NP": ("le chien", "la ville", "mon frère", "la petite maison", "notre maîtresse", "le jardin", "ma tante",
               "le bateau", "la fille", "tout le monde"),
        "VP": ("VERB OBJ", "VERB OBJ tous les jours", "VERB toujours OBJ", "était très beau", "était trop grand"),
        "OPEN": ("Hier", "Le matin", "Bien sûr", "Il y a longtemps", "Parfois", "Soudain"),
        "VERB": ("cherche", "trouve", "regarde", "achète", "aime", "porte", "montre"),
        "OBJ": ("une pomme", "un livre", "les fleurs", "trois chevaux", "le train", "une réponse", "la lumière"),
    },
    "it": {
        "S": ("NP VP.", "NP VP, e NP VP.", "OPEN, NP VP.", "NP VP, ma NP VP.", "Perché NP VP?"),
        "NP": ("il cane", "la città", "mio fratello", "la piccola casa", "la nostra maestra", "il giardino", "mia zia",
               "la barca", "la bambina", "tutta la famiglia"),
        "VP": ("VERB OBJ", "VERB OBJ ogni giorno", "VERB sempre OBJ", "era molto bello", "era troppo grande"),
        "OPEN": ("Ieri", "La mattina", "Certo", "Molti anni fa", "A volte", "All'improvviso"),
        "VERB": ("cerca", "trova", "guarda", "compra", "ama", "dipinge", "porta"),
        "OBJ": ("una mela", "un libro", "i fiori", "tre cavalli", "il treno", "una risposta", "l'acqua"),
    },
}  # fmt: skip
_SYMBOL = re.compile(r"\b[A-Z]+2?\b")


def split_of(text: str) -> str:
    """The split to which a text belongs for ever: "train" or "held-out"."""
    return "held-out" if zlib.crc32(text.lower().encode()) % HELD_OUT_SHARE == 0 else "train"


def draw_sentence(rng: np.random.Generator, split: str, language: str = "en") -> str:
    """A sentence of a split, in a language of GRAMMARS."""
    while True:
        text = _expand("S", GRAMMARS[language], rng)
        text = re.sub(r"\b([Aa]) (?=[aeio])", r"\1n ", text) if language == "en" else text
        text = text[0].upper() + text[1:]
        if split_of(text) == split:
            return text


def _expand(symbol: str, grammar: dict[str, tuple[str, ...]], rng: np.random.Generator) -> str:
    choices = grammar[symbol]
    chosen = choices[rng.integers(len(choices))]
    return _SYMBOL.sub(lambda m: _expand(m.group(), grammar, rng) if m.group() in grammar else m.group(), chosen)
