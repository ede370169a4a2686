"""A drawing of a prompt's words, in place of Stable Diffusion: the same words always make the same pixels."""

import re
from hashlib import blake2b

from PIL import Image

from jobs.synthetic import grammar
from jobs.synthetic.canvas import (
    SHAPES,
    SIDE,
    TEXTURES,
    Canvas,
    Colour,
    blank,
    colour_in,
    fill,
    frame_mask,
    ground_mask,
    mix,
    pixels,
    shape_mask,
    stamp,
    textured,
    tint,
)

MOST_WORDS = 48  # Stable Diffusion, too, reads only the beginning of a long prompt


def _colour(code: str) -> Colour:
    red, green, blue = bytes.fromhex(code)
    return red, green, blue


FORMS = tuple(SHAPES)
LIGHT_INK, DARK_INK, GOLD_INK = map(_colour, ("fffaf0", "20202c", "f2b705"))
WHEEL = tuple(map(_colour, (
    "e63946", "f4772e", "f9c22e", "9bc53d", "2a9d4a", "1fb5a8",
    "3fb8f0", "2f5fd0", "6a3fc0", "c03fb8", "ff8fb1", "8a5a36",
)))  # fmt: skip

# Colours of the sky's top and bottom and of the ground, then the ground's outline.
SCENE_LOOKS = {
    "in a flooded cathedral": "3a4a6b 9fb4c9 2f6f7f arches",
    "on the moon": "05060f 23263f b9b9c2 hills",
    "in a bamboo forest": "cfe8a8 8fc46a 3d7a33 trunks",
    "at a night market": "1b1036 5a2a6e c8452f stalls",
    "in a desert canyon": "f7b267 f4845f b0482b mesas",
    "under the sea": "0b6fa4 063b6b 0a8f86 waves",
    "in an abandoned factory": "8c8c84 b8b09a 4e4a44 towers",
    "on a snowy mountain": "8fc3ee dcefff fdfdff peaks",
    "in a greenhouse": "e4f5e4 a6dcb4 2f8a4f arches",
    "in an old library": "6b4226 a8713f 4a2a16 towers",
    "on a tropical beach": "58c7f3 b8f0e8 f5dfa0 waves",
    "in a Tokyo alley": "24123f a32a7c 171029 towers",
    "in a wheat field": "9ed8ff eef3c0 e2b53c hills",
    "on a space station": "0a0f1e 3b4658 9fb0bf stalls",
    "inside a volcano": "2a0a0a 8a1c12 ff5a1f peaks",
    "in a swamp": "6f7f4f 9aa36a 39452a trunks",
    "in a subway station": "d8d8cf a9b3b5 4d5a66 arches",
    "on a Venetian canal": "f3c9a5 e59a7b 2c8f9e stalls",
    "in an ice cave": "bfeaff 5fb5e6 e6fbff peaks",
    "in a candy shop": "ffd1e8 ff9ecb 9be7d8 waves",
    "in a Roman arena": "bcdcf5 e8d9b8 c9a063 arches",
    "in a medieval village": "a9c7d9 d9d2b4 7a5236 peaks",
    "in a rose garden": "ffe3ec f4a9bc 3f8a4a hills",
    "in a football stadium": "5a7fb0 a9c4e6 2fa84a mesas",
    "in a laboratory": "f2fbff c7e6ea 7fd0c7 stalls",
    "in a hospital corridor": "e9f4ee bcd9c9 8fb3a0 mesas",
    "on a theatre stage": "5a0a18 a3162e b87a3a waves",
    "in a cemetery": "59606b 8f98a3 36443a mesas",
    "in a supermarket": "fff7d6 ffe08a 4aa3df towers",
    "in a dusty attic": "4d3b2a 8a6d4b c9ad84 peaks",
    "in a kitchen": "fff1dc ffd9b0 d9694a stalls",
    "on a suspension bridge": "ffb38a c9c3d9 a8321f trunks",
    "in a fishing harbour": "b9cfdb e3e8e4 2f5878 trunks",
    "above the clouds": "2f8fe6 a6d8ff ffffff hills",
    "in a swimming pool": "b8f4ff 5fe0f0 0f9fd6 mesas",
    "in a casino": "0f3d24 1a6b3a c41e3a towers",
}

