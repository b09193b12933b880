"""The corpus of `make bench-resize`: corpus.py UNPACKED OUT, where UNPACKED holds a folder per Debian package.

Photographs from wallpaper packages become files as a camera, a phone or a site would leave them. Same packages and same
Pillow, same bytes. Five sets, each a folder of OUT:

| set         | pictures | pixels, each | files |
|-------------|----------|--------------|-------|
| jpeg        | 24       | 2 to 3 MP    | baseline JPEG, 4:2:0, mean near 265 KB |
| progressive | 24       | 2 to 3 MP    | the same pictures and quality, progressive |
| large       | 8        | 8 MP         | baseline JPEG, 4:2:0, mean near 1.2 MB |
| png         | 12       | 1 to 2.3 MP  | nine of the photographs, 8-bit RGB, and three drawn wallpapers as they come, RGBA |
| webp        | 24       | 2 to 3 MP    | lossy, quality 80 |

No file carries EXIF or an ICC profile, so nobody turns or converts a picture that another leaves alone.
"""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image

# In this order, the first that are there: not every release of Debian has them all.
PHOTOGRAPHS = """
Dragonfly_by_Bolly Picture_0B_by_freespace Wine_by_Jakkub_Mede aitzgorri_by_Aitzol_Berasategi free_by_Peter_Nerlich
friends_by_Aitzol_Berasategi greentock_by_Peter_Nerlich life_by_Aitzol_Berasategi picosdeeuropa_by_Aitzol_Berasategi
seeding_by_Clements_Engelhardt sunset_by_Aitzol_Berasategi Bridge_by_Sander_Klootwijk Kleiber_by_Lukas_Baubkus
LadyBird RainDrops Storm TwoWings YellowFlower BytheWater ColorfulCups EveningGlow FallenLeaf OneStandsOut Path
Blinds Garden Kite summer_1am Volna Wood
""".split()
DRAWN = ["Float-into-MATE", "Silk", "Gulp"]
MEGAPIXEL = 1_000_000


def main(unpacked, out):
    sources = {path.stem: path for path in sorted(unpacked.rglob("*.png"))} | photographs_by_name(unpacked)
    photographs = [name for name in PHOTOGRAPHS if name in sources]
    large = [name for name in photographs if pixels(sources[name]) >= 7.9 * MEGAPIXEL][:8]
    drawn = [name for name in DRAWN if name in sources]
    photographs = photographs[:24]
    if (len(photographs), len(large), len(drawn)) != (24, 8, 3):
        sys.exit(f"found {len(photographs)} of 24 photographs, {len(large)} of 8 large ones, {len(drawn)} of 3 drawings")

    def pictures(names, first, step):
        return [(name, scaled(sources[name], (first + n % 5 * step) * MEGAPIXEL)) for n, name in enumerate(names)]

    photos = pictures(photographs, 2, 0.25)
    quality = write_near(out / "jpeg", photos, 265_000)
    write(out / "progressive", photos, ".jpg", jpeg(quality, progressive=True))
    write_near(out / "large", pictures(large, 8, 0), 1_200_000)
    write(out / "png", pictures(photographs[:9], 1, 0.25), ".png", {"format": "PNG"})
    for n, name in enumerate(drawn, 10):
        shutil.copyfile(sources[name], out / "png" / f"{n}-{name}.png")
    write(out / "webp", photos, ".webp", {"format": "WEBP", "quality": 80})


def photographs_by_name(unpacked):
    """KDE's are all called 2560x1600.jpg or so, in Name/contents/images. Of several sizes the last, 5120x2880."""
    named = {}
    for path in sorted(unpacked.rglob("*.jpg")):
        named[path.parents[2].name if path.parent.name == "images" else path.stem] = path
    return named


def pixels(path):
    with Image.open(path) as image:
        return image.width * image.height


def scaled(path, wanted):
    """Of about so many pixels, never enlarged, as 8-bit RGB, without metadata."""
    with Image.open(path) as image:
        image = image.convert("RGB")
    factor = min(1, (wanted / (image.width * image.height)) ** 0.5)
    size = (round(image.width * factor), round(image.height * factor))
    image = image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)
    image.info.clear()
    return image


def jpeg(quality, progressive=False):
    return {"format": "JPEG", "quality": quality, "subsampling": "4:2:0", "progressive": progressive}


def encoded(image, options):
    file = io.BytesIO()
    image.save(file, **options)
    return file.getvalue()


def write(folder, pictures, suffix, options):
    folder.mkdir(parents=True)
    total = 0
    for n, (name, image) in enumerate(pictures, 1):
        total += (folder / f"{n:02}-{name}{suffix}").write_bytes(encoded(image, options))
    print(f"{folder.name}: {len(pictures)} pictures, mean {total // len(pictures)} bytes, {options}")


def write_near(folder, pictures, wanted):
    """Writes baseline JPEGs of the quality whose mean size is nearest to `wanted`, and answers it."""
    sizes = {}

    def mean(quality):
        if quality not in sizes:
            sizes[quality] = sum(len(encoded(image, jpeg(quality))) for _, image in pictures) / len(pictures)
        return sizes[quality]

    low, high = 20, 98
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if mean(middle) < wanted else (low, middle)
    quality = min((low, high), key=lambda quality: abs(mean(quality) - wanted))
    write(folder, pictures, ".jpg", jpeg(quality))
    return quality


main(Path(sys.argv[1]), Path(sys.argv[2]))
