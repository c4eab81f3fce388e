"""Files of pictures: what stands in the way is told before anything long begins; a canvas as a file's form wants it."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from undiced.cli.report import writing
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from undiced.draw.canvas import Canvas
    from undiced.draw.theme import Theme

_PNG = ".png"
_FORMS = (".svg", _PNG)


def see_form(
    path: Path, forms: tuple[str, ...] = _FORMS, remedy: str = "Name a file that ends in .svg or .png."
) -> None:
    """A file ends as one of the forms that it may have.

    Raises:
        InvalidRequestError: it does not.
    """
    if path.suffix.lower() not in forms:
        *others, last = forms
        wrong = f"neither {', '.join(others)} nor {last}" if others else f"no {last} file"
        raise InvalidRequestError(f"{path} is {wrong}.", remedy=remedy)


def expect(path: Path) -> None:
    """A picture will be written there.

    Raises:
        CannotWriteError: it can't.
        UnsupportedError: a PNG, and the package that makes them is not there.
    """
    if path.suffix.lower() == _PNG:
        from undiced.draw.raster import resvg

        resvg()
    with writing(path):
        missing, forbidden = not path.parent.is_dir(), not os.access(path if path.exists() else path.parent, os.W_OK)
        for wrong, number in ((missing, errno.ENOENT), (forbidden, errno.EACCES), (path.is_dir(), errno.EISDIR)):
            if wrong:
                raise OSError(number, os.strerror(number))


def expect_picture(out: Path | None) -> None:
    """What is asked for can be drawn there.

    Raises:
        InvalidRequestError: the file is no picture. CannotWriteError.
        UnsupportedError: a PNG, and the package that makes them is not there.
    """
    if out is not None:
        see_form(out)
        expect(out)


def encoded(canvas: Canvas, path: Path, theme: Theme = "auto") -> bytes:
    """What stands in the file: an SVG, or a PNG, which is light unless dark is asked for."""
    if path.suffix.lower() != _PNG:
        return canvas.document(theme).encode()
    from undiced.draw.raster import png

    return png(canvas.document("dark" if theme == "dark" else "light"))