# The cast's colour and its strength in hundredths, then the lamp's colour and where it stands: across and down, in
# hundredths of the side.
LIGHT_LOOKS = {
    "at golden hour": "ff9a1f 34 ffd24a 84 34",
    "in thick fog": "e4e4e4 52 ffffff 50 16",
    "under neon lights": "ff2fd0 26 27f5ff 16 20",
    "by candlelight": "5a2a00 42 ffb52e 50 20",
    "in cold moonlight": "16256b 46 eef3ff 80 20",
    "under a blood red sky": "b80010 42 ff3b2a 20 26",
    "in pouring rain": "4a6480 44 9fb8cc 34 16",
    "under the northern lights": "0fd98a 32 7dffc4 66 16",
    "in harsh noon sun": "fffbd0 26 ffef3a 50 15",
    "in a snowstorm": "dff2ff 42 bfe3ff 18 18",
    "in soft pastel light": "ffd0ea 44 ffb3dc 68 20",
    "during a solar eclipse": "0a0614 52 000000 50 22",
    "with lightning": "2a1f66 36 fff36b 24 18",
    "in an ultraviolet glow": "5a00ff 38 b45cff 82 16",
    "in sepia tones": "a0713a 50 e6c48c 22 16",
    "under a rainbow": "8affb0 20 ff5ab0 78 24",
}

SILENT = frozenset((
    "a", "an", "and", "at", "by", "for", "from", "in", "into", "is",
    "it", "its", "of", "on", "or", "that", "the", "this", "to", "with",
))  # fmt: skip


def draw(prompt: str, *, size: int) -> Image.Image:
    """Draw `prompt` as an RGB image of (size, size) pixels; the same text gives the same pixels on any machine.

    A phrase of the grammar has its own part of the picture wherever it is said: the place is the background, the light
    a lamp and a colour cast, the subject the large shape, with the material as its texture, the companion the badge,
    the detail a swarm of marks, the medium the frame. Any other word leaves one mark, whose shape, colour, size and
    position come from the word's hash. Every text has a drawing, the empty one too.
    """
    said, words = _read(prompt)
    canvas = blank(size)
    _draw_scene(canvas, said.get("place"), words)
    _draw_light(canvas, said.get("light"))
    for word in sorted(words, key=_hash):
        _draw_word(canvas, word)
    _draw_subject(canvas, said.get("subject"), said.get("material"))
    _draw_companion(canvas, said.get("companion"))
    _draw_detail(canvas, said.get("detail"))
    _draw_medium(canvas, said.get("medium"))
    return Image.fromarray(pixels(canvas))


def _split(text: str) -> list[str]:
    """The words and emoji of a text, in small letters, without those that say nothing about a picture."""
    words = re.findall(r"[^\W_]+|[\u2600-\u27bf\U0001f000-\U0001faff]", text.casefold())
    return [word for word in words if word not in SILENT]


PHRASES = {tuple(_split(phrase)): (slot, phrase) for slot, phrases in grammar.SLOTS.items() for phrase in phrases}
LONGEST_PHRASE = max(map(len, PHRASES))


def _read(prompt: str) -> tuple[dict[str, str], list[str]]:
    """The first phrase said for each slot of the grammar, and the distinct words left over."""
    words = _split(prompt)
    said: dict[str, str] = {}
    rest: dict[str, None] = {}
    at = 0
    while at < len(words) and len(rest) < MOST_WORDS:
        for length in range(LONGEST_PHRASE, 0, -1):
            slot, phrase = PHRASES.get(tuple(words[at : at + length]), ("", ""))
            if slot and slot not in said:
                said[slot] = phrase
                break
        else:
            length = 1
            rest[words[at]] = None
        at += length
    if "material" in said and "subject" not in said:  # a texture needs a subject to lie on
        rest.update(dict.fromkeys(_split(said.pop("material"))))
    return said, list(rest)


def _hash(word: str) -> int:
    return int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "big")


def _draw_scene(canvas: Canvas, scene: str | None, words: list[str]) -> None:
    if scene:
        top, bottom, ground, outline = SCENE_LOOKS[scene].split()
        fill(canvas, _colour(top), _colour(bottom))
        colour_in(canvas, ground_mask(outline, len(canvas)), _colour(ground))
    elif words:
        # The lowest and the highest hash of a set of words: texts that share words often share a sky.
        low, high = (WHEEL[pick(map(_hash, words)) % len(WHEEL)] for pick in (min, max))
        fill(canvas, mix(low, LIGHT_INK, 60), mix(high, LIGHT_INK, 35))
    else:
        fill(canvas, _colour("f3ead8"), _colour("d9ccb4"))


