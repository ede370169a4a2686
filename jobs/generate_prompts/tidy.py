"""What becomes of a written text before it is a prompt."""

from __future__ import annotations

import re

from jobs.shards.keys import normalise

NOT_TEXT = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ufffd]")
NO_BEGINNING = " ,.;:!?-–—_*|/\\)]}>~=+&%"
NO_END = " ,;:-–—_|/\\([{<=+&"


def tidy(text: str) -> str:
    """The prompt in a language model's text; "" when there is none.

    1. Control characters, and U+FFFD, which stands for bytes that are no UTF-8, are taken out.
    2. White space and Unicode are normalised as in every prompt (jobs.shards.keys).
    3. The front loses separators, closing brackets and sentence marks: a model that learned on parts of pages begins
       with ", " or ". ". Opening brackets, quotation marks, # and @ stay, because prompts do begin with them.
    4. The end loses separators and opening brackets, which stand there when max_new_tokens cut the text; sentence
       marks stay.
    """
    return normalise(NOT_TEXT.sub("", text)).lstrip(NO_BEGINNING).rstrip(NO_END)
