"""All records of a comparison in one small file, so that its results can be worked out again, and its missing runs added, anywhere.

JSON lines, one a record, sorted by run and compressed with xz. Names of cases and people are in it as the cohort has them.
"""

from __future__ import annotations

import json
import lzma
from pathlib import Path

from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.experiment.plan import Plan
from SuggestiveAnnotationLib.experiment.record import Run, RunRecord, read_records, write_record
from SuggestiveAnnotationLib.files import whole_file


def unpack(archive: Path, folder: Path, plan: Plan) -> tuple[RunRecord, ...]:
    """Write the records of an archive that the folder of a comparison lacks, or has of a run that failed, into it.

    Returns: all records of the archive.

    Raises: InputError, when the file is no archive or holds anything but runs of the plan, nothing is written then; StorageError.
    """
    known = {one.run: one for one in read_records(folder)}
    records = _read(archive, plan)
    for record in records:
        own = known.get(record.run)
        if own is None or (own.status == "failed" and record.status == "done"):
            write_record(folder, record)
    return records


def pack(folder: Path, archive: Path, plan: Plan) -> None:
    """Bring an archive and the folder of a comparison to the same records: a run that is done in either is done in both.

    What others added to the archive meanwhile is kept; an archive that lacks nothing is not written.

    Raises: InputError, as `unpack` and `read_records`; StorageError.
    """
    while True:
        before = _stand(archive)
        there = unpack(archive, folder, plan) if archive.exists() else ()
        records = tuple(read_records(folder))
        if records == there:
            return
        lines = (json.dumps(one.to_json(), ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n" for one in records)
        packed = lzma.compress("".join(lines).encode())
        # Compressing takes seconds, in which somebody else may have packed.
        if _stand(archive) == before:
            with whole_file(archive) as scratch:
                scratch.write_bytes(packed)
            return


def _stand(archive: Path) -> bytes | None:
    return archive.read_bytes() if archive.exists() else None


def _read(archive: Path, plan: Plan) -> tuple[RunRecord, ...]:
    try:
        # Of bytes: lines of text would end at more characters than JSON escapes.
        lines = lzma.decompress(archive.read_bytes()).splitlines()
        records = tuple(RunRecord.from_json(json.loads(line)) for line in lines)
        strange = next((one.run for one in records if one.run != Run(one.arm, int(one.fold), int(one.seed)).name), None)
    except (OSError, lzma.LZMAError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{archive} is no archive of records: {error}.", hint="Give a file that `compare --records` wrote.") from error
    arms = {arm.name for arm in plan.arms}
    if strange is None:
        strange = next((one.run for one in records if one.plan_key != plan.key or one.arm not in arms or one.seed not in plan.seeds), None)
    if strange is not None:
        sentence = f"{archive} holds {strange}, which is no run of this plan."
        raise InputError(sentence, hint="Give the archive of this very plan, or the name of a file that is not there yet.")
    return records
