"""Weights that curves and formulas make of few stored numbers, and honest weights that are computed in the graph."""

from __future__ import annotations

import numpy as np

from evaluation.graph_shows.network import WIDTH, Net, breaks, keeps, open_to, random_values

RULE = "no-float16"
#: A code stands for a row of the table; a matrix [32, 128] has 256 of them.
CODES, ROW, LEVELS = 256, 16, 24
INPUTS = CODES * ROW // WIDTH


def used(net: Net, e: str, matrix: str) -> str:
    """Multiply by a matrix [32, 128] that the graph makes."""
    return net.op("Add", e, net.mean(net.reshape(net.op("MatMul", e, matrix), -1, 4, WIDTH), 1))


def spread(net: Net) -> str:
    """Return how far each code is from each level, [256, 24]."""
    codes = net.store("codes", net.rng("codes").uniform(0, LEVELS - 1, (CODES, 1)).astype(np.float32))
    return net.op("Sub", codes, net.store("levels", np.arange(LEVELS, dtype=np.float32)[None]))


def table(net: Net, name: str = "table") -> str:
    return random_values(net, name, LEVELS, ROW)


def looked_up(net: Net, e: str, chosen: str) -> str:
    return used(net, e, net.reshape(net.op("MatMul", chosen, table(net)), WIDTH, INPUTS))


@breaks(RULE, "soft codebook")
def codebook_by_softmax(net: Net, e: str) -> str:
    far = spread(net)
    return looked_up(net, e, net.op("Softmax", net.op("Mul", net.op("Mul", far, far), -40.0), axis=1))


@breaks(RULE, "soft codebook")
def codebook_by_hats(net: Net, e: str) -> str:
    return looked_up(net, e, net.op("Relu", net.op("Sub", 1.0, net.op("Abs", spread(net)))))


@breaks(RULE, "soft codebook")
def codebook_by_bells(net: Net, e: str) -> str:
    far = spread(net)
    return looked_up(net, e, net.op("Exp", net.op("Mul", net.op("Mul", far, far), -9.0)))


@breaks(RULE, "soft codebook")
def codebook_by_a_thermometer(net: Net, e: str) -> str:
    return looked_up(net, e, net.op("Sigmoid", net.op("Mul", spread(net), 50.0)))


@breaks(RULE, "soft codebook")
def codebook_by_steps(net: Net, e: str) -> str:
    return looked_up(net, e, net.op("Clip", spread(net), 0.0, 1.0))


@breaks(RULE, "soft codebook")
def residual_codebooks(net: Net, e: str) -> str:
    far = spread(net)
    first = net.op("Softmax", net.op("Mul", net.op("Abs", far), -20.0), axis=1)
    second = net.op("Softmax", net.op("Mul", net.op("Abs", far), -3.0), axis=1)
    rows = net.op("Add", net.op("MatMul", first, table(net)), net.op("MatMul", second, table(net, "rest")))
    return used(net, e, net.reshape(rows, WIDTH, INPUTS))


@breaks(RULE, "soft codebook")
def codebook_by_convolutions(net: Net, e: str) -> str:
    codes = net.store("codes", net.rng("codes").uniform(0, 1, (1, 1, CODES)).astype(np.float32))
    steep, places = np.full((LEVELS, 1, 1), 40, np.float32), -np.linspace(0, 40, LEVELS, dtype=np.float32)
    hats = net.op("Relu", net.op("Conv", codes, net.store("steep", steep), net.store("places", places)))
    rows = net.op("Conv", hats, random_values(net, "table", ROW, LEVELS, 1))
    return used(net, e, net.reshape(rows, WIDTH, INPUTS))


@breaks(RULE, "soft codebook")
def codebook_behind_a_zero(net: Net, e: str) -> str:
    """Add a zero that is computed from the image to the codes."""
    zero = net.op("Mul", net.op("ReduceMean", net.x, keepdims=0), 0.0)
    far = net.op("Add", spread(net), zero)
    return looked_up(net, e, net.op("Softmax", net.op("Mul", net.op("Abs", far), -20.0), axis=1))


def steps(net: Net) -> str:
    """Return 0, 1, 2… as long as the matrix, without storing them."""
    whole = net.op("Range", np.array(0), np.array(WIDTH * INPUTS), np.array(1))
    return net.op("Cast", whole, to=1)


@breaks(RULE, "nothing stored")
def sine_of_a_range(net: Net, e: str) -> str:
    return used(net, e, net.reshape(net.op("Sin", net.op("Mul", steps(net), 12.9898)), WIDTH, INPUTS))


