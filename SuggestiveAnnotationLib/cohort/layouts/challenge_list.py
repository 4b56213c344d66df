"""The challenges whose folders are known by the names of their files.

Sources: the data pages of BraTS (2012 to 2024), of MICCAI 2012's multi-atlas labelling challenge (MALC), of IBSR version 2.0, of PROMISE12,
of MRBrainS18 and of MICCAI 2017's challenge on white matter hyperintensities (WMH).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from SuggestiveAnnotationLib.cohort.layouts.listing import Person
from SuggestiveAnnotationLib.cohort.layouts.naming import ImageFile, Kind, matches
from SuggestiveAnnotationLib.types import Role


@dataclass(frozen=True)
class Challenge:
    """How the files of a challenge are named.

    Attributes:
        name: as a person calls it.
        case: regular expression for a place in the path inside the cohort, in any case. Its group `case` is the case's name, after that of
            the group `part` where one fits; `patient` and `site` say more, else the case is its own patient.
        images: modality -> globs (see `naming.matches`), the most telling first.
        labels: glob -> shipped schema of such labels, None where there is none; likewise.
        masks: globs.
        roles: regular expression in the path -> role; the first that fits, else pool.
        table: of the cohort's own roles and patients (see `table.read_table`), inside it; used where it is there and no other is given.
        known_by_labels: images have names that others use as well; without labels nothing tells the challenge.
    """

    name: str
    case: str
    images: Mapping[str, tuple[str, ...]]
    labels: Mapping[str, str | None]
    masks: tuple[str, ...] = ()
    roles: Mapping[str, Role] = field(default_factory=dict)
    table: str = ""
    known_by_labels: bool = False

    def find(self, file: ImageFile) -> tuple[str, Person] | None:
        """The case of a file and whom it shows; None where the file is none of the challenge."""
        found = re.search(self.case, file.relative, re.IGNORECASE)
        if found is None:
            return None
        parts = found.groupdict()
        name = "_".join(filter(None, (parts.get("part"), parts["case"])))
        fitting = (r for pattern, r in self.roles.items() if re.search(pattern, file.relative, re.IGNORECASE))
        role: Role = next(fitting, "pool")
        return name, Person(parts.get("patient") or name, (parts.get("site") or "").upper(), role)

    def sort(self, file: ImageFile) -> tuple[Kind, str, str] | None:
        """Kind, name (modality) and glob of a file; None where no pattern fits."""
        parts: list[tuple[Kind, str, Sequence[str]]] = [("mask", "mask", self.masks), ("label", "label", tuple(self.labels))]
        parts += [("image", modality, globs) for modality, globs in self.images.items()]
        return next(((kind, name, glob) for kind, name, globs in parts for glob in globs if matches(glob, file)), None)


_BRATS_IMAGES = {"T1": ("*_t1.nii*",), "T1c": ("*_t1ce.nii*", "*_t1gd.nii*"), "T2": ("*_t2.nii*",), "FLAIR": ("*_flair.nii*",)}
_BRATS_2023_IMAGES = {"T1": ("*-t1n.nii*",), "T1c": ("*-t1c.nii*",), "T2": ("*-t2w.nii*",), "FLAIR": ("*-t2f.nii*",)}

CHALLENGES = (
    Challenge(
        name="BraTS 2012",
        case=r"(?:^|/)(?P<case>(?:Sim)?BRATS_[HL]G\d{4})(?=[/_])",
        images={"T1": ("*_T1.mha",), "T1c": ("*_T1C.mha",), "T2": ("*_T2.mha",), "FLAIR": ("*_FLAIR.mha",)},
        labels={"*_truth.mha": None},
    ),
    Challenge(
        name="BraTS 2013",
        case=r"(?:^|/)(?P<part>[HL]G)/(?P<case>\d{4})/VSD\.Brain",
        images={"T1": ("*.MR_T1.*",), "T1c": ("*.MR_T1c.*",), "T2": ("*.MR_T2.*",), "FLAIR": ("*.MR_Flair.*",)},
        labels={"*.OT.*": "brats"},
    ),
    Challenge(
        name="BraTS 2015",
        case=r"(?:^|/)(?P<case>(?P<patient>brats_(?:2013|(?P<site>tcia))_pat\d+)_\d+)(?=/)",
        images={
            "T1": ("*.MR_T1.*", "T1_subtrMeanDivStd.*"),
            "T1c": ("*.MR_T1c.*", "T1c_subtrMeanDivStd.*"),
            "T2": ("*.MR_T2.*", "T2_subtrMeanDivStd.*"),
            "FLAIR": ("*.MR_Flair.*", "Flair_subtrMeanDivStd.*"),
        },
        labels={"*.OT.*": "brats", "OTMultiClass.*": "brats"},
        masks=("brainmask.*",),
    ),
    Challenge(
        name="BraTS 2017 to 2020",
        case=r"(?:^|/)(?P<case>(?P<patient>BraTS(?:17|18|19|20)_(?!Training_|Validation_|Testing_)(?P<site>[^_/]+)_[^_/]+)_\d+)(?=[/_])",
        images=_BRATS_IMAGES,
        labels={"*_seg.nii*": "brats-2017"},
    ),
    Challenge(
        name="BraTS 2020",
        case=r"(?:^|/)(?P<case>BraTS20_(?:Training|Validation|Testing)_\d{3})(?=[/_])",
        images=_BRATS_IMAGES,
        labels={"*_seg.nii*": "brats-2017"},
    ),
    Challenge(
        name="BraTS 2021",
        case=r"(?:^|/)(?P<case>BraTS2021_\d{5})(?=[/_])",
        images=_BRATS_IMAGES,
        labels={"*_seg.nii*": "brats-2017"},
    ),
    Challenge(
        name="BraTS 2023 or later",
        case=r"(?:^|/)(?P<case>(?P<patient>BraTS-(?:GLI|SSA|MEN|MET|GoAT)-\d{5})-\d{3})(?=[/-])",
        images=_BRATS_2023_IMAGES,
        labels={"*-seg.nii*": "brats-2023"},
    ),
    Challenge(
        # Its values mean other parts of a tumour from year to year.
        name="BraTS 2023 or later, paediatric",
        case=r"(?:^|/)(?P<case>(?P<patient>BraTS-PED-\d{5})-\d{3})(?=[/-])",
        images=_BRATS_2023_IMAGES,
        labels={"*-seg.nii*": None},
    ),
    Challenge(
        name="MALC 2012",
        case=r"(?:^|/)(?:training|testing)-(?:images|labels)/(?P<case>\d{4}_\d+)(?=[_.])",
        images={"T1": ("*-images/*",)},
        labels={"*-labels/*_glm.nii*": "malc-25"},
        roles={r"(?:^|/)testing-": "test"},
    ),
    Challenge(
        # As github.com/muschellij2/malf.templates has it, brains cut out.
        name="MALC 2012, cut out",
        case=r"(?:^|/)(?:T1_brain|labels|tissue|brainmask)/(?P<case>1\d{3})_(?:SS|glm|classified|mask)(?=\.)",
        images={"T1": ("T1_brain/*_SS.nii*", "*/T1_brain/*_SS.nii*")},
        labels={"*labels/*_glm.nii*": "malc-25", "*tissue/*_classified.nii*": "malc-tissue"},
        masks=("*brainmask/*_mask.nii*",),
        table="subjects.csv",
    ),
    Challenge(
        name="IBSR18",
        case=r"(?:^|/)(?P<case>IBSR_\d\d)(?=[/_.])",
        images={"T1": ("IBSR_??_ana_strip.*", "IBSR_??_ana.*", "IBSR_??.*")},
        labels={
            "IBSR_??_segTRI_fill_ana.*": "ibsr-tissue",
            "IBSR_??_segTRI_ana.*": "ibsr-tissue",
            "IBSR_??_seg_ana.*": None,
            "IBSR_??_seg.*": "ibsr-tissue",
        },
        masks=("IBSR_??_ana_brainmask.*",),
        roles={r"(?:^|/)test_?set/": "test"},
    ),
    Challenge(
        # The test set counts from Case00 again.
        name="PROMISE12",
        case=r"(?:^|/)(?:(?P<part>[^/]*test[^/]*)/)?(?P<case>Case\d\d)(?:_segmentation)?\.mh[ad]$",
        images={"T2": ("Case??.mh?",)},
        labels={"Case??_segmentation.mh?": "promise12"},
        roles={r"(?:^|/)[^/]*test[^/]*/": "test"},
    ),
    Challenge(
        name="MRBrainS18",
        case=r"(?:^|/)(?P<case>\d{1,3})/(?:(?:pre|orig)/[^/]+|segm\.nii(?:\.gz)?)$",
        images={"T1": ("*/pre/T1.nii*", "*/pre/reg_T1.nii*"), "IR": ("*/pre/IR.nii*",), "FLAIR": ("*/pre/FLAIR.nii*",)},
        labels={"*/segm.nii*": "mrbrains18"},
        roles={r"(?:^|/)[^/]*test[^/]*/": "test"},
        known_by_labels=True,
    ),
    Challenge(
        name="WMH 2017",
        case=r"(?:^|/)(?:(?P<site>Utrecht|Singapore|Amsterdam)/(?:[^/]+/)?)?(?P<case>\d{1,3})/(?:(?:pre|orig)/[^/]+|wmh\.nii(?:\.gz)?)$",
        images={"T1": ("*/pre/T1.nii*",), "FLAIR": ("*/pre/FLAIR.nii*",)},
        labels={"*/wmh.nii*": "wmh-2017"},
        roles={r"(?:^|/)[^/]*test[^/]*/": "test"},
        known_by_labels=True,
    ),
)
"""In the order in which they are tried; of those that fit, the one that knows most files is taken."""
