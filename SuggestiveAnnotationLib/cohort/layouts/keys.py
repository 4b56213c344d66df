"""Which case a file belongs to: the part of its path that differs between cases, once the words for the sequence are taken away.

A path is taken apart into folders and file name, these into words. Words that every file of one kind has (`T1_brain/…_SS`), but not
every file of the cohort, tell the kind. What is left and still differs between files of one kind is the case.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import takewhile
from pathlib import PurePath

from SuggestiveAnnotationLib.cohort.layouts.naming import Guess, ImageFile, guess, is_number, nnunet_channel, vocabulary, words
from SuggestiveAnnotationLib.cohort.layouts.visits import is_visit


def case_keys(guesses: Mapping[ImageFile, Guess]) -> dict[ImageFile, str]:
    """The case name of every file; files of one case share it. A label or a mask that fits no image has a name that no image has."""
    groups: dict[tuple[str, str, int], list[ImageFile]] = defaultdict(list)
    for file, found in guesses.items():
        groups[(found.kind, found.name, len(file.components))].append(file)
    everywhere = _shared(guesses) if guesses else set()
    telling = _telling(groups.values(), guesses)
    keys: dict[ImageFile, str] = {}
    lonely: list[ImageFile] = []
    for members in groups.values():
        if len(members) == 1:
            lonely += members
            continue
        own = _shared(members)
        said = set[str]().union(*(guesses[f].said for f in members))
        drop = own - everywhere - (telling - said) if len(groups) > 1 else set()
        keys.update(_group_keys(members, drop, everywhere if len(groups) > 1 else own, telling))
    for file in lonely:
        keys[file] = _known_key(file, set(keys.values()), telling - guesses[file].said) or _single_key(file, guesses)
    for file in keys:
        if channel := nnunet_channel(file):
            keys[file] = channel[0]
    out = _reconcile(keys, guesses, groups.values(), telling, everywhere)
    for members in groups.values():
        if guesses[members[0]].kind != "image":
            out.update(_by_glued_numbers(members, keys, {out[f] for f in _images(guesses)}, out))
    return out


def signature(file: ImageFile, key: str) -> str:
    """The file's path inside the cohort as a glob, with `*` where its case stands: `labels/*_glm.nii.gz`."""
    mine = {_number_of(w) for w in _folded(key)}
    parts = []
    for component in file.components:
        spans = [(m.start(), m.end()) for m in re.finditer(r"[^\W_]+", component) if _number_of(m[0].casefold()) in mine]
        if component.casefold() == key.casefold() or (spans and component in key):
            parts.append("*")
            continue
        text, last, gap = "", 0, True
        for start, end in spans:
            between = component[last:start]
            text += between if words(between) or gap else ""
            text += "*" if not text.endswith("*") else ""
            last, gap = end, False
        parts.append(text + component[last:])
    name = file.relative.rpartition("/")[2]
    return "/".join(parts) + name[len(file.stem) :]


def _telling(groups: Iterable[Sequence[ImageFile]], guesses: Mapping[ImageFile, Guess]) -> set[str]:
    """Words that tell people and visits apart: images of one kind differ in them. All files of another kind may share them.

    Words after that for the sequence (`T1_brain`) more often name a step of processing; of these, and of the words of labels, only numbers
    and visits count.
    """
    out: set[str] = set()
    visits: set[str] = set()
    images = _images(guesses)
    for members in groups:
        varying = {w for f in members for w in _all_words(f)} - _shared(members)
        visits |= {w for f in members for w in _all_words(f) if is_visit(w)}
        free = {w for f in members if f in images for w in _before_kind(f, guesses[f].said)}
        out |= {w for w in varying if w in free or is_visit(w) or is_number(w)}
    return out | visits if len(visits) > 1 else out


def _before_kind(file: ImageFile, said: frozenset[str]) -> Iterator[str]:
    """The words of each part of the path up to the one that names the kind."""
    for component in file.components:
        yield from takewhile(lambda w: w not in said, (w.casefold() for w in words(component)))


def _images(guesses: Mapping[ImageFile, Guess]) -> set[ImageFile]:
    """Files that are images by their names; all that may be some where none is."""
    images = {f for f, found in guesses.items() if found.kind == "image"}
    return {f for f in images if guesses[f].sure} or images


def _group_keys(members: Sequence[ImageFile], drop: set[str], common: set[str], telling: set[str]) -> dict[ImageFile, str]:
    """Case names within one kind: the components that vary or are telling, without `drop` and without a common tail."""
    depth = len(members[0].components)
    cleaned = {f: [_without(c, drop, common, stem=i == depth - 1) for i, c in enumerate(f.components)] for f in members}
    first = cleaned[members[0]]
    varying = [i for i in range(depth) if len({cleaned[f][i] for f in members}) > 1 or _folded(first[i]) & telling]
    if len(varying) > 1 and varying[-1] == depth - 1 and _only_kinds([cleaned[f] for f in members]):
        varying.pop()
    return {f: _join([cleaned[f][i] for i in varying]) or f.stem for f in members}


