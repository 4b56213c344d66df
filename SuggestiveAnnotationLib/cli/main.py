"""`suggestive-annotation`: one sub-command a verb of the engine.

Exit codes: 0 done, 1 unexpected, 2 bad input, 3 the study's state does not allow it, 4 another worker holds the study, 5 disk,
130 cancelled.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import get_args

from SuggestiveAnnotationLib import __version__
from SuggestiveAnnotationLib.cli import commands
from SuggestiveAnnotationLib.cli import compare as comparing
from SuggestiveAnnotationLib.cli.console import progress_bars, show_error
from SuggestiveAnnotationLib.cli.options import add_settings, name_pattern
from SuggestiveAnnotationLib.cohort.plan import Layout
from SuggestiveAnnotationLib.engine.settings import DeviceOptions, ManifoldOptions, RoundOptions, SuggestOptions, TrainingOptions
from SuggestiveAnnotationLib.errors import SuggestiveAnnotationError
from SuggestiveAnnotationLib.export.formats import FORMATS
from SuggestiveAnnotationLib.processor import share_the_processor
from SuggestiveAnnotationLib.progress import CancelToken
from SuggestiveAnnotationLib.types import AnnotatedRule, LabelUse

EXTRAS = {
    "pydicom": "dicom",
    "highdicom": "dicom",
    "torch": "learn",
    "monai": "learn",
    "safetensors": "learn",
    "sklearn": "learn",
    "matplotlib": "report",
    "jinja2": "report",
}
"""Package -> the extra of this library that installs it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns: the exit code."""
    arguments = build_parser().parse_args(argv)
    share_the_processor()
    cancel = CancelToken()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        # A second Ctrl-C does not wait for the stage to end.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        cancel.cancel()
        print("Stopping after this step; press Ctrl-C again to stop at once.", file=sys.stderr)

    previous = signal.signal(signal.SIGINT, stop)
    try:
        with progress_bars(quiet=arguments.quiet) as progress:
            command = shlex.join(["suggestive-annotation", *(sys.argv[1:] if argv is None else argv)])
            result: commands.Result = arguments.run(arguments, commands.Context(progress=progress, cancel=cancel, command=command))
        result.print(as_json=arguments.json)
        return result.exit_code
    except SuggestiveAnnotationError as error:
        show_error(error.sentence, error.hint, kind=error.kind, as_json=arguments.json)
        return error.exit_code
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").split(".")[0])
        if extra is None:
            raise
        hint = f"Install it with: pip install 'suggestive-annotation[{extra}]'"
        show_error(f"This command needs the package {error.name}.", hint, kind="input", as_json=arguments.json)
        return 2
    except KeyboardInterrupt:
        show_error("Cancelled.", "Run the same command again to resume.", kind="cancelled", as_json=arguments.json)
        return 130
    finally:
        signal.signal(signal.SIGINT, previous)


def build_parser() -> argparse.ArgumentParser:
    """The parser of every command."""
    parser = argparse.ArgumentParser(
        prog="suggestive-annotation",
        description="Suggest which slices of medical volumes to annotate next. Not a diagnostic device.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    sub = parser.add_subparsers(metavar="COMMAND", required=True)
    _study_commands(sub)
    _machine_commands(sub)
    _people_commands(sub)
    _whole_commands(sub)
    return parser


Commands = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _command(sub: Commands, name: str, run: commands.Command, help_text: str, *, study: bool = True) -> argparse.ArgumentParser:  # type: ignore[valid-type]
    parser: argparse.ArgumentParser = sub.add_parser(name, help=help_text, description=help_text)  # type: ignore[attr-defined]
    parser.set_defaults(run=run)
    if study:
        parser.add_argument("study", type=Path, help="folder of the study")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    return parser


def _study_commands(sub: Commands) -> None:  # type: ignore[valid-type]
    group = sub.add_parser("study", help="create, check or show a study")  # type: ignore[attr-defined]
    verbs = group.add_subparsers(metavar="VERB", required=True)
    create = _command(verbs, "create", commands.study_create, "Find the cases of a cohort and make a study of them.")
    create.add_argument(
        "--cohort",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder with the cohort: volumes, DICOM (or a DICOMDIR), BIDS, nnU-Net, ...",
    )
    create.add_argument("--layout", choices=get_args(Layout), default="", help="kind of folder (default: recognised)")
    create.add_argument(
        "--image", action="append", type=name_pattern, metavar="NAME=PATTERN",
        help="images of one modality, by file name or, for DICOM, by series description (default: guessed)",
    )  # fmt: skip
    create.add_argument("--label", metavar='"*PATTERN*"', help="reference labels; guessed when not given, 'none' for none")
    create.add_argument("--mask", metavar='"*PATTERN*"', help="foreground masks; guessed when not given, 'none' for none")
    create.add_argument("--table", type=Path, metavar="CSV", help="table with columns case, patient, site, role")
    create.add_argument("--schema", metavar="NAME|FILE", help="shipped schema or JSON file (default: guessed from the labels)")
    create.add_argument("--reference", metavar="MODALITY", help="modality whose voxel grid is annotated (default: the first)")
    create.add_argument("--patient-ids", action="store_true", help="name DICOM cases by the patient's ID instead of a pseudonym")
    create.add_argument(
        "--labels-as", choices=get_args(LabelUse), help="what the labels are for (default: references that models are judged by)"
    )
    create.add_argument(
        "--annotated-slices", choices=get_args(AnnotatedRule),
        help="slices of the labels that count: all, those that hold a label, the span of these, all but those marked ignore (default all)",
    )  # fmt: skip
    create.add_argument("--labels-by", metavar="NAME", help="who drew the labels, when they become accepted slices")
    create.add_argument("--name", default="", help="name of the study (default: the folder's)")
    create.add_argument("--test", type=float, default=0, metavar="N", help="held out for testing, a number or a share below 1")
    create.add_argument("--validation", type=float, default=0, metavar="N", help="locked for early stopping, a number or a share")
    create.add_argument("--seed", type=int, default=0, help="of the split (default 0)")
    create.add_argument("--dry-run", action="store_true", help="only show what was found and what would be made of it")
    _command(verbs, "check", commands.study_check, "Read every file and say what is wrong; exit code 3 when no case is without a problem.")
    _command(verbs, "show", commands.study_show, "Show cases, rounds, models and annotations.")


def _machine_commands(sub: Commands) -> None:  # type: ignore[valid-type]
    prepare = _command(sub, "prepare", commands.prepare, "Build the slice store and freeze the preprocessing.")
    prepare.add_argument(
        "--plane", choices=("axial", "coronal", "sagittal"), help="of the slices, frozen by the first call (default: as acquired)"
    )
    prepare.add_argument("--pixels", type=int, help="side of the network grid, a multiple of 16, frozen by the first call (default 96)")
    prepare.add_argument("--processes", type=int, default=2, help="cases built at once (default 2)")
    manifold = _command(sub, "fit-manifold", commands.fit_manifold, "Train the VAE on the pool and place every slice in its latent space.")
    add_settings(manifold, ManifoldOptions)
    manifold.add_argument("--seed", type=int, default=0, help="(default 0)")
    train = _command(sub, "train", commands.train, "Train the segmentation network on everything accepted.")
    add_settings(train, TrainingOptions)
    train.add_argument("--seed", type=int, default=0, help="(default 0)")
    suggest = _command(sub, "suggest", commands.suggest, "Suggest slices with the newest models, and pre-annotate them.")
    add_settings(suggest, SuggestOptions)
    add_settings(suggest, DeviceOptions)
    suggest.add_argument("--seed", type=int, default=0, help="(default 0)")
    predict = _command(sub, "predict", commands.predict, "Predict whole cases with the newest model.")
    predict.add_argument("--case", action="append", metavar="NAME", help="may be given several times (default: every case)")
    predict.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for NIfTI labelmaps on each case's own grid (default: arrays inside the study)"
    )
    predict.add_argument("--overwrite", action="store_true", help="replace files that are there")
    add_settings(predict, DeviceOptions)
    evaluate = _command(sub, "evaluate", commands.evaluate, "3D Dice of the newest model on test cases with labels.")
    add_settings(evaluate, DeviceOptions)
    run_round = _command(sub, "run-round", commands.run_round, "Train, suggest and pre-annotate: one round up to the annotator.")
    add_settings(run_round, RoundOptions, title="The round")
    add_settings(run_round, ManifoldOptions, title="The manifold, should it not be there yet")
    finish = _command(sub, "finish-round", commands.finish_round, "Close the round that waits for annotations; unanswered ones expire.")
    finish.add_argument("--abandon", action="store_true", help="close the round whatever its stage, when it cannot go on")
    listing = _command(sub, "strategies", commands.strategies, "List the strategies with a line of help and of evidence each.", study=False)
    listing.add_argument("--all", action="store_true", help="also those that need reference labels")


def _people_commands(sub: Commands) -> None:  # type: ignore[valid-type]
    group = sub.add_parser("annotations", help="import annotations, take them back, review them")  # type: ignore[attr-defined]
    verbs = group.add_subparsers(metavar="VERB", required=True)
    take = _command(verbs, "import", commands.annotations_import, "Take slices of a label file that was drawn elsewhere.")
    take.add_argument("labelmap", type=Path, help="labelmap with values of the study's schema, .seg.nrrd or DICOM SEG")
    take.add_argument("--case", required=True, help="case that it belongs to")
    take.add_argument("--annotator", required=True, help="who drew it")
    take.add_argument("--slices", metavar="10,12,20-25", help="slices that it covers, 1-based")
    take.add_argument("--mask", type=Path, help="volume that is not 0 on the slices covered")
    take.add_argument(
        "--rule", choices=get_args(AnnotatedRule),
        help="slices that it covers: all, those that hold a label, their span, or those not marked ignore (default: told by the file)",
    )  # fmt: skip
    take.add_argument(
        "--as", dest="as_", choices=("accepted", "pre-annotation"), default="accepted", help="slices are accepted, or to be corrected"
    )
    undo = _command(verbs, "undo", commands.annotations_undo, "Take back an annotator's last accept or import of the last day.")
    undo.add_argument("--annotator", required=True, help="whose")
    review = _command(verbs, "review", commands.annotations_review, "Approve or return slices that another reader accepted.")
    review.add_argument("--case", required=True, help="case that they belong to")
    review.add_argument("--slices", required=True, metavar="10,12,20-25", help="which slices, 1-based")
    review.add_argument("--reviewer", required=True, help="who reviews; not who drew them")
    review.add_argument("--verdict", required=True, choices=("approved", "returned"), help="returned slices are no longer trained on")
    review.add_argument("--note", default="", help="for who drew them")
    _command(sub, "advice", commands.advice, "How the rounds went, and whether another one pays, from audit slices.")
    export = _command(sub, "export", commands.export, "Write what was accepted, in one of many formats.")
    export.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the files")
    export.add_argument("--case", action="append", metavar="NAME", help="may be given several times (default: every annotated case)")
    export.add_argument(
        "--states", nargs="+", choices=("accepted", "reviewed"), default=["accepted", "reviewed"], help="slices to write (default: both)"
    )
    listed = "; ".join(f"{one.name}: {one.help}" for one in FORMATS)
    export.add_argument("--format", choices=[one.name for one in FORMATS], default="nii.gz", help=f"{listed} (default nii.gz)")
    export.add_argument("--completed", action="store_true", help="also write volumes completed by the model, marked as such")
    export.add_argument("--overwrite", action="store_true", help="replace files that are there")
    report = _command(sub, "report", commands.report, "Write the study's report, one self-contained HTML page.")
    report.add_argument("--out", type=Path, required=True, metavar="FILE", help="the page")
    report.add_argument("--redacted", action="store_true", help="without the names of people, cases, sites and folders")


def _whole_commands(sub: Commands) -> None:  # type: ignore[valid-type]
    simulate = _command(sub, "simulate", commands.simulate, "Whole rounds with a simulated annotator, on a cohort with reference labels.")
    simulate.add_argument("--rounds", type=int, default=3, help="rounds after the first batch (default 3)")
    simulate.add_argument("--first-batch", type=int, metavar="N", help="slices of the first batch (default: the budget)")
    add_settings(simulate, RoundOptions, title="Every round")
    add_settings(simulate, ManifoldOptions, title="The manifold")
    simulate.add_argument("--report", type=Path, metavar="FILE", help="write the report when done")
    demo = _command(sub, "demo", commands.demo, "Make the embedded cohort and run the whole job on it.", study=False)
    demo.add_argument("--out", type=Path, default=Path("demo-output"), metavar="DIR", help="folder for everything (default demo-output)")
    demo.add_argument("--seed", type=int, default=0, help="(default 0)")
    comparison = _command(sub, "compare", comparing.compare, "Compare strategies as a plan says: every arm, fold and seed.", study=False)
    comparing.add_arguments(comparison)
