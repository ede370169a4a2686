"""A grammar of seven slots that writes prompts, in place of the public prompt sources and of MagicPrompt."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b

# A phrase's place in its tuple decides how it is drawn: append, never insert, or old pictures change.
MATERIALS = (
    "wooden", "glass", "clockwork", "golden", "knitted", "rusty", "paper", "porcelain", "ghostly",
    "giant", "melting", "chocolate", "skeletal", "feathered", "inflatable", "marble", "burning", "moss-covered",
)  # fmt: skip
SUBJECTS = (
    "fox", "whale", "astronaut", "violinist", "robot", "dragon", "owl", "lighthouse",
    "steam locomotive", "octopus", "samurai", "ballerina", "elephant", "hot air balloon", "beekeeper", "horse",
    "jellyfish", "wizard", "tortoise", "submarine", "tiger", "peacock", "sailing ship", "scarecrow",
    "penguin", "butterfly", "motorcycle", "goldfish", "cowboy", "mushroom", "bear", "spider",
    "typewriter", "queen", "wolf", "snowman", "cactus", "crab", "boxer", "giraffe",
    "teapot", "windmill", "nun", "frog", "blacksmith", "hedgehog", "camel", "pirate",
)  # fmt: skip
COMPANIONS = (
    "a lantern", "an umbrella", "a grand piano", "a crystal skull", "a pocket watch", "a bowl of ramen",
    "a suitcase", "a broken mirror", "a bouquet of tulips", "a chessboard", "a telescope", "a birdcage",
    "a stack of books", "a rubber duck", "a trumpet", "an hourglass", "a wheel of cheese", "a treasure map",
    "a sewing machine", "a football", "a kite", "a candle", "an anvil", "a watermelon",
    "a telephone", "a rocking chair", "a snow globe", "a ladder", "a sword", "an electric guitar",
    "a cup of coffee", "a fishing rod", "a film camera", "a birthday cake", "a wheelbarrow", "a pumpkin",
)  # fmt: skip
SCENES = (
    "in a flooded cathedral", "on the moon", "in a bamboo forest", "at a night market", "in a desert canyon",
    "under the sea", "in an abandoned factory", "on a snowy mountain", "in a greenhouse", "in an old library",
    "on a tropical beach", "in a Tokyo alley", "in a wheat field", "on a space station", "inside a volcano",
    "in a swamp", "in a subway station", "on a Venetian canal", "in an ice cave", "in a candy shop",
    "in a Roman arena", "in a medieval village", "in a rose garden", "in a football stadium", "in a laboratory",
    "in a hospital corridor", "on a theatre stage", "in a cemetery", "in a supermarket", "in a dusty attic",
    "in a kitchen", "on a suspension bridge", "in a fishing harbour", "above the clouds", "in a swimming pool",
    "in a casino",
)  # fmt: skip
MEDIA = (
    "oil painting", "watercolor", "charcoal sketch", "pixel art", "stained glass window", "woodcut print",
    "polaroid photo", "claymation still", "comic book page", "blueprint", "mosaic", "embroidery",
    "marble relief", "neon sign", "origami", "3d render", "vintage travel poster", "graffiti mural",
    "children's book illustration", "tarot card", "ink wash painting", "postage stamp",
)  # fmt: skip
LIGHTS = (
    "at golden hour", "in thick fog", "under neon lights", "by candlelight", "in cold moonlight",
    "under a blood red sky", "in pouring rain", "under the northern lights", "in harsh noon sun", "in a snowstorm",
    "in soft pastel light", "during a solar eclipse", "with lightning", "in an ultraviolet glow", "in sepia tones",
    "under a rainbow",
)  # fmt: skip
DETAILS = (
    "falling cherry petals", "floating soap bubbles", "swirling smoke", "scattered gold coins", "glowing fireflies",
    "shattered glass", "confetti", "cobwebs", "musical notes", "tangled vines",
    "flying sparks", "a flock of crows", "playing cards", "drifting feathers", "gears and cogs", "ancient runes",
    "barbed wire", "dripping paint", "twinkling stars", "silk ribbons", "old bones", "paper hearts",
    "autumn leaves", "eyes everywhere",
)  # fmt: skip

SLOTS = {
    "material": MATERIALS,
    "subject": SUBJECTS,
    "companion": COMPANIONS,
    "place": SCENES,
    "medium": MEDIA,
    "light": LIGHTS,
    "detail": DETAILS,
}
PERCENT_SAID = {
    "material": 35, "subject": 100, "companion": 70, "place": 85, "medium": 60, "light": 45, "detail": 45,
}  # fmt: skip
PERCENT_RETOLD = 20
ENDINGS = (", highly detailed", ", 4k", ", trending on artstation")


def prompts(*, seed: int, start: int, count: int) -> Iterator[str]:
    """Yield prompts start .. start + count - 1 of the endless series of `seed`.

    Prompt i is a function of (seed, i) alone, so that any shard can be written on its own. One in five says an
    earlier idea of the series again, as people do who try a prompt several times: word for word, with a fashionable
    ending, in the other word order, or in another light.
    """
    for number in range(start, start + count):
        yield _prompt(seed, number)


def _prompt(seed: int, number: int) -> str:
    if number == 0 or _below(100, seed, number, "retold") >= PERCENT_RETOLD:
        return _sentence(*_idea(seed, number))
    said, scene_first = _idea(seed, _below(number, seed, number, "earlier"))
    match _below(6, seed, number, "how"):
        case 0:
            return _sentence(said, scene_first)
        case 1 | 2:
            return _sentence(said, scene_first) + _one_of(ENDINGS, seed, number, "ending")
        case 3:
            return _sentence(said, not scene_first)
        case _:
            return _sentence(said | {"light": _one_of(LIGHTS, seed, number, "another light")}, scene_first)


def _idea(seed: int, number: int) -> tuple[dict[str, str], bool]:
    """What is said, "" for a slot left out, and whether the place comes first."""
    said = {
        slot: _one_of(phrases, seed, number, slot)
        if _below(100, seed, number, slot, "said") < PERCENT_SAID[slot]
        else ""
        for slot, phrases in SLOTS.items()
    }
    return said, _below(2, seed, number, "order") == 0


def _below(bound: int, *name: object) -> int:
    """A choice out of `bound`, a function of its name; `random` promises no such thing from one Python to the next."""
    digest = blake2b("/".join(map(str, name)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % bound


def _one_of(phrases: Sequence[str], *name: object) -> str:
    return phrases[_below(len(phrases), *name)]


def _sentence(said: dict[str, str], scene_first: bool) -> str:
    return _scene_first(said) if scene_first else _picture_first(said)


def _picture_first(said: dict[str, str]) -> str:
    """oil painting of a glass fox with a lantern on the moon, at golden hour, confetti"""
    medium = f"{said['medium']} of" if said["medium"] else ""
    companion = f"with {said['companion']}" if said["companion"] else ""
    scene = _joined(" ", medium, _noun(said), companion, said["place"])
    return _joined(", ", scene, said["light"], said["detail"])


def _scene_first(said: dict[str, str]) -> str:
    """on the moon, a glass fox and a lantern, confetti, at golden hour, oil painting"""
    companion = f"and {said['companion']}" if said["companion"] else ""
    pair = _joined(" ", _noun(said), companion)
    return _joined(", ", said["place"], pair, said["detail"], said["light"], said["medium"])


def _noun(said: dict[str, str]) -> str:
    noun = _joined(" ", said["material"], said["subject"])
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _joined(separator: str, *parts: str) -> str:
    return separator.join(part for part in parts if part)
