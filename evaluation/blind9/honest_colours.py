"""Honest: stems and the handling of colour and light, one look at the image, before an ordinary small network."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import honest_torch


def rest(n: Net, x: T, dim: int = 128) -> T:
    """Bring a map of any even size down to 7 x 7 by strided layers with PReLU, then GDC."""
    for width in (12, 16, 24, 32):
        if x.shape[2] > 7:
            x = n.cbp(x, width, 3, 2)
    return n.gdc(x, dim)


def ir_rest(n: Net, x: T, dim: int = 128) -> T:
    """Apply an iResNet in small."""
    x = n.cbp(x, 12, 3, 2)
    for width in (16, 24, 32):
        x = n.cb(n.cbp(n.bn(x), width), width, 3, 2) + n.cb(x, width, 1, 2)
    return n.embed(x, dim)


def share(x: T) -> T:
    """Map -1 to 1 onto 0 to 1."""
    return (x * 0.5 + 0.5).clamp(0, 1)


def mixed(x: T, rows: list[list[float]]) -> T:
    """Mix the colours by a stored matrix."""
    m = torch.tensor(rows)
    return F.conv2d(x, m.reshape(len(rows), -1, 1, 1))


def kernels(x: T, bank: list[np.ndarray], s: int = 1) -> T:
    """Filter every plane by each of a bank of stored kernels."""
    c, side = int(x.shape[1]), len(bank[0])
    k = torch.from_numpy(np.tile(np.stack(bank)[:, None], (c, 1, 1, 1)).astype(np.float32))
    return F.conv2d(x, k, stride=s, padding=side // 2, groups=c)


@honest_torch("RIQ, which Liu and Liu found for FRGC faces: red, and I and Q of television, in place of RGB.",
              idea="colour", opset=11, trained=3)  # fmt: skip
def riq_colour_planes(n: Net, x: T) -> T:
    return ir_rest(n, n.bn(mixed(x, [[1, 0, 0], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])))


@honest_torch("Ohta's I1 I2 I3 by a stored matrix, and a scale for each plane.", idea="colour", opset=12)
def ohta_colour_planes(n: Net, x: T) -> T:
    y = mixed(x, [[1 / 3, 1 / 3, 1 / 3], [0.5, 0, -0.5], [-0.25, 0.5, -0.25]])
    return rest(n, y * torch.tensor([1.0, 2.0, 4.0]).reshape(1, 3, 1, 1))


@honest_torch("The curve of sRGB undone piece by piece, light mixed to cone answers LMS, then their cube roots.",
              idea="colour", opset=13)  # fmt: skip
def cone_answers_of_linear_light(n: Net, x: T) -> T:
    u = share(x)
    light = torch.where(u <= 0.04045, u / 12.92, ((u + 0.055) / 1.055) ** 2.4)
    lms = mixed(light, [[0.313, 0.639, 0.047], [0.155, 0.758, 0.087], [0.018, 0.109, 0.873]])
    return ir_rest(n, n.bn((lms + 1e-3) ** (1 / 3)))


@honest_torch("HSI with the hue as cosine and sine weighed by the saturation: four planes, no jump at red.",
              idea="colour", opset=20, trained=3)  # fmt: skip
def hue_as_a_vector(n: Net, x: T) -> T:
    r, g, b = x.split(1, 1)
    c, s = r - 0.5 * (g + b), 0.866 * (g - b)
    return rest(n, torch.cat([(r + g + b) / 3, c, s, (c * c + s * s + 1e-4).sqrt()], 1))


@honest_torch("Two planes of skin likelihood (Gaussians of stored mean in CbCr) beside the pixels.", idea="colour",
              opset=13)  # fmt: skip
def skin_likelihood_planes(n: Net, x: T) -> T:
    cb, cr = mixed(x, [[-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]]).split(1, 1)
    a = torch.exp(-(((cb + 0.1) / 0.12) ** 2) - ((cr - 0.15) / 0.12) ** 2)
    b = torch.exp(-(((cb + 0.2) / 0.2) ** 2) - ((cr - 0.3) / 0.2) ** 2)
    return ir_rest(n, torch.cat([x, a, b], 1))


@honest_torch("Eleven colour names: a softmax of squared distances to stored colours, pooled by 2 and taken as planes.",
              idea="colour", opset=13)  # fmt: skip
def soft_colour_names(n: Net, x: T) -> T:
    names = np.array([[0, 0, 0], [0, 0, 1], [0.5, 0.3, 0.1], [0.5, 0.5, 0.5], [0, 0.8, 0], [1, 0.6, 0], [1, 0.7, 0.8],
                      [0.5, 0, 0.5], [1, 0, 0], [1, 1, 1], [1, 1, 0]], np.float32) * 2 - 1  # fmt: skip
    at = torch.from_numpy(names)
    far = (at * at).sum(1).reshape(1, 11, 1, 1) - 2 * F.conv2d(x, at.reshape(11, 3, 1, 1))
    return rest(n, torch.cat([F.avg_pool2d((-3 * far).softmax(1), 2), F.avg_pool2d(x, 2)], 1))


@honest_torch("A colour table of 4 x 4 x 4 as cameras use it: hat functions of each colour, products, stored colours.",
              idea="colour", opset=12, trained=3)  # fmt: skip
def colour_lookup_table(n: Net, x: T) -> T:
    at = torch.tensor([0.0, 1.0, 2.0, 3.0]).reshape(1, 4, 1, 1)
    r, g, b = ((1 - (3 * share(z) - at).abs()).clamp(min=0) for z in x.split(1, 1))
    rg = (r.unsqueeze(2) * g.unsqueeze(1)).flatten(1, 2)
    cells = (rg.unsqueeze(2) * b.unsqueeze(1)).flatten(1, 2)
    return ir_rest(n, x + n.conv(cells, 3, 1, bias=False))


@honest_torch("Fourier features of the pixel values: sines and cosines of 1, 2 and 4 times the value, with the values.",
              idea="stems", opset=11)  # fmt: skip
def waves_of_values(n: Net, x: T) -> T:
    planes = [f(math.pi * k * x / 2) for k in (1, 2, 4) for f in (torch.sin, torch.cos)]
    return rest(n, torch.cat([x, *planes], 1))


@honest_torch("Thermometer coding of each colour: eight soft steps, as robust training uses it, then a strided layer.",
              idea="stems", opset=13, trained=3)  # fmt: skip
def thermometer_of_values(n: Net, x: T) -> T:
    steps = [torch.sigmoid(12 * (x - t)) for t in np.linspace(-0.85, 0.85, 8).tolist()]
    return rest(n, torch.cat(steps, 1))


@honest_torch("Pixels rounded down to 32 levels, as a camera of five bits gives them, and one network of them.",
              idea="stems", opset=12, trained=3)  # fmt: skip
def five_bit_pixels(n: Net, x: T) -> T:
    return ir_rest(n, torch.floor((x + 1) * 15.999) / 15.5 - 1)


@honest_torch("ZCA whitening of 5 x 5 patches as a first kernel of fixed numbers, as Coates has it, beside the pixels.",
              idea="stems", opset=11)  # fmt: skip
def zca_patch_whitening(n: Net, x: T) -> T:
    at = np.indices((5, 5)).reshape(2, 25).T
    far = np.sqrt(((at[:, None] - at[None]) ** 2).sum(-1))
    values, vectors = np.linalg.eigh(0.95**far)
    white = (vectors / np.sqrt(values + 0.05)) @ vectors.T
    return rest(n, torch.cat([kernels(x, [white[12].reshape(5, 5) / 4]), x], 1))


@honest_torch("A retina: differences of Gaussians of red against green and blue against yellow, and of the light.",
              idea="stems", opset=13, trained=3)  # fmt: skip
def retina_opponent_centres(n: Net, x: T) -> T:
    r, c = np.mgrid[-4:5, -4:5].astype(float)
    centre, around = (np.exp(-(r * r + c * c) / (2 * s * s)) for s in (0.8, 2.4))
    centre, around = centre / centre.sum(), around / around.sum()
    y = mixed(x, [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0], [0.33, 0.33, 0.34]])
    a, b = kernels(y, [centre]), kernels(y, [around])
    pairs = [(0, 1), (1, 0), (2, 3), (3, 2), (4, 4)]
    made = torch.cat([a[:, i : i + 1] - b[:, j : j + 1] for i, j in pairs], 1)
    return ir_rest(n, n.bn(torch.cat([F.relu(made), F.relu(-made)], 1)))


@honest_torch("Kirsch's eight compass masks on the grey image, the strongest answer and its softmax over directions.",
              idea="stems", opset=16, trained=3)  # fmt: skip
def kirsch_compass(n: Net, x: T) -> T:
    ring, spots = [5, 5, 5, -3, -3, -3, -3, -3], [(0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0)]
    bank = []
    for turn in range(8):
        k = np.zeros((3, 3))
        for i, spot in enumerate(spots):
            k[spot] = ring[(i - turn) % 8] / 15
        bank.append(k)
    y = kernels(x.mean(1, keepdim=True), bank)
    y = torch.cat([y.amax(1, keepdim=True), (8 * y).softmax(1), x], 1)
    return rest(n, F.avg_pool2d(y, 2))


@honest_torch("Frangi's ridges: eigenvalues of the Hessian of the grey image at one scale, beside the pixels.",
              idea="stems", opset=13)  # fmt: skip
def hessian_ridges(n: Net, x: T) -> T:
    r, c = np.mgrid[-4:5, -4:5].astype(float)
    g = np.exp(-(r * r + c * c) / 4.5)
    g /= g.sum()
    bank = [g * (r * r / 2.25 - 1), g * (c * c / 2.25 - 1), g * r * c / 2.25]
    rr, cc, rc = kernels(x.mean(1, keepdim=True), bank).split(1, 1)
    half, gap = (rr + cc) / 2, (((rr - cc) / 2) ** 2 + rc * rc + 1e-5).sqrt()
    return ir_rest(n, n.bn(torch.cat([x, half + gap, half - gap], 1)))


@honest_torch("Wiener's local filter: each pixel moves to the local mean as far as the local variance is small.",
              idea="restoration", opset=12, trained=3)  # fmt: skip
def local_wiener_front(n: Net, x: T) -> T:
    p = F.pad(x, (2, 2, 2, 2), mode="reflect")
    mean = F.avg_pool2d(p, 5, 1)
    var = (F.avg_pool2d(p * p, 5, 1) - mean * mean).clamp(min=0)
    return ir_rest(n, mean + var / (var + 0.004) * (x - mean))


@honest_torch("A median of 3 x 3 pixels by a network of minima and maxima, as a filter against noise of sensors.",
              idea="restoration", opset=13)  # fmt: skip
def median_by_comparisons(n: Net, x: T) -> T:
    p = F.pad(x, (1, 1, 1, 1), mode="replicate")
    v = [p[:, :, i : i + 112, j : j + 112] for i in range(3) for j in range(3)]
    for i, j in ((1, 2), (4, 5), (7, 8), (0, 1), (3, 4), (6, 7), (1, 2), (4, 5), (7, 8), (0, 3), (5, 8), (4, 7), (3, 6),
                 (1, 4), (2, 5), (4, 7), (4, 2), (6, 4), (4, 2)):  # fmt: skip
        v[i], v[j] = torch.minimum(v[i], v[j]), torch.maximum(v[i], v[j])
    return rest(n, v[4])


@honest_torch("Richardson and Lucy: three rounds of sharpening against a stored blur, then an iResNet.",
              idea="restoration", opset=11)  # fmt: skip
def richardson_lucy_front(n: Net, x: T) -> T:
    g = np.exp(-(np.mgrid[-2:3, -2:3] ** 2).sum(0) / 2.0)
    bank = [g / g.sum()]
    seen = share(x) + 0.05
    y = seen
    for _ in range(3):
        y = y * kernels(seen / (kernels(y, bank) + 0.02), bank)
    return ir_rest(n, y.clamp(0, 2) - 0.5)


@honest_torch("Chambolle: total variation made smaller by four steps of dual projections, unrolled, learned weight.",
              idea="restoration", opset=13)  # fmt: skip
def total_variation_steps(n: Net, x: T) -> T:
    strength = 0.1 + 0.05 * torch.sigmoid(n.weight(1))
    pr, pc = torch.zeros_like(x), torch.zeros_like(x)
    for _ in range(4):
        div = pr - F.pad(pr, (0, 0, 1, 0))[:, :, :-1] + pc - F.pad(pc, (1, 0))[:, :, :, :-1]
        y = div - x / strength
        gr = F.pad(y[:, :, 1:] - y[:, :, :-1], (0, 0, 0, 1))
        gc = F.pad(y[:, :, :, 1:] - y[:, :, :, :-1], (0, 1))
        size = 1 + 0.12 * (gr * gr + gc * gc + 1e-6).sqrt()
        pr, pc = (pr + 0.12 * gr) / size, (pc + 0.12 * gc) / size
    div = pr - F.pad(pr, (0, 0, 1, 0))[:, :, :-1] + pc - F.pad(pc, (1, 0))[:, :, :, :-1]
    return ir_rest(n, x - strength * div)


@honest_torch("A learned image, a bias for each pixel and colour, is added to the image before the first layer.",
              idea="stems", opset=12, trained=4)  # fmt: skip
def learned_image_added(n: Net, x: T) -> T:
    return rest(n, x + n.weight(1, 3, 112, 112, gain=2.0))


@honest_torch("Patches of 4 x 4 pixels read by a two-layer perceptron with a shortcut, in place of one linear layer.",
              idea="stems", opset=17)  # fmt: skip
def perceptron_of_patches(n: Net, x: T) -> T:
    y = F.pixel_unshuffle(x, 4)
    y = n.conv(y, 24, 1) + n.conv(F.gelu(n.ln2d(n.conv(y, 48, 1))), 24, 1)
    return rest(n, n.res(n.bn(y)), 256)