def _only_kinds(rows: Sequence[Sequence[str]]) -> bool:
    """Whether file names in folders of cases tell kinds of images (`T1`, now and then `T1_repeat`), not cases."""
    folders, stems = {tuple(row[:-1]) for row in rows}, Counter(row[-1] for row in rows)
    usual = stems.most_common(1)[0][0]
    return 2 * len(folders) > len(rows) >= 2 * len(stems) and (not usual or guess(ImageFile("", f"{usual}.nii")).sure)


def _without(component: str, drop: set[str], common: set[str], *, stem: bool) -> str:
    """The component less the words in `drop` and, in a file name, less the words all files share at its end (numbers stay)."""
    found = list(re.finditer(r"[^\W_]+", component))
    kept = [m for m in found if m[0].casefold() not in drop]
    while stem and len(kept) > 1 and kept[-1][0].casefold() in common and not kept[-1][0].isdecimal():
        kept.pop()
    if len(kept) == len(found):
        return component
    text = ""
    for place, m in enumerate(kept):
        if place:
            before = component[kept[place - 1].end() : m.start()]
            text += before if not words(before) else "_"
        text += m[0]
    return text


def _join(parts: Sequence[str]) -> str:
    """Parts that say the same twice (`sub-01/anat/sub-01_T1w`) count once."""
    sets = [_folded(p) for p in parts]
    kept = []
    for i, part in enumerate(parts):
        contained = any(sets[i] < sets[j] or (sets[i] == sets[j] and j < i) for j in range(len(parts)) if j != i)
        if sets[i] and not contained:
            kept.append(part)
    return "_".join(kept)


def _known_key(file: ImageFile, known: set[str], telling: set[str]) -> str | None:
    """The longest known case name whose words all stand in the file's path, unless another word there tells people or visits apart."""
    mine = _all_words(file)
    fitting = [k for k in known if _folded(k) <= mine and _in_order(k, file)]
    best = max(fitting, key=lambda k: (len(words(k)), k)) if fitting else None
    return None if best is None or (mine - _folded(best)) & telling else best


def _single_key(file: ImageFile, guesses: Mapping[ImageFile, Guess]) -> str:
    """A file with no fellow: its folder when that holds several kinds or the file's name tells one, else its name.

    Where the names of two kinds in one folder have numbers that differ (`S1_T1`, `S6_seg`), each has its own name.
    """
    folders = file.components[:-1]
    beside = [f for f in guesses if f.components[:-1] == folders]
    if mine := _numbers(file):
        others = [_numbers(f) for f in beside if folders == () or guesses[f].kind != guesses[file].kind]
        if any(other and not other & mine for other in others):
            return "_".join(w for w in words(file.stem) if w.casefold() not in vocabulary(file.stem))
    if folders and (len(beside) > 1 or guess(ImageFile("", f"{file.stem}.nii")).sure):
        return folders[-1]
    stems = [_folded(f.stem) for f in beside]
    shared = set.intersection(*stems) if len(stems) > 1 else set()
    text = "_".join(w for w in words(file.stem) if w.casefold() in shared)
    return text or (PurePath(file.path).parent.name if len(beside) > 1 else file.stem)


def _reconcile(
    keys: dict[ImageFile, str],
    guesses: Mapping[ImageFile, Guess],
    groups: Iterable[Sequence[ImageFile]],
    telling: set[str],
    everywhere: set[str],
) -> dict[ImageFile, str]:
    """Labels and masks take the name of the image that theirs fits; the others get a name that no image has."""
    images = {keys[f] for f in _images(guesses)}
    if not images:
        return keys
    owners = _Owners(images, telling, everywhere)
    of_images = set.intersection(*(set(_before_kind(f, guesses[f].said)) for f in _images(guesses)))
    taken = {k.casefold() for f, k in keys.items() if guesses[f].kind == "image"}
    out = dict(keys)
    for members in groups:
        if guesses[members[0]].kind == "image":
            continue
        shared = _shared(members) if len(members) > 1 else set()
        some = {w for f in members for w in _all_words(f)}
        replaceable = {w for w in of_images if is_number(w) or w in some} - shared
        for file in members:
            owner = owners.of(file, keys[file], guesses[file].said, shared, replaceable)
            out[file] = owner or (file.relative if keys[file].casefold() in taken else keys[file])
    return out


