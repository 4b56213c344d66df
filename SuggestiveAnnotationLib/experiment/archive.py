"""All records of a comparison in one small file, so that its results can be worked out again, and its missing runs added, anywhere.

JSON lines, one a record, sorted by run and compressed with xz. Names of cases and people are in it as the cohort has them.
"""

from __future__ import annotations

import json
import lzma
from pathlib import Path

from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.experiment.record import RunRecord, read_records, write_record
from SuggestiveAnnotationLib.files import whole_file


def pack(folder: Path, archive: Path) -> int:
    """Write every record under the folder of a comparison into an archive, in place of what it held; the same records, the same bytes.

    Returns: how many; with none, nothing is written. Raises: InputError, when a record cannot be read; StorageError.
    """
    lines = [json.dumps(one.to_json(), ensure_ascii=False, allow_nan=False, separators=(",", ":")) for one in read_records(folder)]
    if lines:
        with whole_file(archive) as scratch:
            scratch.write_bytes(lzma.compress("".join(f"{line}\n" for line in lines).encode()))
    return len(lines)


def unpack(archive: Path, folder: Path, *, plan_key: str) -> tuple[str, ...]:
    """Write the records of an archive that the folder of a comparison lacks.

    Returns: their runs. Raises: InputError, when the file is no archive or holds a record of another plan, nothing is written then;
    StorageError.
    """
    records = _read(archive)
    if any(one.plan_key != plan_key for one in records):
        raise InputError(f"{archive} holds records of another plan.", hint="Give the archive of this plan, or another file to write one.")
    there = {one.run for one in read_records(folder)}
    new = [one for one in records if one.run not in there]
    for record in new:
        write_record(folder, record)
    return tuple(one.run for one in new)


def _read(archive: Path) -> tuple[RunRecord, ...]:
    try:
        lines = lzma.decompress(archive.read_bytes()).decode().splitlines()
        return tuple(RunRecord.from_json(json.loads(line)) for line in lines)
    except (OSError, lzma.LZMAError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{archive} is no archive of records: {error}.", hint="Give a file that `compare --records` wrote.") from error
