"""Segments of a schema, and label slices in and out of a segmentation. Arrays are native `(k, j, i)`; LPS becomes RAS here."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from SuggestiveAnnotationLib.cohort.labels.terminology import slicer_entry

IGNORE_ID = "ignore"
IGNORE_COLOUR = (0.6, 0.6, 0.6)
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


def segmentId(value):
    """Id of the segment of a label value."""
    return f"value-{value}"


def segmentValues(schema):
    """Segment id -> label value, in the order of the schema, the ignore brush last."""
    return {**{segmentId(c.value): c.value for c in schema.classes}, IGNORE_ID: schema.ignore_value}


def ijkToRAS(geometry):
    """The 4x4 matrix of a grid given in LPS, as a `vtkMatrix4x4`."""
    rotation = np.reshape(geometry.direction_lps, (3, 3)) * np.asarray(geometry.spacing)
    matrix = np.eye(4)
    matrix[:3, :3] = _LPS_TO_RAS @ rotation
    matrix[:3, 3] = _LPS_TO_RAS @ np.asarray(geometry.origin_lps)
    return slicer.util.vtkMatrixFromArray(matrix)


def sliceCentreRAS(geometry, ref):
    """Centre of a native slice, RAS millimetres."""
    ijk = (np.asarray(geometry.size) - 1) / 2
    ijk[2 - ref.axis] = ref.native_index
    matrix = slicer.util.arrayFromVTKMatrix(ijkToRAS(geometry))
    return tuple(float(v) for v in matrix[:3, :3] @ ijk + matrix[:3, 3])


def addSegments(node, schema):
    """Give a segmentation node the segments of a schema: order, names, colours, terminology."""
    segmentation = node.GetSegmentation()
    segmentation.SetSourceRepresentationName(slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName())
    for identifier, name, colour, terminology in _appearances(schema):
        segmentation.AddEmptySegment(identifier, name, list(colour))
        _setTerminology(segmentation.GetSegment(identifier), terminology)


def restoreSegments(node, schema):
    """Put segments, names, colours and terminology back that a person removed or changed: Slicer's table has no lock for them.

    Returns: label values of the segments that were put back, which are empty; and whether anything at all was put back.
    """
    segmentation, changed, again = node.GetSegmentation(), False, []
    for place, ((identifier, name, colour, terminology), value) in enumerate(
        zip(_appearances(schema), segmentValues(schema).values(), strict=True)
    ):
        segment = segmentation.GetSegment(identifier)
        if segment is None:
            segmentation.AddEmptySegment(identifier, name, list(colour))
            segmentation.SetSegmentIndex(identifier, place)
            segment = segmentation.GetSegment(identifier)
            again.append(value)
            changed = True
        if segment.GetName() != name:
            segment.SetName(name)
            changed = True
        if not np.allclose(segment.GetColor(), colour):
            segment.SetColor(*colour)
            changed = True
        if _terminology(segment) != terminology:
            _setTerminology(segment, terminology)
            changed = True
    return again, changed


def _appearances(schema):
    """`(segment id, name, colour, terminology)` in the order of the schema, the ignore brush last."""
    plain = _terminology(slicer.vtkSegment())
    for one in schema.classes:
        colour = tuple(channel / 255 for channel in one.colour)
        yield segmentId(one.value), one.name, colour, slicer_entry(one.terminology) or plain
    yield IGNORE_ID, _("Ignore"), IGNORE_COLOUR, plain


def _terminology(segment):
    entry = vtk.reference("")
    segment.GetTag(segment.GetTerminologyEntryTagName(), entry)
    return str(entry)


def _setTerminology(segment, entry):
    segment.SetTag(segment.GetTerminologyEntryTagName(), entry)


def unknownSegments(node, schema):
    """Names of segments that are not in the schema."""
    segmentation = node.GetSegmentation()
    return [segmentation.GetSegment(identifier).GetName() for identifier in _unknownIds(node, schema)]


def removeUnknownSegments(node, schema):
    """Remove the segments that are not in the schema, with what is drawn in them."""
    for identifier in _unknownIds(node, schema):
        node.GetSegmentation().RemoveSegment(identifier)


def _unknownIds(node, schema):
    segmentation, known = node.GetSegmentation(), segmentValues(schema)
    ids = [segmentation.GetNthSegmentID(i) for i in range(segmentation.GetNumberOfSegments())]
    return [identifier for identifier in ids if identifier not in known]


def missingSegments(node, schema):
    """Names of the schema's structures whose segment a person removed."""
    segmentation = node.GetSegmentation()
    names = {segmentId(c.value): c.name for c in schema.classes}
    return [name for identifier, name in names.items() if segmentation.GetSegment(identifier) is None]


