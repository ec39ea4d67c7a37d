"""Honest: what networks do with the pixels before their first ordinary layer, once and for one image."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, tokens
from evaluation.blind4.register import honest_torch


def rest(n: Net, x: T) -> T:
    """An ordinary network behind a stem: [N, C, 112, 112] or [N, C, 56, 56] to the embedding."""
    for width in (12, 16, 24, 32) if x.shape[2] == 112 else (16, 24, 32):
        x = n.cbr(x, width, 3, 2)
    return n.embed(x)


@honest_torch(
    "A lossless Haar stem by slices: four bands of one image at half size, each pixel used once.", idea="wavelet stem"
)
def haar_stem_slices(n: Net, x: T) -> T:
    a, b, c, d = x[:, :, ::2, ::2], x[:, :, ::2, 1::2], x[:, :, 1::2, ::2], x[:, :, 1::2, 1::2]
    return rest(n, torch.cat([a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d], 1) / 2)


@honest_torch(
    "A two-level Daubechies-like stem as a strided grouped convolution with fixed filters.", idea="wavelet stem"
)
def wavelet_stem_grouped(n: Net, x: T) -> T:
    low = torch.tensor([0.483, 0.8365, 0.2241, -0.1294])
    high = torch.tensor([-0.1294, -0.2241, 0.8365, -0.483])
    bank = torch.stack([torch.outer(p, q) for p in (low, high) for q in (low, high)])[:, None].repeat(3, 1, 1, 1)
    return rest(n, F.conv2d(x, bank, stride=2, padding=1, groups=3))


@honest_torch(
    "A wavelet packet by two orthogonal matrices, rows and columns; nothing depends on the image.", idea="wavelet stem"
)
def haar_stem_matrices(n: Net, x: T) -> T:
    half = torch.eye(56).repeat_interleave(2, 1) / 2**0.5
    sign = torch.tensor([1.0, -1.0]).repeat(56)
    m = torch.cat([half, half * sign])
    y = m @ x @ m.T
    bands = torch.cat([y[..., :56, :56], y[..., :56, 56:], y[..., 56:, :56], y[..., 56:, 56:]], 1)
    return rest(n, bands)


@honest_torch(
    "A lifting scheme: predict and update with learned filters between even and odd rows, invertible.",
    idea="wavelet stem",
)
def lifting_stem(n: Net, x: T) -> T:
    even, odd = x[:, :, ::2], x[:, :, 1::2]
    odd = odd - n.conv(even, 3, (3, 1))
    even = even + n.conv(odd, 3, (3, 1))
    return rest(n, n.cbr(torch.cat([even, odd], 1), 8, 3, (1, 2)))


@honest_torch(
    "The block cosine transform of JPEG as an 8x8 strided convolution, bands as channels.", idea="frequency stem"
)
def jpeg_cosine_stem(n: Net, x: T) -> T:
    k = torch.arange(8).float()
    c = torch.cos(3.14159265 / 8 * (k[None] + 0.5) * k[:, None]) / 2
    bank = torch.einsum("ui,vj->uvij", c, c).reshape(64, 1, 8, 8).repeat(3, 1, 1, 1)
    x = n.cbr(F.conv2d(x, bank, stride=8, groups=3), 32, 1)
    return n.embed(n.down(x, 32))


@honest_torch(
    "A fixed low-pass in a Fourier domain by matrices: separable, the same for every image.", idea="frequency stem"
)
def fourier_low_pass_stem(n: Net, x: T) -> T:
    k = torch.arange(112).float()
    angle = 6.2831853 * torch.outer(k, k) / 112
    keep = ((k < 30) | (k > 82)).float()
    m = (angle.cos() * keep) @ angle.cos() / 112 + (angle.sin() * keep) @ angle.sin() / 112
    return rest(n, m @ x @ m.T)


@honest_torch("Gabor filters of eight turns as a fixed first layer, their energies added.", idea="fixed filters")
def gabor_energy_stem(n: Net, x: T) -> T:
    v, u = torch.meshgrid(torch.arange(-4, 5).float(), torch.arange(-4, 5).float(), indexing="ij")
    bank = []
    for i in range(8):
        t = torch.tensor(i * 3.14159 / 8)
        along = u * t.cos() + v * t.sin()
        envelope = torch.exp(-(u * u + v * v) / 9)
        bank += [envelope * torch.cos(1.5 * along), envelope * torch.sin(1.5 * along)]
    y = F.conv2d(x.mean(1, keepdim=True), torch.stack(bank)[:, None], stride=2, padding=4)
    return rest(n, (y[:, ::2] ** 2 + y[:, 1::2] ** 2 + 1e-4).sqrt())


@honest_torch(
    "Sobel gradients beside the image in the first layer's input: edges of the same pixels.", idea="fixed filters"
)
def sobel_beside_the_image(n: Net, x: T) -> T:
    k = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    edges = F.conv2d(x.mean(1, keepdim=True), torch.stack([k, k.T])[:, None] / 4, padding=1)
    return rest(n, torch.cat([x, edges], 1))


@honest_torch(
    "Local binary patterns made soft: signs of differences to the neighbours as channels.", idea="fixed filters"
)
def soft_binary_patterns(n: Net, x: T) -> T:
    bank = -F.one_hot(torch.full((8,), 4), 9).float()
    bank = bank + F.one_hot(torch.tensor([0, 1, 2, 3, 5, 6, 7, 8]), 9).float()
    y = torch.sigmoid(8 * F.conv2d(x.mean(1, keepdim=True), bank.reshape(8, 1, 3, 3), padding=1))
    return rest(n, y)


@honest_torch(
    "Zero-DCE: a curve for each pixel, x + a(x)(x - x²), four times, before an ordinary network.", idea="enhancement"
)
def zero_dce_front(n: Net, x: T) -> T:
    curves = torch.tanh(n.conv(F.relu(n.conv(x, 8)), 12))
    for a in curves.chunk(4, 1):
        x = x + 0.3 * a * (x * x - x)
    return rest(n, x)


@honest_torch(
    "DnCNN: the noise is predicted and taken off, trained with the rest; the image is looked at once.",
    idea="enhancement",
    trained=4,
)
def dncnn_denoiser(n: Net, x: T) -> T:
    y = F.relu(n.conv(x, 8))
    return rest(n, x - 0.2 * n.conv(n.cbr(y, 8), 3))


@honest_torch("A spatial gate on the pixels, made of the pixels.", idea="enhancement")
def spatial_gate_on_pixels(n: Net, x: T) -> T:
    return rest(n, x * torch.sigmoid(n.conv(F.relu(n.conv(x, 6, 5)), 1)))


@honest_torch("An oval window of fixed weights on the image, as hats and hair are to be left out.", idea="enhancement")
def fixed_oval_window(n: Net, x: T) -> T:
    r, c = torch.meshgrid(torch.linspace(-1, 1, 112), torch.linspace(-1, 1, 112), indexing="ij")
    return rest(n, x * torch.sigmoid(8 * (1 - (r / 1.1) ** 2 - (c / 0.9) ** 2)))


@honest_torch("Each image standardised by its own mean and deviation.", idea="standardised")
def standardised_by_itself(n: Net, x: T) -> T:
    mean = x.mean((1, 2, 3), keepdim=True)
    spread = ((x - mean) ** 2).mean((1, 2, 3), keepdim=True).sqrt()
    return rest(n, (x - mean) / (spread + 1e-3))


@honest_torch("Local contrast normalisation in a fixed Gaussian window.", idea="standardised")
def local_contrast(n: Net, x: T) -> T:
    g = torch.exp(-(torch.arange(-4, 5).float() ** 2) / 8)
    window = (torch.outer(g, g) / g.sum() ** 2).expand(3, 1, 9, 9)
    centred = x - F.conv2d(x, window, padding=4, groups=3)
    return rest(n, centred / (F.conv2d(centred**2, window, padding=4, groups=3) + 0.02).sqrt())


@honest_torch("ImageNet's mean and deviation inside the graph, for pixels that come as -1 to 1.", idea="standardised")
def imagenet_statistics(n: Net, x: T) -> T:
    mean = torch.tensor([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1)
    return rest(n, (x * 0.5 + 0.5 - mean) / torch.tensor([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1))


@honest_torch(
    "A Laplacian pyramid: three bands of one image, each read by layers of its own; their sum is the image.",
    idea="bands",
)
def laplacian_pyramid_bands(n: Net, x: T) -> T:
    small = F.avg_pool2d(x, 2)
    smaller = F.avg_pool2d(small, 2)
    fine = x - F.interpolate(small, scale_factor=2, mode="bilinear", align_corners=False)
    middle = small - F.interpolate(smaller, scale_factor=2, mode="bilinear", align_corners=False)
    a = n.cbr(n.cbr(fine, 8, 3, 2), 12, 3, 2)
    y = torch.cat([a, n.cbr(middle, 8, 3, 2), n.cbr(smaller, 8)], 1)
    return n.embed(n.down(n.down(y, 24), 32))


@honest_torch("Retinex: reflectance as the log of the image less a blurred log, read once.", idea="bands")
def retinex_front(n: Net, x: T) -> T:
    logs = torch.log(x * 0.5 + 0.55)
    return rest(n, logs - F.avg_pool2d(logs, 15, 1, 7, count_include_pad=False))


@honest_torch("Hue, saturation and value in place of red, green and blue, by maxima and minima.", idea="colours")
def hsv_planes(n: Net, x: T) -> T:
    v, low = x.amax(1, keepdim=True), x.amin(1, keepdim=True)
    chroma = v - low
    r, g, b = x.chunk(3, 1)
    return rest(n, torch.cat([(g - b) / (chroma + 0.1), (b - r) / (chroma + 0.1), chroma, v], 1))


@honest_torch("YCbCr with luma at full size and chroma at half size, as video has it.", idea="colours")
def luma_and_half_chroma(n: Net, x: T) -> T:
    m = torch.tensor([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]])
    y = F.conv2d(x, m[..., None, None])
    luma = n.cbr(y[:, :1], 12, 3, 2)
    return rest(n, torch.cat([luma, F.avg_pool2d(y[:, 1:], 2)], 1))


@honest_torch(
    "CReLU of the pixels: positive and negative parts as six planes, which together are the image.", idea="colours"
)
def crelu_of_pixels(n: Net, x: T) -> T:
    return rest(n, torch.cat([F.relu(x), F.relu(-x)], 1))


@honest_torch("Log planes of the three colours.", idea="colours")
def log_planes(n: Net, x: T) -> T:
    return rest(n, torch.log1p(4 * (x * 0.5 + 0.5).clamp(min=0)))


@honest_torch("A grey network: one plane of luma and nothing else, as for near infrared.", idea="colours")
def grey_network(n: Net, x: T) -> T:
    return rest(n, F.conv2d(x, torch.tensor([0.299, 0.587, 0.114]).reshape(1, 3, 1, 1)))


@honest_torch("Space to depth by 2: every pixel used once, four places as channels.", idea="folded pixels")
def pixel_unshuffle_first(n: Net, x: T) -> T:
    return rest(n, n.cbr(F.pixel_unshuffle(x, 2), 12))


@honest_torch(
    "YOLOX's focus stem by four strided slices, then a convolution that reads all four.", idea="folded pixels"
)
def focus_first(n: Net, x: T) -> T:
    parts = [x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]]
    return rest(n, n.cbr(torch.cat(parts, 1), 16))


@honest_torch("CoordConv: rows and columns as two more planes.", idea="coordinates")
def coordconv(n: Net, x: T) -> T:
    r, c = torch.meshgrid(torch.linspace(-1, 1, 112), torch.linspace(-1, 1, 112), indexing="ij")
    return rest(n, torch.cat([x, torch.stack([r, c])[None].expand(x.shape[0], -1, -1, -1)], 1))


@honest_torch("Blur pool: anti-aliased strides from the first layer on.", idea="anti-aliasing")
def blurpool_everywhere(n: Net, x: T) -> T:
    g = torch.tensor([1.0, 2, 1])
    for width in (12, 16, 24, 32):
        x = n.cbr(x, width)
        x = F.conv2d(
            F.pad(x, (1, 1, 1, 1), mode="reflect"),
            (torch.outer(g, g) / 16).expand(width, 1, 3, 3),
            None,
            2,
            0,
            1,
            width,
        )
    return n.embed(x)


@honest_torch("Convolution with reflected borders in the first layers, no border of zeros.", idea="borders")
def reflected_borders(n: Net, x: T) -> T:
    for width in (12, 16, 24, 32):
        x = F.relu(n.bn(n.conv(F.pad(x, (1, 1, 1, 1), mode="reflect"), width, 3, 2, padding=0)))
    return n.embed(x)


@honest_torch(
    "Random erasing taught the network, the graph has only a learned embedding of masked skin colours.", idea="masks"
)
def mask_likelihood_plane(n: Net, x: T) -> T:
    likely = torch.sigmoid(n.conv(F.relu(n.conv(x, 8, 1)), 1, 1))
    return rest(n, torch.cat([x, likely], 1))


@honest_torch("A skin histogram: soft bins of colour, pooled, scale the channels of the features.", idea="colours")
def soft_histogram_film(n: Net, x: T) -> T:
    bins = torch.linspace(-1, 1, 6).reshape(1, 1, 6, 1, 1)
    share = torch.exp(-((x[:, :, None] - bins) ** 2) / 0.1).mean((3, 4)).flatten(1)
    y = n.stem(x)
    y = y * (1 + n.linear(share, 16)[..., None, None])
    return n.embed(n.down(n.down(y, 24), 32))


@honest_torch("ViT behind four small convolutions, as transformers are trained more stably.", idea="convolutional stem")
def early_convolutions_vit(n: Net, x: T) -> T:
    for width in (8, 16, 24, 32):
        x = n.cbr(x, width, 3, 2)
    t = tokens(n.conv(x, 32, 1)) + n.weight(1, 49, 32)
    return n.embed(n.ln(grid(n.block(t), 7, 7).permute(0, 2, 3, 1)))
