"""Images made from another one of the cohort, `P01_T1_brain` beside `P01_T1`, and what a model drew, `P01_T1_pred`.

What follows the word for the sequence in one name, and not in that of an image beside it, tells a step of processing or another image of
the same person. Without a word for the sequence only words for steps do: `anna` and `anna_lena` are two people.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from SuggestiveAnnotationLib.cohort.layouts.naming import IMAGE, Guess, ImageFile, is_number, vocabulary, words
from SuggestiveAnnotationLib.cohort.layouts.visits import names_a_visit

_STEP = re.compile(
    r"brain|bet|hdbet|ss|stripped|skull_?stripped|n[34](?:itk)?|bias\w*|corr(?:ected)?|denoised?|smoothed|filtered|norm|normali[sz]ed|"
    r"zscore|resampled|resliced|reg|registered|coreg\w*|warped|aligned|preproc|preprocessed|processed|cropped|defaced|raw|orig|original|"
    r"iso|isotropic|mni\d*|\d+mm"
)
_SITE = re.compile(r"(?:site|cent(?:er|re)|scanner|hospital|clinic)\w*")
_ELSE = re.compile(rf"left|right|lh|rh|(?:pre|intra|post)op\w*|(?:re)?test|repeat|later|before|during|after|{_SITE.pattern}|\w")
_MODEL = re.compile(r"pred|preds|predictions?|predicted|nnu?net|autosegs?|autosegmentations?|softmax|logits")
_PROBABILITY = re.compile(r"probs?|probabilit(?:y|ies)|probmaps?")

Words = tuple[str, ...]


def drawn_by_model(file: ImageFile, *, universal: frozenset[str] = frozenset()) -> bool:
    """Whether the name says that a model drew it; words (lower case) that every name of the cohort has do not say so."""
    stem = _stem(file)
    # A person may be called `Prob_01`, for a proband.
    said = {w for i, w in enumerate(stem) if _MODEL.fullmatch(w) or (i and _PROBABILITY.fullmatch(w))}
    said |= {w for part in file.components[-2:-1] if len(_words(part)) == 1 and _MODEL.fullmatch(w := _words(part)[0])} - {"nnunet"}
    return bool(said - universal)


def without_versions(guesses: Mapping[ImageFile, Guess]) -> dict[ImageFile, ImageFile]:
    """Every file, under the name of the image that it is a version of: `P01_T1` for `P01_T1_brain`.

    Where a step is known from one case, its word is taken from the names of all, so that cases that have only that version meet the others.
    """
    moved = _in_one_folder(guesses)
    there = {moved[file]: found for file, found in guesses.items()}
    folders = defaultdict[tuple[str, Words], set[Words]](set)
    for _, base, tail in _going_on(there):
        folders[there[base].name, tail].add(base.components[:-1])
    out: dict[ImageFile, ImageFile] = {}
    for file, found in guesses.items():
        stem = _stem(file)
        ends = [t for n in range(1, len(stem)) if (found.name, t := stem[n:]) in folders]
        tails = [t for t in ends if _is_version(found, stem, t, len(folders[found.name, t]))]
        longest = max(map(len, tails), default=0) if found.kind == "image" else 0
        out[file] = _shortened(moved[file], len(stem) - longest) if longest else moved[file]
    return out


def drawn_on(plain: Mapping[ImageFile, ImageFile], guesses: Mapping[ImageFile, Guess]) -> frozenset[ImageFile]:
    """Versions that most labels are called after: `P01_CT_contrast` where there is a `P01_CT_contrast_seg`."""
    labels = [_stem(file) for file, found in guesses.items() if found.kind == "label"]
    most = {tail for tail in set(_added(plain).values()) if tail and 2 * sum(_holds(stem, tail) for stem in labels) > len(labels)}
    return frozenset(file for file, tail in _added(plain).items() if tail in most)


def drawn_after(label: ImageFile, versions: Sequence[ImageFile]) -> ImageFile | None:
    """The one of an image's versions that the label is called after, or whose folder it is in; None where neither tells."""
    steps = _folder_steps(label)
    here = [file for file in versions if steps and _folder_steps(file) == steps] or versions
    called = [file for file in here if _stem(label)[: len(_stem(file))] == _stem(file)] or here
    longest = max((len(_stem(file)) for file in called), default=0)
    best = [file for file in called if len(_stem(file)) == longest] if called is not here else here
    return best[0] if len(best) == 1 else None


def say_versions(plain: Mapping[ImageFile, ImageFile]) -> list[str]:
    """A sentence for the plan on the versions that `without_versions` found."""
    found = [file.relative for file, one in plain.items() if file != one]
    if not found:
        return []
    are = "1 file is another version of an image" if len(found) == 1 else f"{len(found)} files are other versions of images"
    return [f"By name {are}, for example {found[0]}; each case uses one version (choose another with --image)."]