def hiddenSegments(node, schema, view):
    """Names of the schema's segments that a slice view, named by the id of its node, does not draw."""
    display, segmentation = node.GetDisplayNode(), node.GetSegmentation()
    shown = display.GetVisibility(view) and display.GetOpacity() > 0
    fill = shown and display.GetVisibility2DFill() and display.GetOpacity2DFill() > 0
    outline = shown and display.GetVisibility2DOutline() and display.GetOpacity2DOutline() > 0

    def drawn(one):
        filled = fill and display.GetSegmentVisibility2DFill(one) and display.GetSegmentOpacity2DFill(one) > 0
        outlined = outline and display.GetSegmentVisibility2DOutline(one) and display.GetSegmentOpacity2DOutline(one) > 0
        return display.GetSegmentVisibility(one) and (filled or outlined)

    there = [one for one in segmentValues(schema) if segmentation.GetSegment(one) is not None]
    return [segmentation.GetSegment(one).GetName() for one in there if not drawn(one)]


def showSegments(node):
    """Have slice views draw every segment, its outline at least, whatever hid it."""
    display = node.GetDisplayNode()
    before = display.StartModify()
    display.SetVisibility(True)
    display.SetVisibility2D(True)
    display.SetVisibility2DOutline(True)
    display.SetOpacity2DOutline(1.0)
    display.SetOpacity(1.0)
    # A folder of the Data tree hides what is in it.
    display.SetFolderDisplayOverrideAllowed(False)
    display.SetAllSegmentsVisibility(True)
    display.SetAllSegmentsVisibility2DOutline(True)
    display.SetAllSegmentsOpacity2DOutline(1.0)
    display.EndModify(before)


def labelType(schema):
    """The smallest type that holds every value of a schema."""
    return np.uint8 if max(*schema.values, schema.ignore_value) <= 255 else np.uint16


def orientedImage(array, geometry):
    """A native array on its grid, as a `vtkOrientedImageData` that owns its voxels."""
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(*geometry.size)
    # VTK copies the values; it would not keep the array alive.
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(array).ravel(), deep=True))
    image.SetImageToWorldMatrix(ijkToRAS(geometry))
    return image


def importVolume(node, array, geometry, schema):
    """Replace the content of the schema's segments by a whole native label array; all of them share one layer afterwards.

    Raises:
        RuntimeError: Slicer could not import the labels.
    """
    values = segmentValues(schema)
    # Slicer gives the label n to the n-th segment named: with gaps left empty, the label in Slicer is the value of the schema.
    ids = vtk.vtkStringArray()
    ids.SetNumberOfValues(max(values.values()))
    for identifier, value in values.items():
        ids.SetValue(value - 1, identifier)
    image = orientedImage(np.asarray(array, labelType(schema)), geometry)
    if not slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(image, node, ids):
        raise RuntimeError(_("The labels could not be brought into the segmentation."))


def readVolume(node, geometry, schema):
    """Labels of the schema's segments as a native array of `labelType`; where segments overlap the later layer shows."""
    return readBox(node, geometry, schema, tuple(slice(0, n) for n in geometry.shape))


def readBox(node, geometry, schema, box):
    """Part of `readVolume`: `box` is a slice with start and stop for each of `(k, j, i)`."""
    return _readBox(node, geometry, segmentValues(schema), box, labelType(schema))


def readUnknown(node, geometry, schema):
    """Where something is drawn in segments that are not in the schema, as a native array."""
    values = dict.fromkeys(_unknownIds(node, schema), True)
    return _readBox(node, geometry, values, tuple(slice(0, n) for n in geometry.shape), np.bool_)


