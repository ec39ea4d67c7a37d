"""The arithmetic cost of a graph, counted as LFR19 counts it, and second opinions on it.

`work` holds the arithmetic; `convolution`, `products`, `attention`, `recurrent` and `spectral` say what each operator
multiplies; `free` names the operators that cost nothing; `disguised`, with `origins`, finds contractions written as
element-wise products and sums; `counter` walks a graph; `gather` turns the result into facts; `crosscheck` asks fvcore.
"""