@breaks(RULE, "nothing stored")
def hash_of_a_range(net: Net, e: str) -> str:
    waves = net.op("Mul", net.op("Sin", net.op("Mul", steps(net), 78.233)), 43758.547)
    return used(net, e, net.reshape(net.op("Sub", waves, net.op("Floor", waves)), WIDTH, INPUTS))


@breaks(RULE, "nothing stored")
def signs_of_a_hash(net: Net, e: str) -> str:
    waves = net.op("Mul", net.op("Sin", net.op("Mul", steps(net), 78.233)), 43758.547)
    signs = net.op("Sign", net.op("Sin", waves))
    return used(net, e, net.reshape(signs, WIDTH, INPUTS))


@breaks(RULE, "nothing stored")
def sine_of_two_stored_ranges(net: Net, e: str) -> str:
    rows = net.store("rows", (INPUTS * np.arange(WIDTH, dtype=np.float32))[:, None])
    places = net.op("Add", rows, net.store("columns", np.arange(INPUTS, dtype=np.float32)[None]))
    return used(net, e, net.op("Sin", net.op("Mul", places, 3.7)))


@breaks(RULE, "nothing stored")
def hash_of_a_running_sum(net: Net, e: str) -> str:
    """Store one number; its copies, as many as a computed shape says, are counted and made a hash."""
    asked = net.op("Identity", np.array([WIDTH * INPUTS]))
    shape = net.op("Where", net.op("Equal", asked, np.array([-1])), np.array([1]), asked)
    copies = net.op("Expand", net.store("one", np.ones(1, np.float32)), shape)
    waves = net.op("Mul", net.op("Sin", net.op("Mul", net.op("CumSum", copies, np.array(0)), 78.233)), 43758.547)
    return used(net, e, net.reshape(net.op("Sub", waves, net.op("Floor", waves)), WIDTH, INPUTS))


