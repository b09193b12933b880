"""What Pillow makes of each file of the corpus: pillow_reference.py CORPUS.

Writes CORPUS/reference.tsv, a line for each file: its path, Pillow's name of its format, and what came of it. That is
`pixels`, then width and height once turned upright, and 32 x 32 RGBA pixels in hex, squeezed by a bilinear
filter (it can't overshoot, so where values are clipped makes no difference) without regard to aspect;
or `refused`, then why, for what Pillow knows but can't decode. A format of `-` is one that Pillow doesn't know.
"""

import io
import sys
import warnings
from pathlib import Path

from PIL import Image, ImageCms, ImageOps

SIDE = 32
# What the engine's Limits allow by default. Pillow refuses at twice this.
Image.MAX_IMAGE_PIXELS = 25_000_000
INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
SRGB = ImageCms.createProfile("sRGB")


def to_8_bits(image):
    """Pillow keeps 16 bits in modes that it clips, not scales, on the way to 8."""
    if image.mode.startswith("I;16") or image.mode == "I":
        return image.convert("I").point(lambda value: value / 257).convert("L")
    return image


def to_srgb(image, profile):
    """The image in sRGB, with the alpha it has. A profile that makes no sense is as none."""
    alpha = image.convert("RGBA").getchannel("A")
    image = to_8_bits(image)
    color = image if image.mode in ("L", "CMYK") else image.convert("RGB")
    if profile:
        try:
            # No black point compensation, as the engine.
            color = ImageCms.profileToProfile(color, ImageCms.ImageCmsProfile(io.BytesIO(profile)), SRGB, INTENT, "RGB")
        except (ImageCms.PyCMSError, OSError):
            pass
    color = color.convert("RGB")
    color.putalpha(alpha)
    return color


def reference(image):
    profile = image.info.get("icc_profile")
    upright = ImageOps.exif_transpose(image)
    upright.load()
    pixels = to_srgb(upright, profile)
    # Pillow premultiplies by itself.
    return upright.size, pixels.resize((SIDE, SIDE), Image.Resampling.BILINEAR).tobytes()


def line(path):
    try:
        image = Image.open(path)
    except Image.UnidentifiedImageError:
        return "-", "refused", "unknown"
    except Exception as error:  # Pillow raises of any kind.
        return "-", "refused", type(error).__name__
    try:
        (width, height), pixels = reference(image)
    except Exception as error:
        return image.format, "refused", type(error).__name__
    return image.format, "pixels", str(width), str(height), pixels.hex()


def main():
    warnings.simplefilter("ignore")
    corpus = Path(sys.argv[1])
    files = sorted(path for folder in ("pillow", "crates") for path in corpus.glob(folder + "/**/*") if path.is_file())
    with open(corpus / "reference.tsv", "w", encoding="utf-8") as out:
        for path in files:
            out.write("\t".join([str(path.relative_to(corpus)), *line(path)]) + "\n")


main()
