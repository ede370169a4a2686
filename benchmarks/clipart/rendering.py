"""Foreign SVG files drawn on white by resvg, in the sandboxed process that svg_service.py describes."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import cast

import resvg_py
from PIL import Image

from benchmarks.clipart.svg_metadata import Unfit, metadata_in
from benchmarks.clipart.svg_service import SVGS, Answer, Drawn, NotDrawn, Settings, Svg
from jobs.runtime.sandbox.messages import Server

NOT_UTF_8 = "is not UTF-8"
NOT_RENDERED = "no SVG that can be rendered"
BLANK = "one colour all over"

_DOTS_PER_INCH = 96.0  # as CSS has it; without it a width in points or millimetres is an invalid size


def drawn(data: bytes, size: int) -> Image.Image:
    """The picture as RGB on white, its longer side `size` pixels; raises Unfit.

    Text is left out: with the fonts of a machine the pixels would be those of that machine.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unfit(NOT_UTF_8, str(error)) from error
    try:
        png = resvg_py.svg_to_bytes(
            svg_string=text,
            background="#ffffff",
            width=size,
            height=size,
            dpi=_DOTS_PER_INCH,
            skip_system_fonts=True,
        )
    except ValueError as error:
        raise Unfit(NOT_RENDERED, str(error)) from error
    image = Image.open(io.BytesIO(png)).convert("RGB")
    if all(low == high for low, high in cast(tuple[tuple[int, int], ...], image.getextrema())):
        raise Unfit(BLANK)
    return image


def _start(settings: Settings) -> Callable[[Svg, bytes], Iterator[tuple[Answer, bytes]]]:
    def answer(data: bytes) -> tuple[Answer, bytes]:
        try:
            metadata = metadata_in(data)
            file = io.BytesIO()
            drawn(data, settings.size).save(file, "PNG")
        except Unfit as error:
            return NotDrawn(reason=error.reason, detail=error.detail), b""
        return Drawn(metadata=metadata), file.getvalue()

    def serve(_request: Svg, data: bytes) -> Iterator[tuple[Answer, bytes]]:
        yield answer(data)

    # so that all modules are there before no file can be opened any more
    answer(b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><path d="M0 0h5v5z"/></svg>')
    return serve


SERVER = Server(SVGS, _start)
