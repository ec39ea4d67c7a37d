"""Following the picture through a network: which versions of it the body sees, how often, and who mixes with whom.

Layers, each reading only those before it: `runner` (run a model, look inside), `flatten` (no control flow left),
`structure` (who computes with weights, at which cost, in which order), `signatures` (which elements are one datum),
`copies`, `towers`, `twins`, `warps`, `rows`, `kernels` (what can be seen), `probe` (a model, opened), `views`,
`stacked`, `side_by_side`, `parts` (what was seen, as facts), `observe` and `gather` (the step).
"""
