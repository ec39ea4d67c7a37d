"""The networks against figures that others published or that the organisers' own counter gave."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from pytest_facechallenge.refnets import save

from .oracle import Layer, bare, count_layers, count_parameters

#: Network: FLOPs by the organisers' counter on the training graph, multiply-additions, parameters.
COUNTED = {
    "y2": (933_336_950, 468_825_088, 1_996_288),
    "r100fc": (24_169_929_728, 12_089_606_144, 65_156_160),
    "vargfacenet": (1_022_388_952, 512_355_840, 4_957_512),
    "iresnet18": (5_216_096_256, 2_609_954_816, 24_025_600),
    "iresnet34": (8_914_217_984, 4_459_642_880, 34_139_328),
    "iresnet50": (12_612_791_296, 6_309_330_944, 43_590_848),
}
#: Sizes of the MFR21 baselines' files (the challenge's table) and of iResNet-200, in MB = 1024^2 bytes.
PUBLISHED_MB = {
    "iresnet18": 91.658,
    "iresnet34": 130.245,
    "iresnet50": 166.305,
    "iresnet100": 248.590,
    "iresnet200": 453.4,
}


def published_layers() -> dict[str, dict[str, Layer]]:
    networks: dict[str, dict[str, Layer]] = {}
    with (Path(__file__).parent / "layers.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            networks.setdefault(row["network"], {})[row["layer"]] = Layer(int(row["macs"]), int(row["flops"]))
    return networks


@pytest.mark.parametrize("name", COUNTED)
def test_training_graph_counts_as_published(name: str) -> None:
    model = bare(name, fold_batchnorm=False).model
    layers = count_layers(model).values()
    totals = (sum(layer.flops for layer in layers), sum(layer.macs for layer in layers), count_parameters(model))
    assert totals == COUNTED[name]


@pytest.mark.parametrize("name", COUNTED)
def test_folded_graph_counts_as_published_when_folded_biases_are_free(name: str) -> None:
    layers = count_layers(bare(name).model, biases_are_real=False).values()
    assert sum(layer.flops for layer in layers) == COUNTED[name][0]


@pytest.mark.parametrize(("name", "excess"), [("r100fc", 9_282_560), ("iresnet18", 3_813_376)])
def test_literal_count_of_the_folded_graph_is_higher_by_the_folded_biases(name: str, excess: int) -> None:
    layers = count_layers(bare(name).model).values()
    assert sum(layer.flops for layer in layers) == COUNTED[name][0] + excess


@pytest.mark.parametrize("name", published_layers())
def test_every_layer_counts_as_published(name: str) -> None:
    assert count_layers(bare(name, fold_batchnorm=False).model) == published_layers()[name]


def test_iresnet100_has_the_convolutions_of_r100fc() -> None:
    iresnet100 = count_layers(bare("iresnet100").model)
    assert iresnet100 == count_layers(bare("r100fc").model)


@pytest.mark.parametrize("name", PUBLISHED_MB)
def test_exported_iresnet_is_as_large_as_published(name: str) -> None:
    network = bare(name)
    megabytes = (network.weight_bytes + network.model.ByteSize()) / 1024**2
    assert megabytes == pytest.approx(PUBLISHED_MB[name], rel=5e-4)


def test_size_without_weights_and_weights_add_up_to_the_file(tmp_path: Path) -> None:
    save("y2", tmp_path / "y2.onnx", batch=1)
    network = bare("y2")
    # Each tensor's length field is the difference.
    spared = (tmp_path / "y2.onnx").stat().st_size - network.weight_bytes - network.model.ByteSize()
    assert 0 < spared < 16 * len(network.model.graph.initializer)


def test_mobilefacenet_costs_what_is_published() -> None:
    """439.8 MFLOPs in comparison tables of light face networks; 0.99 million parameters and 4.0 MB in arXiv 1804.07573.

    Counters differ in what a parameter is, so those two hold within 2 %.
    """
    model = bare("mobilefacenet", fold_batchnorm=False).model
    assert sum(layer.flops for layer in count_layers(model).values()) == pytest.approx(439.8e6, abs=0.05e6)
    assert count_parameters(model) == pytest.approx(0.99e6, rel=0.02)
    folded = bare("mobilefacenet")
    assert (folded.weight_bytes + folded.model.ByteSize()) / 1e6 == pytest.approx(4.0, rel=0.02)
