"""One image: from its encoded file to the numbers a model is fed."""

from __future__ import annotations

import io
from typing import Literal, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import PIL
from PIL import Image, ImageOps, UnidentifiedImageError

#: Side of every image of both challenges; re-sampling would be re-alignment, which is forbidden.
SIDE = 112

#: What is decoded, and nothing else: a testset has no business with Pillow's rarer formats.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "PPM")

#: What turns files into pixels, for the key of the cache: decoders differ in the last bit of a JPEG's pixels, and the
#: number is that of `decode`'s own rules, to be raised when they change.
DECODER = f"Pillow {PIL.__version__}, rules 2"

Pixels: TypeAlias = npt.NDArray[np.uint8]
ProblemKind = Literal["unreadable", "size"]


class ImageError(ValueError):
    """An image that cannot be used as it is; ``kind`` says whether it is unreadable or of another size."""

    def __init__(self, kind: ProblemKind, message: str) -> None:
        self.kind: ProblemKind = kind
        super().__init__(message)


class Preprocessing(msgspec.Struct, frozen=True, kw_only=True):
    """How the server turns pixels into the model's input: float32 ``(pixel - mean) / std``, channels first.

    Attributes
    ----------
    mean, std
        The same for all three channels.
    colour
        Order of the channels; "RGB" is the rule of both challenges, "BGR" is fed to see whether a model expects it.
    mirror
        Whether left and right are exchanged, as the second half of LFR19's flip sum needs.
    """

    mean: float = 127.5
    std: float = 127.5
    colour: Literal["RGB", "BGR"] = "RGB"
    mirror: bool = False


def decode(blob: bytes) -> Pixels:
    """Decode an encoded image: uint8 [112, 112, 3], RGB.

    As OpenCV's reader does it unless told otherwise: grey images get three equal channels, transparency is dropped,
    of 16 bits the upper eight are taken, and an image that says by EXIF how it is to be turned is turned.

    Raises
    ------
    ImageError
        It is no image of a known format, is damaged, has another size than 112x112, or holds floating-point numbers.
    """
    try:
        with Image.open(io.BytesIO(blob), formats=FORMATS) as image:
            if image.size != (SIDE, SIDE):
                raise _wrong_size(f"{image.size[0]}x{image.size[1]} pixels")
            return _rgb(ImageOps.exif_transpose(image) if image.info.get("exif") else image)
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):  # Pillow refuses or warns by the size alone
        raise _wrong_size("far too many pixels") from None
    except UnidentifiedImageError:
        raise ImageError("unreadable", f"not an image in a known format ({', '.join(FORMATS)})") from None
    except MemoryError:  # the run's limit shows nothing about the model
        raise
    except Exception as error:  # decoders raise many types on damaged files; all mean the same here
        raise ImageError("unreadable", f"damaged: {error}") from error


def _rgb(image: Image.Image) -> Pixels:
    if image.mode == "F":
        raise ImageError("unreadable", "it holds floating-point numbers, for which no range of brightness is agreed")
    if image.mode.startswith("I"):  # 16 bits, which Pillow would not scale but cut off at 255
        grey = (np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode == "P":  # by way of RGBA, since a palette may have transparent colours
        image = image.convert("RGBA")
    return np.asarray(image.convert("RGB"))


def _wrong_size(found: str) -> ImageError:
    return ImageError("size", f"{found}, {SIDE}x{SIDE} is needed; it was not re-sampled, since that is forbidden")


def fill(slot: npt.NDArray[np.float32], pixels: Pixels, how: Preprocessing) -> None:
    """Write one image's input into ``slot``, float32 [3, 112, 112]."""
    view = pixels[:, ::-1] if how.mirror else pixels
    if how.colour == "BGR":
        view = view[:, :, ::-1]
    np.subtract(view.transpose(2, 0, 1), np.float32(how.mean), out=slot, dtype=np.float32)
    slot /= np.float32(how.std)