def same_person(guesses: Mapping[ImageFile, Guess], keys: Mapping[ImageFile, str]) -> dict[str, str]:
    """Case -> the case of the same person: `P01_T1_2`, which goes on after the sequence, -> `P01_T1`; `P01_img` -> `P01`."""
    out: dict[str, str] = {}
    for file, base, tail in _going_on(guesses):
        said, owner, key = guesses[base].said & set(_stem(base)), set(_words(keys[base])), set(_words(keys[file]))
        # `HC_T1` and `HC_T1_2` may be two people, `mueller_T1` and `mueller_T1_siteB` too.
        numbered = any(map(is_number, owner))
        told = bool(said) and (numbered or not any(map(is_number, tail)))
        if set(_stem(base)) == said:
            # In one folder with a `T1`, `T1_anna` is not told from a person.
            told = all(is_number(w) or _ELSE.fullmatch(w) or names_a_visit(w) for w in tail)
        if guesses[base].name == IMAGE:
            told = numbered and not said and all(map(vocabulary, tail))
        if told and owner - said and owner < key and not any(map(_SITE.fullmatch, tail)):
            out[keys[file]] = keys[base]
    return out


def say_same_person(again: Mapping[str, str]) -> list[str]:
    """A sentence for the plan on what `same_person` found."""
    if not again:
        return []
    name, owner = next(iter(again.items()))
    are = "1 case is a further image of a person" if len(again) == 1 else f"{len(again)} cases are further images of people"
    return [f"By name {are} ({name}: {owner}); they stay on one side of a split. A table of patients (--table) says otherwise."]


def _in_one_folder(guesses: Mapping[ImageFile, Guess]) -> dict[ImageFile, ImageFile]:
    """Every file, images of folders that are called alike but for a step (`raw` and `brain`) in the first of them."""
    places: dict[tuple[str, Words], dict[Words, list[ImageFile]]] = defaultdict(lambda: defaultdict(list))
    for file, found in guesses.items():
        if found.kind == "image":
            folder = file.components[:-1]
            plain = tuple(text for part in folder if (text := "_".join(w for w in words(part) if not _STEP.fullmatch(w.casefold()))))
            places[found.name, plain][folder].append(file)
    out = {file: file for file in guesses}
    for alike in places.values():
        shortest = {folder: min(len(_stem(file)) for file in inside) for folder, inside in alike.items()}
        first, *others = sorted(alike, key=lambda folder: (shortest[folder], len(_words("/".join(folder))), folder))
        stems = {_stem(file) for file in alike[first]}
        for folder in others:
            both = [file for file in alike[folder] if any(_without_steps(_stem(file), n) in stems for n in range(len(_stem(file))))]
            if 2 * len(both) >= min(len(stems), len(alike[folder])):
                out |= {file: ImageFile(file.path, "/".join([*first, file.relative.rpartition("/")[2]])) for file in alike[folder]}
    return out


def _without_steps(stem: Words, steps: int) -> Words:
    """The name less so many words at its end, which have to be steps."""
    rest = stem[: len(stem) - steps]
    return rest if all(map(_STEP.fullmatch, stem[len(rest) :])) else ()


def _going_on(guesses: Mapping[ImageFile, Guess]) -> Iterator[tuple[ImageFile, ImageFile, Words]]:
    """Images whose names go on from that of another one of the same sequence and folder: it, the shortest other one, the words added."""
    images = {(f.components[:-1], g.name, _stem(f)): f for f, g in guesses.items() if g.kind == "image"}
    for (folder, name, stem), file in images.items():
        for n in range(1, len(stem)):
            base = images.get((folder, name, stem[:n]))
            said = guesses[base].said & set(stem[:n]) if base is not None else set()
            if base is not None and (stem[n - 1] in said or not said):
                yield file, base, stem[n:]
                break


def _is_version(found: Guess, stem: Words, tail: Words, folders: int) -> bool:
    """Whether the image is a version of another by its last words, which follow another image's name in so many folders."""
    rest = stem[: len(stem) - len(tail)]
    said = found.said & set(rest)
    if not rest or stem[len(rest) :] != tail or (said and rest[-1] not in said):
        return False
    if all(map(_STEP.fullmatch, tail)):
        return True
    told = bool(said) and (folders > 1 or not set(rest) <= said)
    return told and not vocabulary("_".join(tail)) and not any(is_number(w) or _ELSE.fullmatch(w) or names_a_visit(w) for w in tail)


def _added(plain: Mapping[ImageFile, ImageFile]) -> dict[ImageFile, Words]:
    """Version -> the words that its name goes on with."""
    return {file: _stem(file)[len(_stem(one)) :] for file, one in plain.items() if file != one}


def _holds(stem: Words, tail: Words) -> bool:
    return any(stem[i : i + len(tail)] == tail for i in range(len(stem)))


def _shortened(file: ImageFile, kept: int) -> ImageFile:
    """The file under the first words of its name."""
    folder, slash, name = file.relative.rpartition("/")
    ends = [m.end() for m in re.finditer(r"[^\W_]+", file.stem)]
    return ImageFile(file.path, f"{folder}{slash}{file.stem[: ends[kept - 1]]}{name[len(file.stem) :]}")


def _folder_steps(file: ImageFile) -> set[str]:
    return {w for part in file.components[:-1] for w in _words(part) if _STEP.fullmatch(w)}


def _stem(file: ImageFile) -> Words:
    return _words(file.stem)


def _words(text: str) -> Words:
    return tuple(w.casefold() for w in words(text))
