from __future__ import annotations

from collections.abc import Iterator

import onnx
import pytest
from onnx import defs

from pytest_facechallenge.core.known_runtimes import CONTRIB
from pytest_facechallenge.onnx_graph import operator_table
from pytest_facechallenge.onnx_graph.operators import ALL_DOMAINS, OPERATORS, Kind, Operator, Trait, names, operator

#: onnxruntime's own name in the standard's domain.
EXTRA = {("", "SimplifiedLayerNormalization")}
#: The table has the operators of this version; an older onnx knows fewer.
NEWEST_ONNX = pytest.mark.skipif(defs.onnx_opset_version() < 28, reason="this onnx is older than the table")
STANDARD = {(schema.domain, schema.name): schema for schema in defs.get_all_schemas()}


def rows(*domains: str) -> Iterator[Operator]:
    return (row for row in OPERATORS.values() if row.domain in domains)


def test_every_operator_has_one_row() -> None:
    tables = (operator_table.STANDARD, operator_table.CLASSIC, operator_table.RUNTIME)
    for domain, table in zip(ALL_DOMAINS, tables, strict=True):
        listed = [line.split()[0] for line in table.split("\n") if line]
        assert len(listed) == len(set(listed)) == sum(1 for _ in rows(domain))


def test_every_operator_of_the_standard_has_a_row_or_a_reason() -> None:
    assert set(STANDARD) - set(OPERATORS) - set(operator_table.ABSENT) == set()
    assert not set(OPERATORS) & set(operator_table.ABSENT)


@NEWEST_ONNX
def test_no_row_is_of_an_operator_that_does_not_exist() -> None:
    ever = {(schema.domain, schema.name) for schema in defs.get_all_schemas_with_history()}
    assert {(row.domain, row.name) for row in rows("", "ai.onnx.ml")} - ever == EXTRA


def test_rows_of_the_runtime_exist_there() -> None:
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    schemas = {(schema.domain, schema.name) for schema in state.get_all_operator_schema()}
    listed = {(row.domain, row.name) for row in rows("com.microsoft")} | EXTRA
    assert listed <= schemas
    server = {("com.microsoft", name) for name in CONTRIB["1.6.0"]}
    assert server <= listed | set(operator_table.ABSENT)


@NEWEST_ONNX
def test_positions_of_inputs_exist() -> None:
    for row in rows("", "ai.onnx.ml"):
        if (row.domain, row.name) in EXTRA:
            continue
        # The newest version that has inputs enough: some moved from inputs to attributes and back.
        most = max(
            schema.max_input
            for schema in defs.get_all_schemas_with_history()
            if (schema.domain, schema.name) == (row.domain, row.name)
        )
        assert all(position < most for position in (*row.steers, *row.sizes, *row.chooses, *row.read)), row.name


@pytest.mark.parametrize("row", list(rows("")), ids=lambda row: row.name)
def test_inputs_that_steer_are_integers_or_small(row: Operator) -> None:
    """An input that only says how is no tensor of the element type that the operator computes with."""
    schema = STANDARD.get((row.domain, row.name))
    if schema is None or row.kind in (Kind.CONTROL, Kind.SEQUENCE):
        return
    any_number = {("OneHot", 1), ("Resize", 2), ("Resize", 3)}
    for position in row.steers:
        if position < len(schema.inputs) and (row.name, position) not in any_number:
            kinds = set(schema.inputs[position].types)
            assert not kinds >= {"tensor(float)", "tensor(int64)", "tensor(uint8)"}, (row.name, position)


@pytest.mark.parametrize("row", list(rows("")), ids=lambda row: row.name)
def test_what_moves_computes_with_every_type_that_it_takes(row: Operator) -> None:
    """Arithmetic has no meaning for strings: an operator that takes them only moves, compares or converts."""
    schema = STANDARD.get((row.domain, row.name))
    if schema is None or not schema.inputs or "tensor(string)" not in schema.inputs[0].types:
        return
    computing = (Trait.ADDS, Trait.ARITHMETIC, Trait.SUMS, Trait.LEARNED)
    assert not any(row.has(trait) for trait in computing), row.name
    assert row.kind in (Kind.UNARY, Kind.PAIR, Kind.LAYOUT, Kind.MOVING, Kind.ABOUT_SHAPE, Kind.SEQUENCE, Kind.TEXT,
                        Kind.QUANTISING, Kind.CONTROL, Kind.MAKING), row.name  # fmt: skip


def test_pairs_broadcast_and_unary_operators_have_one_tensor() -> None:
    for row in rows(""):
        schema = STANDARD.get((row.domain, row.name))
        if schema is None:
            continue
        data = [entry for position, entry in enumerate(schema.inputs) if position not in row.steers]
        if row.kind is Kind.UNARY:
            required = [entry for entry in data if entry.option == defs.OpSchema.FormalParameterOption.Single]
            assert len(required) == 1 or row.name == "CastLike", row.name
        if row.kind is Kind.PAIR:
            assert len(data) > 1 or row.has(Trait.VARIADIC), row.name


def test_traits_go_together() -> None:
    for row in OPERATORS.values():
        if row.has(Trait.VIEW) or row.has(Trait.SAME):
            assert row.has(Trait.IDLE), row.name
        if row.has(Trait.SAME):
            assert row.kind is Kind.UNARY, row.name
        if row.has(Trait.IDLE):
            assert row.has(Trait.FREE), row.name
        if row.has(Trait.PARTS) or row.has(Trait.ACTIVATES):
            assert not row.has(Trait.KEEPS), row.name
        if row.kind in (Kind.CONVOLUTION, Kind.PRODUCT, Kind.RECURRENT, Kind.ATTENTION, Kind.SPECTRAL):
            assert not row.has(Trait.FREE), row.name


def test_an_operator_without_a_row_is_known_for_nothing() -> None:
    unknown = operator("com.example", "Relu")
    assert (unknown.kind, unknown.traits) == (Kind.OTHER, frozenset())
    assert operator("ai.onnx", "Relu") is operator("", "Relu")
    assert operator("com.microsoft", "Relu").traits == frozenset()


def test_names_by_trait() -> None:
    assert names(Kind.ABOUT_SHAPE) == {"Shape", "Size", "SequenceLength"}
    assert "Gelu" in names(Kind.UNARY, Trait.FREE, domains=("",))
    assert "QuickGelu" not in names(Kind.UNARY, domains=("",))


def test_random_operators_are_those_with_a_seed() -> None:
    seeded = {name for (domain, name), schema in STANDARD.items() if not domain and "seed" in schema.attributes}
    assert names(Trait.RANDOM, domains=("",)) == seeded - {"Dropout"}


def test_control_flow_is_what_holds_a_graph() -> None:
    graph = onnx.defs.OpSchema.AttrType.GRAPH
    holding = {
        name
        for (domain, name), schema in STANDARD.items()
        if not domain and any(attribute.type == graph for attribute in schema.attributes.values())
    }
    assert names(Kind.CONTROL, domains=("",)) == holding