@breaks(RULE, "one store, several formulas")
def a_map_applied_again(net: Net, e: str) -> str:
    """Sixteen weights of each stored number, by sixteen steps of the logistic map."""
    seeds = net.store("seeds", net.rng("seeds").uniform(0.1, 0.9, (WIDTH, INPUTS // ROW)).astype(np.float32))
    made = []
    for _ in range(ROW):
        seeds = net.op("Mul", net.op("Mul", seeds, 3.9), net.op("Sub", 1.0, seeds))
        made.append(seeds)
    return used(net, e, net.op("Sub", net.op("Concat", *made, axis=1), 0.5))


@breaks(RULE, "one store, several formulas")
def powers_in_padded_pieces(net: Net, e: str) -> str:
    """Put numbers, their squares and their cubes into columns of one matrix, by padding and a sum."""
    third = INPUTS // 4
    w = random_values(net, "w", WIDTH, third)
    square = net.op("Mul", w, w)
    pieces = [net.op("Pad", piece, [0, i * third, 0, INPUTS - (i + 1) * third])
              for i, piece in enumerate((w, square, net.op("Mul", square, w)))]  # fmt: skip
    return used(net, e, net.op("Add", net.op("Add", *pieces[:2]), pieces[2]))


@open_to(RULE, "a network of stored codes")
def hypernetwork_of_stored_codes(net: Net, e: str) -> str:
    """Two layers' kernels by one matrix from codes of their own: two weights for each stored number, behind Tanh."""
    up = random_values(net, "up", WIDTH * 16, 8)
    for layer in range(2):
        made = net.op("Tanh", net.op("MatMul", up, random_values(net, f"code{layer}", 8, INPUTS // 16)))
        e = used(net, e, net.reshape(made, WIDTH, INPUTS))
    return e


@keeps(RULE, "weights computed in the graph")
def normalised_beside_itself(net: Net, e: str) -> str:
    """Use a matrix in one layer, and the same with rows of length one in another."""
    w = random_values(net, "w", WIDTH, INPUTS)
    length = net.op("Sqrt", net.op("ReduceSum", net.op("Mul", w, w), np.array([1])))
    return used(net, used(net, e, w), net.op("Div", w, length))


@keeps(RULE, "weights used twice")
def standardised_half_and_its_mirror_image(net: Net, e: str) -> str:
    """Store half of the columns; standardised and scaled they are followed by the same in reverse order."""
    w = random_values(net, "w", WIDTH, INPUTS // 2)
    far = net.op("Sub", w, net.mean(w, 1, keep=True))
    deviation = net.op("Sqrt", net.op("Add", net.mean(net.op("Mul", far, far), 1, keep=True), 1e-5))
    half = net.op("Mul", net.op("Div", far, deviation), random_values(net, "gain", WIDTH, 1))
    back = net.op("Slice", half, np.array([-1]), np.array([-(2**31)]), np.array([1]), np.array([-1]))
    return used(net, e, net.op("Concat", half, net.op("Mul", back, 0.5), axis=1))


@breaks(RULE, "one store, several formulas")
def sum_and_difference_of_a_matrix_and_its_sine(net: Net, e: str) -> str:
    w = random_values(net, "w", WIDTH, INPUTS // 2)
    wave = net.op("Sin", net.op("Mul", w, 40.0))
    return used(net, e, net.op("Concat", net.op("Add", w, wave), net.op("Sub", w, wave), axis=1))


@keeps(RULE, "weights computed in the graph")
def low_rank(net: Net, e: str) -> str:
    return used(net, e, net.op("MatMul", random_values(net, "u", WIDTH, 4), random_values(net, "v", 4, INPUTS)))


@keeps(RULE, "weights computed in the graph")
def product_of_two_low_ranks(net: Net, e: str) -> str:
    """As in FedPara and LoHa."""
    parts = [net.op("MatMul", random_values(net, f"u{i}", WIDTH, 4), random_values(net, f"v{i}", 4, INPUTS))
             for i in range(2)]  # fmt: skip
    return used(net, e, net.op("Mul", *parts))


@keeps(RULE, "weights computed in the graph")
def standardised_low_rank(net: Net, e: str) -> str:
    raw = net.op("MatMul", random_values(net, "u", WIDTH, 4), random_values(net, "v", 4, INPUTS))
    far = net.op("Sub", raw, net.mean(raw, 1, keep=True))
    deviation = net.op("Sqrt", net.op("Add", net.mean(net.op("Mul", far, far), 1, keep=True), 1e-5))
    return used(net, e, net.op("Div", far, deviation))


@keeps(RULE, "weights computed in the graph")
def branches_merged_as_in_acb(net: Net, e: str) -> str:
    square, row, column = (random_values(net, name, 3, 3, *size) for name, size in
                           (("square", (3, 3)), ("row", (1, 3)), ("column", (3, 1))))  # fmt: skip
    merged = net.op("Sum", square, net.op("Pad", row, [0, 0, 1, 0, 0, 0, 1, 0]),
                    net.op("Pad", column, [0, 0, 0, 1, 0, 0, 0, 1]))  # fmt: skip
    smooth = net.op("Conv", net.x, merged, pads=[1, 1, 1, 1])
    return net.op("Add", e, net.linear(net.mean(smooth, 2, 3), "smooth", 3, WIDTH))


@keeps(RULE, "weights used twice")
def parts_above_and_below_zero(net: Net, e: str) -> str:
    w = random_values(net, "w", WIDTH, INPUTS // 2)
    return used(net, e, net.op("Concat", net.op("Relu", w), net.op("Relu", net.op("Neg", w)), axis=1))


@keeps(RULE, "weights used twice")
def a_matrix_and_its_size(net: Net, e: str) -> str:
    w = random_values(net, "w", WIDTH, INPUTS)
    return used(net, used(net, e, w), net.op("Abs", w))


@keeps(RULE, "weights from the image")
def hypernetwork_of_the_image(net: Net, e: str) -> str:
    """Make a matrix for each image by a small network with a softmax over a table."""
    chosen = net.op("Softmax", net.linear(e, "choose", WIDTH, WIDTH * LEVELS), axis=-1)
    rows = net.op("MatMul", net.reshape(chosen, -1, WIDTH, LEVELS), random_values(net, "table", LEVELS, WIDTH))
    return net.op("Squeeze", net.op("MatMul", net.unsqueeze(e, 1), rows), [1])


@keeps(RULE, "a transform")
def cosines_of_two_ranges(net: Net, e: str) -> str:
    places = net.op("Cast", net.op("Range", np.array(0), np.array(WIDTH), np.array(1)), to=1)
    angles = net.op("Mul", net.unsqueeze(net.op("Add", places, 0.5), 0), net.unsqueeze(places, 1))
    cosines = net.op("Cos", net.op("Mul", angles, np.pi / WIDTH))
    return net.op("Add", e, net.op("MatMul", e, cosines))