def _readBox(node, geometry, values, box, dtype):
    labels = np.zeros([side.stop - side.start for side in box], dtype)
    for image, valueOf in _layers(node, values):
        if not _onGrid(image, geometry):
            image = _resampled(image, geometry)
        i0, i1, j0, j1, k0, k1 = image.GetExtent()
        voxels = _voxels(image)
        if voxels is None:
            continue
        # Extents shrink to what is drawn, and a brush may reach beyond the image.
        low = [max(side.start, v) for side, v in zip(box, (k0, j0, i0), strict=True)]
        high = [min(side.stop, v + 1) for side, v in zip(box, (k1, j1, i1), strict=True)]
        if any(stop <= start for start, stop in zip(low, high, strict=True)):
            continue
        inside = voxels[tuple(slice(a - first, b - first) for a, b, first in zip(low, high, (k0, j0, i0), strict=True))]
        place = tuple(slice(a - side.start, b - side.start) for a, b, side in zip(low, high, box, strict=True))
        table = np.zeros(np.iinfo(inside.dtype).max + 1 if inside.dtype.kind == "u" else 65536, labels.dtype)
        for label, value in valueOf.items():
            table[label] = value
        drawn = table[inside]
        np.copyto(labels[place], drawn, where=drawn != 0)
    return labels


def _layers(node, values):
    """Every binary labelmap of the node with the labels in it of the segments in `values`: label -> value."""
    segmentation = node.GetSegmentation()
    source = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    found = {}
    for identifier, value in values.items():
        segment = segmentation.GetSegment(identifier)
        image = None if segment is None else segment.GetRepresentation(source)
        if image is not None:
            # Segments that never overlapped share one image.
            found.setdefault(image, {})[segment.GetLabelValue()] = value
    return found.items()


def rawLayers(node, geometry, schema):
    """The labelmaps of the schema's segments as they are: `(extent, label -> value, voxels)` each, the voxels a view or None where there
    are none. None where one lies on another grid than the image.
    """
    layers = _layers(node, segmentValues(schema))
    if not all(_onGrid(image, geometry) for image, _valueOf in layers):
        return None
    return [(image.GetExtent(), valueOf, _voxels(image)) for image, valueOf in layers]


def _voxels(image):
    """Voxels of an image as a view `(k, j, i)`, None where it has none."""
    i0, i1, j0, j1, k0, k1 = image.GetExtent()
    if i1 < i0 or j1 < j0 or k1 < k0 or image.GetPointData().GetScalars() is None:
        return None
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(k1 - k0 + 1, j1 - j0 + 1, i1 - i0 + 1)


def _onGrid(image, geometry):
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    return image.IsEmpty() or np.allclose(
        slicer.util.arrayFromVTKMatrix(matrix), slicer.util.arrayFromVTKMatrix(ijkToRAS(geometry)), atol=1e-4
    )


def _resampled(image, geometry):
    """An effect left a labelmap on a grid of its own."""
    reference, result = slicer.vtkOrientedImageData(), slicer.vtkOrientedImageData()
    reference.SetDimensions(*geometry.size)
    reference.SetImageToWorldMatrix(ijkToRAS(geometry))
    if not slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(image, reference, result):
        raise RuntimeError(_("The segmentation lies on another grid than the image and could not be brought onto it."))
    return result


def writeSlice(node, geometry, schema, axis, index, labels):
    """Replace one native slice of every segment; the others stay, and segments stay disjoint.

    Args:
        axis, index: of the native array.
        labels: schema values, native in-plane orientation, the two remaining axes of `(k, j, i)` in order.
    """
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    segmentation = node.GetSegmentation()
    extent = [0, geometry.size[0] - 1, 0, geometry.size[1] - 1, 0, geometry.size[2] - 1]
    extent[2 * (2 - axis)] = extent[2 * (2 - axis) + 1] = index
    values = {identifier: value for identifier, value in segmentValues(schema).items() if segmentation.GetSegment(identifier) is not None}
    empty = _mask(np.zeros(labels.shape, np.uint8), geometry, extent)
    for layer in range(segmentation.GetNumberOfLayers()):
        first = segmentation.GetSegmentIDsForLayer(layer)[0]
        logic.SetBinaryLabelmapToSegment(empty, node, first, logic.MODE_MERGE_MIN, extent, True)
    for identifier, value in values.items():
        drawn = (labels == value).astype(np.uint8)
        if drawn.any():
            # Without naming the others as free to overwrite, the segment would move to a layer of its own.
            others = [other for other in segmentation.GetSegmentIDs() if other != identifier]
            mask = _mask(drawn, geometry, extent)
            logic.SetBinaryLabelmapToSegment(mask, node, identifier, logic.MODE_MERGE_MASK, extent, False, others)


def _mask(plane, geometry, extent):
    image = slicer.vtkOrientedImageData()
    image.SetExtent(extent)
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(plane).ravel(), deep=True))
    image.SetImageToWorldMatrix(ijkToRAS(geometry))
    return image
