"""Every number of the detector that decides something, with its unit and its reason: one frozen struct.

The struct is handed to every observer. `thresholds_of` (in `core.threshold`) goes through it, and
docs/second-looks-thresholds.md is made from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_facechallenge.analyses.implicit_batch.alignment_thresholds import Alignment
from pytest_facechallenge.analyses.implicit_batch.likeness_thresholds import (
    Branches,
    Clusters,
    Copies,
    Equivariance,
    Exchange,
    Movement,
    PixelRecovery,
    Plain,
    Reordering,
    Sharing,
    Transforms,
    Weights,
)
from pytest_facechallenge.analyses.implicit_batch.view_thresholds import (
    Duplicates,
    Neighbourhoods,
    Places,
    ProbeImages,
    Registration,
    Running,
    Signatures,
    Views,
)


@dataclass(frozen=True)
class Thresholds:
    """All numbers of the detector, by what they are about."""

    running: Running = field(default_factory=Running)
    images: ProbeImages = field(default_factory=ProbeImages)
    signatures: Signatures = field(default_factory=Signatures)
    duplicates: Duplicates = field(default_factory=Duplicates)
    places: Places = field(default_factory=Places)
    views: Views = field(default_factory=Views)
    registration: Registration = field(default_factory=Registration)
    neighbourhoods: Neighbourhoods = field(default_factory=Neighbourhoods)
    recovery: PixelRecovery = field(default_factory=PixelRecovery)
    movement: Movement = field(default_factory=Movement)
    weights: Weights = field(default_factory=Weights)
    copies: Copies = field(default_factory=Copies)
    sharing: Sharing = field(default_factory=Sharing)
    branches: Branches = field(default_factory=Branches)
    equivariance: Equivariance = field(default_factory=Equivariance)
    plain: Plain = field(default_factory=Plain)
    transforms: Transforms = field(default_factory=Transforms)
    alignment: Alignment = field(default_factory=Alignment)
    clusters: Clusters = field(default_factory=Clusters)
    reordering: Reordering = field(default_factory=Reordering)
    exchange: Exchange = field(default_factory=Exchange)


#: The values in use.
DEFAULTS = Thresholds()