def _by_glued_numbers(
    members: Sequence[ImageFile], keys: Mapping[ImageFile, str], images: set[str], paired: Mapping[ImageFile, str]
) -> dict[ImageFile, str]:
    """The images of labels named as `label0001` beside `img0001`, where none of the labels has another and no two have the same."""
    if any(paired[f] in images for f in members):
        return {}
    known = {name: [_number_of(w.casefold()) for w in words(name)] for name in images}
    holders: dict[str, set[str]] = defaultdict(set)
    for name, found in known.items():
        for word in found:
            holders[word].add(name)
    out: dict[ImageFile, str] = {}
    for file in members:
        mine = [_number_of(w.casefold()) for w in words(keys[file])]
        glued = set(mine) != _folded(keys[file])
        near = set[str]().union(*(holders[w] for w in mine if is_number(w)))
        fitting = [n for n in near if _within(mine, known[n]) or _within(known[n], mine)]
        if len(fitting) > 1:
            return {}
        if fitting and (glued or set(known[fitting[0]]) != _folded(fitting[0])):
            out[file] = fitting[0]
    return out if len(set(out.values())) == len(out) else {}


class _Owners:
    """Which of the images' names a label belongs to."""

    def __init__(self, images: set[str], telling: set[str], everywhere: set[str]) -> None:
        self._words = {name: _folded(name) for name in images}
        self._known = set[str]().union(*self._words.values())
        self._visits = {w for w in telling if is_visit(w)}
        self._everywhere = everywhere
        self._holders: dict[str, set[str]] = defaultdict(set)
        self._exact: dict[frozenset[str], list[str]] = defaultdict(list)
        for name, found in self._words.items():
            self._exact[frozenset(found)].append(name)
            for word in found:
                self._holders[word].add(name)

    def of(self, file: ImageFile, key: str, said: frozenset[str], shared: set[str], replaceable: set[str]) -> str | None:
        """The one name all of whose words the file has, else the one that has all words of the file.

        A file is nobody's when a word of its own tells another case (`siteB`), a visit or a person whom no image shows.

        Args:
            file: label or mask.
            key: its own name.
            said: its words for the kind.
            shared: words of all files of its kind.
            replaceable: words of all images that tell a person, a visit or a site where a file has another word instead.
        """
        path = _all_words(file)
        own = path - self._known - self._everywhere - said - _kinds(file)
        unusual = {w for w in own if w not in shared or w in self._visits}
        lacking = replaceable - path
        if (unusual and lacking) or {_form(w) for w in own if _long(w)} & {_form(w) for w in lacking if _long(w)}:
            return None
        mine = path & self._known
        if key in self._words and mine - said <= self._words[key]:
            return key
        # `T1` in `P01_T1_seg` says nothing about the case, whether or not the name of another case holds it.
        before = set(_before_kind(file, frozenset(_kinds(file)))) & self._known
        for wanted in (mine, mine - said, *([before] if mine - before - said <= _kinds(file) else [])):
            exact = [name for name in self._exact.get(frozenset(wanted), ()) if _in_order(name, file)]
            if len(exact) == 1 and not (path - wanted) & self._visits:
                return exact[0]
        wanted = mine - said
        if not wanted or len(words(key)) > len(_folded(key)) or unusual or any(map(is_number, own)):
            return None
        more = set.intersection(*(self._holders[w] for w in wanted))
        fitting = [name for name in more if wanted < self._words[name] and _in_order(name, file, wanted)]
        return fitting[0] if len(fitting) == 1 else None


def _in_order(name: str, file: ImageFile, among: set[str] | None = None) -> bool:
    """Whether numbers and letters of a name, or those `among`, stand in the file's path in their order: `1_2` is not `2_1`."""
    # A folder that says the same as the file's name does not count twice.
    parts = [file.stem] if _folded(name) <= _folded(file.stem) else file.components
    path = iter([w.casefold() for part in parts for w in words(part)])
    short = [w.casefold() for w in words(name) if w.isdecimal() or len(w) == 1]
    return all(word in path for word in short if among is None or word in among)


def _kinds(file: ImageFile) -> set[str]:
    return {w for c in file.components for w in vocabulary(c)}


def _numbers(file: ImageFile) -> set[str]:
    return {w.casefold() for w in words(file.stem) if is_number(w)}


def _form(word: str) -> str:
    return re.sub(r"\d", "#", word)


def _long(word: str) -> bool:
    """Whether it is the number of a person rather than of a version."""
    return is_number(word) and sum(c.isdecimal() for c in word) > 1


def _shared(files: Iterable[ImageFile]) -> set[str]:
    return set.intersection(*(_all_words(f) for f in files))


def _all_words(file: ImageFile) -> set[str]:
    return {w.casefold() for c in file.components for w in words(c)}


def _folded(text: str) -> set[str]:
    return {w.casefold() for w in words(text)}


def _within(few: Sequence[str], many: Sequence[str]) -> bool:
    """Whether the words stand among the others in their order."""
    rest = iter(many)
    return all(word in rest for word in few)


@cache
def _number_of(word: str) -> str:
    """`0001` of `img0001`, where a word for a kind of file and a number are one word; the word itself elsewhere."""
    found = re.fullmatch(r"([^\W\d_]+)(\d+)", word)
    return found[2] if found and vocabulary(found[1]) and not vocabulary(word) else word
