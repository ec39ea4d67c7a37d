"""The evasions of the third blind set, by name."""

from __future__ import annotations

from types import ModuleType

from tests.blind.case import IMPLICIT_BATCH, REALIGNMENT, Case, index

from . import everyday, furtive, rows, warps, warps_by_hand

_EVERYDAY = {
    "chunked_flip_test": "Image and flip concatenated for an IR-SE network, embeddings chunked, summed, normalised.",
    "ten_crops": "Five crops of a reflected border and their flips, stacked for a MobileNetV3; mean.",
    "flipped_patch_embeddings": "A Swin's embedded patches are flipped and run again; a last layer joins both.",
    "soft_focus_gate": "A ConvNeXt also sees the image made small and large again; a predicted gate weighs the two.",
    "zoom_at_the_peak": "The window where a ResNet's features are strongest is seen again, enlarged; concatenated.",
    "two_chimeras": "Each half, completed by its mirror image, is a face; the two faces are groups of channels; mean.",
    "one_sequence_of_both": "Image and flip side by side; all their patches attend to each other in one ViT.",
}

_FURTIVE = {
    "padded_another_way": "One stem under four paddings gives looks moved by 1 or 2 pixels, batched; weighted sum.",
    "mirrored_relative_places": "Mirrored patch kernels and a relative bias counted from the right; maximum.",
    "unpooled_elsewhere": "A Loop's MaxUnpool puts pixels at indices that are mirrored after the first round; product.",
    "turned_when_alone": "An If adds a look at the image turned by 90 degrees to a batch of one image; mean.",
    "compressed_for_a_retrained_copy": "A copy of the tower with 2% noise sees a JPEG-like image; weighted sum.",
}

_ROWS = {
    "stretched_together": "Pixels are stretched by the least and the largest of the whole batch.",
    "softmax_over_the_first_axis": "Weights of tokens are a Softmax over the batch instead of over the tokens.",
    "recurrence_along_the_batch": "An LSTM takes the batch for time and the rows of the feature map for its batch.",
    "whitened_by_the_batch": "Embeddings are decorrelated by the second moments of the batch (Newton's iteration).",
}

_WARPS = {
    "spatial_transformer": "Six predicted numbers, AffineGrid and GridSample of opset 20.",
    "thin_plate_spline": "Sixteen predicted displacements, the thin-plate spline through them, GridSample.",
    "framed_and_shrunk": "A reflected frame is put around the image, and both are resized to its size.",
    "tight_crop_from_shape": "Margins computed from the shape are cut off, the rest is enlarged by a cubic Resize.",
    "log_polar_places": "The image in log-polar coordinates, by Gather at places computed in the graph.",
}

_WARPS_BY_HAND = {
    "bilinear_by_hand": "A predicted similarity, sampled by four GatherElements and their weights.",
    "rolled_by_reversals": "A predicted roll along both axes, each made of three ReverseSequences.",
    "saliency_sampler": "Predicted room for each strip, summed up to places; pixels average what falls between.",
}


def _cases(rule: str, module: ModuleType, texts: dict[str, str]) -> list[Case]:
    return [Case(name=name, does=does, rule=rule, build=getattr(module, name)) for name, does in texts.items()]


EVASIONS = index(
    *_cases(IMPLICIT_BATCH, everyday, _EVERYDAY),
    *_cases(IMPLICIT_BATCH, furtive, _FURTIVE),
    *_cases(IMPLICIT_BATCH, rows, _ROWS),
    *_cases(REALIGNMENT, warps, _WARPS),
    *_cases(REALIGNMENT, warps_by_hand, _WARPS_BY_HAND),
)
