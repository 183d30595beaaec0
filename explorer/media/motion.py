"""Tells the moving part of a photo from a film: some seconds beside a picture of the same name, as phones keep them."""

from __future__ import annotations

import os
import re

LONGEST = 4.0  # seconds; Live Photos last 3, motion photos 1.5 to 3.5
_ALWAYS = (".heic", ".heif")  # only phones write these
_NAMED = (".jpg", ".jpeg", ".png", ".dng")  # with the name of a phone's picture: films have posters of such kinds too
_PHONE = re.compile(r"(IMG_E?\d{4}|MVIMG_|PXL_|IMG_\d{8}|\d{8}_\d{6}|IMG-\d{8}|DSC_?\d{4})", re.IGNORECASE)


def belongs_to_photo(path: str, seconds: float) -> bool:
    """Whether a video is the motion part of a photo that lies beside it.

    Args:
        path: the video.
        seconds: how long it lasts.
    """
    stem, ending = os.path.splitext(path)
    if seconds > LONGEST or ending.lower() not in (".mov", ".mp4", ".mp"):
        return False
    stem = stem.removesuffix(".MP")  # PXL_20230704_101530.MP.mp4 beside PXL_20230704_101530.MP.jpg or without .MP
    endings = (*_ALWAYS, *_NAMED) if _PHONE.match(os.path.basename(stem)) else _ALWAYS
    stems = (stem, f"{stem}.MP")
    return any(os.path.isfile(s + case(e)) for s in stems for e in endings for case in (str.lower, str.upper))