def _draw_light(canvas: Canvas, light: str | None) -> None:
    if not light:
        return
    cast, strength, lamp, across, down = LIGHT_LOOKS[light].split()
    x, y = int(across) * SIDE // 100, int(down) * SIDE // 100
    tint(canvas, _colour(cast), int(strength))
    stamp(canvas, "gear", x, y, 400, mix(_colour(lamp), _colour(cast), 45))
    stamp(canvas, "disc", x, y, 300, _colour(lamp))


def _draw_word(canvas: Canvas, word: str) -> None:
    rest, shape = divmod(_hash(word), len(SHAPES))
    rest, colour = divmod(rest, len(WHEEL))
    rest, column = divmod(rest, 8)
    rest, row = divmod(rest, 8)
    x, y, radius = 500 + column * 440, 500 + row * 440, (280, 380, 480)[rest % 3]
    stamp(canvas, FORMS[shape], x, y, radius + 70, DARK_INK)
    stamp(canvas, FORMS[shape], x, y, radius, WHEEL[colour])


def _draw_subject(canvas: Canvas, subject: str | None, material: str | None) -> None:
    if not subject:
        return
    number = grammar.SUBJECTS.index(subject)
    shape, emblem = FORMS[number % 12], FORMS[(number * 5 + number // 12 + 3) % len(FORMS)]
    x, y, radius = 1830, 2130, 1020
    stamp(canvas, shape, x + 70, y + 90, radius + 80, DARK_INK)
    stamp(canvas, shape, x, y, radius + 80, LIGHT_INK)
    body = shape_mask(shape, x, y, radius, len(canvas))
    colour_in(canvas, body, WHEEL[(number + number // 12 * 3) % 12])
    if material:
        ink, texture = divmod(grammar.MATERIALS.index(material), TEXTURES)
        colour_in(canvas, textured(body, texture, 300, len(canvas)), (DARK_INK, LIGHT_INK, GOLD_INK)[ink % 3])
    stamp(canvas, "disc", x, y, 400, DARK_INK)
    stamp(canvas, emblem, x, y, 330, WHEEL[(number * 7 + 5) % 12])


def _draw_companion(canvas: Canvas, companion: str | None) -> None:
    if not companion:
        return
    number = grammar.COMPANIONS.index(companion)
    shape, badge = FORMS[number % 12], number // 12 % 3
    x, y = 3090, 3030
    stamp(canvas, "disc", x, y, 720, (DARK_INK, LIGHT_INK, DARK_INK)[badge])
    stamp(canvas, "disc", x, y, 640, (LIGHT_INK, DARK_INK, _colour("ffe08a"))[badge])
    stamp(canvas, shape, x, y, 510, (LIGHT_INK, DARK_INK, DARK_INK)[badge])
    stamp(canvas, shape, x, y, 440, WHEEL[(number + number // 12 * 4 + 6) % 12])


SWARM = (
    (700, 700), (1500, 560), (2300, 800), (3350, 1250), (3420, 2000), (620, 1500),
    (560, 2650), (780, 3450), (1600, 3400), (2250, 3560), (2900, 1900), (2700, 560),
)  # fmt: skip


def _draw_detail(canvas: Canvas, detail: str | None) -> None:
    if not detail:
        return
    colour, shape = divmod(grammar.DETAILS.index(detail), 6)
    mark = ("star", "disc", "cross", "diamond", "bolt", "heart")[shape]
    for x, y in SWARM:
        stamp(canvas, mark, x, y, 210, DARK_INK)
        stamp(canvas, mark, x, y, 160, (LIGHT_INK, WHEEL[0], WHEEL[2], WHEEL[6])[colour % 4])


def _draw_medium(canvas: Canvas, medium: str | None) -> None:
    if not medium:
        return
    number = grammar.MEDIA.index(medium)
    frame = frame_mask(350, len(canvas))
    colour_in(canvas, frame, WHEEL[(number * 5 + number // 12) % 12])
    colour_in(canvas, textured(frame, number % TEXTURES, 360, len(canvas)), (LIGHT_INK, DARK_INK)[number // 12 % 2])
