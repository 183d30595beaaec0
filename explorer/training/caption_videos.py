"""Finds the video of every caption in a folder, however its name was written: slashes, case, accents, ending."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePath, PureWindowsPath

from explorer.language.spelling import folded
from explorer.records import CaptionPair, ExplorerError
from explorer.training.captions import some

NAMED = 5  # names with several files that get a line of their own
PICTURES = frozenset(".jpg .jpeg .png .webp .bmp .tif .tiff .heic .avif".split())
NOT_MEDIA = frozenset(  # lie beside videos
    (
        ".json .jsonl .csv .tsv .txt .md .srt .vtt .ass .npz .npy .pt .pth .pkl .h5 .hdf5 .zip .tar .gz .info "
        ".xml .nfo .wav .mp3 .flac .m4a .aac .opus .lrv .thm .xmp .lock .part .tmp"
    ).split()
)


@dataclass(frozen=True)
class _Files:
    """The files of a folder: by relative path as it is, and by folded path, name and stem."""

    folder: Path
    exact: Mapping[str, Path]
    by_path: Mapping[str, list[Path]]
    by_name: Mapping[str, list[Path]]
    by_stem: Mapping[str, list[Path]]


def match_videos(pairs: Iterable[CaptionPair], folder: Path) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Find the file of every caption inside `folder`: by its path, else by its name there, else without its ending.

    A path may be relative to the folder, or absolute and within it, with either slash; case and the way accents are
    stored do not count. Of several files of one name the one nearest to the folder is taken and all are named; where
    none is nearest, none is.

    Args:
        pairs: captions; `file` is a path or a name.
        folder: the videos; links out of it are not followed, sound and pictures beside a video are passed over.

    Returns:
        (name -> path of the files found, notices: names with several files, captions without a video, videos without
        a caption).

    Raises:
        ExplorerError: the folder is missing, or holds none of the videos.
    """
    if not folder.is_dir():
        raise ExplorerError(f"{folder} is not a folder; give the one that holds the videos")
    wanted = list(dict.fromkeys(pair.file for pair in pairs))
    files = _files_of(folder)
    candidates = {name: _candidates(name, files) for name in wanted}
    found = {name: paths[0] for name, paths in candidates.items() if paths and _is_first_alone(paths, files)}
    if not found:
        raise ExplorerError(
            f"none of the {len(wanted)} videos named by the captions is in {folder} "
            f"({some(wanted)}); give the folder that holds them"
        )
    return found, _match_notices(candidates, found, files)


def by_file(pairs: Iterable[CaptionPair], paths: Mapping[str, Path]) -> tuple[CaptionPair, ...]:
    """The pairs with one name a file, where captions spelled it in several ways: else it would count as several
    videos."""
    first: dict[Path, str] = {}
    for name, path in paths.items():
        first.setdefault(path, name)
    return tuple(replace(pair, file=first[paths[pair.file]]) if pair.file in paths else pair for pair in pairs)


def _files_of(folder: Path) -> _Files:
    exact: dict[str, Path] = {}
    tables: tuple[dict[str, list[Path]], ...] = ({}, {}, {})
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(root) / name
            if name.startswith("."):  # what macOS leaves on other disks
                continue
            relative = path.relative_to(folder).as_posix()
            exact[relative] = path
            for table, key in zip(tables, (relative, name, path.stem)):
                table.setdefault(folded(key), []).append(path)
    return _Files(folder, exact, *tables)


def _relative(name: str, folder: Path) -> str:
    """A written path from the folder on, with forward slashes; a name that leads out of the folder stays foreign."""
    written = name.replace("\\", "/")
    base = folder.absolute().as_posix().rstrip("/") + "/"
    for start in (base, Path(os.path.realpath(folder)).as_posix().rstrip("/") + "/"):
        if folded(written).startswith(folded(start)):
            written = written[len(start) :]
    return os.path.normpath(written).replace(os.sep, "/")


def _candidates(name: str, files: _Files) -> list[Path]:
    """Files a name may mean, the likeliest first: by path, by name, then by its last part or its stem."""
    relative = _relative(name, files.folder)
    if relative in files.exact:
        return [files.exact[relative]]
    if relative.startswith("../"):
        return []
    key, last = folded(relative), folded(PurePath(relative).name)
    absolute = PurePath(name).is_absolute() or PureWindowsPath(name).is_absolute()
    found = files.by_path.get(key) or (files.by_name.get(last, []) if absolute or "/" not in relative else [])
    if not found:  # an id without its ending, or a file that was stored under another one
        found = files.by_stem.get(last) or files.by_stem.get(folded(PurePath(relative).stem), [])
        found = [path for path in found if path.suffix.lower() not in NOT_MEDIA]
        found = [path for path in found if path.suffix.lower() not in PICTURES] or found
    return sorted(found, key=lambda path: (len(path.parts), path))


def _is_first_alone(paths: list[Path], files: _Files) -> bool:
    """Whether the first of several files is nearer to the folder than the others."""
    return len(paths) == 1 or len(paths[0].parts) < len(paths[1].parts)


def _match_notices(candidates: Mapping[str, list[Path]], found: Mapping[str, Path], files: _Files) -> tuple[str, ...]:
    notices = []
    missing = [name for name in candidates if name not in found]
    if missing:
        notices.append(
            f"{len(missing)} of {len(candidates)} captioned videos are not in {files.folder} and were left out: "
            f"{some(missing)}"
        )
    notices += _ambiguous(candidates, found, files)
    used = {path for paths in candidates.values() for path in paths if len(paths) > 1} | set(found.values())
    there = {path for path in files.exact.values() if path.suffix.lower() not in NOT_MEDIA}
    stems = {folded(path.stem) for path in found.values()}
    beside = {p for p in there if p.suffix.lower() in PICTURES and folded(p.stem) in stems}
    bare = sorted(path.name for path in there - used - beside)
    if bare:
        many = f"{len(bare)} files in {files.folder} have" if len(bare) > 1 else f"1 file in {files.folder} has"
        notices.append(f"{many} no caption: {some(bare)}")
    return tuple(notices)


def _ambiguous(candidates: Mapping[str, list[Path]], found: Mapping[str, Path], files: _Files) -> list[str]:
    """A line for each name that several files have, for the first NAMED of them."""
    several = {name: paths for name, paths in candidates.items() if len(paths) > 1}
    notices = []
    for name, paths in list(several.items())[:NAMED]:
        listed = some(path.relative_to(files.folder).as_posix() for path in paths)
        taken = "the first is taken" if name in found else "none is taken; write the path of the right one"
        notices.append(f"{name} may be {listed}: {taken}")
    rest = len(several) - NAMED
    return notices + ([f"{rest} more names have several files"] if rest > 0 else [])
