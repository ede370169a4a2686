"""Small images of every kind, by which all that decodes them is loaded. Free of numpy."""

from __future__ import annotations

import base64
import importlib
import io
from collections.abc import Iterator

from PIL import Image, ImageCms

# Of 8 x 8 pixels. To encode them takes 0.1 s of each process, and threads.
_AVIF = base64.b85decode(
    "0000WW^{RQVRmU|00000VRmU|ZE0pPZE0a<O+hh20002%ZDn*}000000000XXk=`10000000000aA{+700000000000000000000"
    "4sdC7Z2$lO000310016oY;R)#0000)000310RR910RR926951JCIA2cC~0YKW&i*H00031000_kZf0cy000000RRADb}%tRZ)|UJ"
    "00000YH4tCZ~y=ROKEUpZvX%Q6lrsCWdHyG000002mk;82mk;85O8UDX#fBK00RgJ2mk;83}JRLLxBJc000006Ju{|a&BX6cmM$a"
    "4FCp!0000NX>e^}0000000001009I60)qqq001s+WMOm?015~g2)}56hJ!*f7#T;0h9QTZdFFyZ0FXfu)kG_G+0RU`fB"
)
_HEIC = base64.b85decode(
    "0000SW^{RQXk}?*00000ZE0pPXk}?*ZE0a<0004eZDn*}000000000XXk=`10000000000aA{+700000000000000000000B57=I"
    "V*mgE07O6l0RRC200001pa1~?00000001)p001LtX>Mi!000000RR916=`l}WdZ;I000310BCk&F#rGn01j|zbZr0t000010002|"
    "X>f9I0002oX>en20001WXm(>m0RwOV0058x000009`FGC{rLC*01pFT0096PKmiN^|NjGU00093kN^M!000939=ZZRVE_RDDMA4O"
    "18@KU0|1Z!00RI30{|YNAb|yz>aLpR;31&EfB*mtfB*mk0EA)y0RRR>0l{;@i2wiq6Ju{|a&BX6cmM$a4FCp!0000KX>)L800000"
    "0000$0000$0000eV{Bn?00008000010000800001|NsBU00002|NsBU000020000GaA|mH000000|*ER0000OX>e^}0000000001"
    "009Mo0s{qv0000xZDe6|0000lC;_h%A!K7f_z?GJ|FxUn`Xd1TTe0cR$VWiH(jb7FKuD8aPzx3ifQNRaR^0d"
)
_SAVED: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("RGB", "PNG", {}),
    ("RGB", "JPEG", {}),
    ("RGB", "WEBP", {}),
    ("P", "GIF", {}),
    ("RGB", "TIFF", {"compression": "tiff_lzw"}),
    ("RGB", "TIFF", {"compression": "jpeg"}),
    ("LAB", "TIFF", {}),
    ("RGB", "BMP", {}),
)


def examples() -> Iterator[bytes]:
    """The images, as files."""
    importlib.import_module("PIL.MpoImagePlugin")  # which Pillow loads for a JPEG with several pictures
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    for mode, form, options in _SAVED:
        file = io.BytesIO()
        Image.new(mode, (8, 8)).save(file, form, icc_profile=profile, **options)
        yield file.getvalue()
    yield from (_AVIF, _HEIC)
