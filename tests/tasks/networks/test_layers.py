"""Layers that compute alike alone and in company, and masks that are a function of integers."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from hpbench.errors import UsageError
from hpbench.tasks.networks import layers
from hpbench.tasks.networks.layers import ACTIVATIONS, Activation, Dropout, mix32
from hpbench.tasks.networks.maps import Convolution, MaxPool

INT32 = st.integers(-(2**31), 2**31 - 1)

PLAIN = {
    "relu": functional.relu,
    "tanh": torch.tanh,
    "gelu": lambda inputs: functional.gelu(inputs, approximate="tanh"),
    "silu": functional.silu,
}


@pytest.fixture(autouse=True)
def own_generator() -> Iterator[None]:
    """Fresh modules draw their weights from the global generator; give it a seed and put it back."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def numbers(*shape: int, seed: int = 0) -> Tensor:
    """Return normal numbers from a generator of their own."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def int32(*values: int) -> Tensor:
    """Return an int32 tensor."""
    return torch.tensor(values, dtype=torch.int32)


def dropping(rate: float, *, seed: int = 1, per_channel: bool = False) -> Dropout:
    """Return a dropout layer in training mode whose step has a seed."""
    layer = Dropout(rate, per_channel=per_channel)
    layer.seed = mix32(int32(seed))[0]
    return layer.train()


def mask(layer: Dropout, *shape: int) -> Tensor:
    """Return where ``layer`` keeps an input of ``shape``."""
    return layer(torch.ones(shape)) != 0


# mix32


def lowbias32(state: int) -> int:
    """Ellis's hash in plain unsigned arithmetic, as published."""
    state ^= state >> 16
    state = state * 0x7FEB352D % 2**32
    state ^= state >> 15
    state = state * 0x846CA68B % 2**32
    return state ^ (state >> 16)


def test_mix32_has_golden_values() -> None:
    found = mix32(int32(0, 1, 2, 3, -1, 2**31 - 1, -(2**31), 123456789))
    assert found.tolist() == [
        0,
        1753845952,
        -787275391,
        1408362973,
        1734902346,
        -1926627400,
        -867483356,
        -1460544632,
    ]


@given(st.lists(INT32, min_size=1, max_size=50))
def test_mix32_is_the_published_hash(states: list[int]) -> None:
    expected = [lowbias32(state % 2**32) for state in states]
    assert [value % 2**32 for value in mix32(int32(*states)).tolist()] == expected


def test_mix32_is_a_bijection_on_a_stretch_and_keeps_type_and_shape() -> None:
    states = torch.arange(-50_000, 50_000, dtype=torch.int32)
    assert len(mix32(states).unique()) == len(states)
    assert mix32(states.reshape(100, 10, 100)).shape == (100, 10, 100)
    assert mix32(states).dtype == torch.int32


def test_mix32_flips_half_of_the_bits_if_one_is_flipped() -> None:
    states = torch.arange(4000, dtype=torch.int32) * 7919
    places = torch.arange(32)
    for bit in range(31):
        changed = (mix32(states) ^ mix32(states ^ (1 << bit))).to(torch.int64)
        share = ((changed[:, None] >> places) & 1).to(torch.float64).mean(dim=0)
        assert bool(((share - 0.5).abs() < 0.06).all()), f"bit {bit}"


# dropout


def test_a_mask_has_golden_values() -> None:
    expected = [
        "011101111100100101111001",
        "001001001000011011111010",
        "000100101000111010111111",
        "101111010001000010111110",
    ]
    assert ["".join(map(str, row)) for row in mask(dropping(0.5), 4, 24).int().tolist()] == expected


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.25, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1])
def test_the_expected_share_is_dropped(rate: float, seed: int) -> None:
    kept = mask(dropping(rate, seed=seed), 128, 256)
    deviation = (rate * (1 - rate) / kept.numel()) ** 0.5
    assert abs((1 - rate) - kept.float().mean().item()) < 4.5 * deviation
    for axis in (0, 1):
        share = kept.float().mean(dim=axis)
        spread = (rate * (1 - rate) / kept.shape[axis]) ** 0.5
        assert share.std().item() == pytest.approx(spread, rel=0.25)


def correlation(one: Tensor, other: Tensor) -> float:
    """Return the correlation of two masks."""
    pair = torch.stack([one.flatten().double(), other.flatten().double()])
    return abs(float(torch.corrcoef(pair)[0, 1]))


def test_rows_units_and_steps_are_independent() -> None:
    kept = mask(dropping(0.5), 128, 128)
    bound = 4.5 / kept.numel() ** 0.5
    for shift in (1, 2, 3, 16, 64):
        assert correlation(kept, kept.roll(shift, dims=0)) < bound
        assert correlation(kept, kept.roll(shift, dims=1)) < bound
        assert correlation(kept, kept.roll((shift, shift), dims=(0, 1))) < bound
    assert correlation(kept, kept.T) < bound
    for seed in (2, 3, 4, 1000, -1):
        assert correlation(kept, mask(dropping(0.5, seed=seed), 128, 128)) < bound


def test_no_two_units_and_no_two_rows_have_one_mask() -> None:
    kept = mask(dropping(0.5), 128, 4096)
    assert len(kept.T.unique(dim=0)) == 4096
    assert len(kept.unique(dim=0)) == 128


def test_counters_of_a_layer_are_all_different() -> None:
    layer = dropping(0.5)
    layer.prepare((128, 4096), "cpu")
    assert len(layer.counters.unique()) == 128 * 4096


@settings(max_examples=20)
@given(
    st.integers(1, 20),
    st.integers(1, 40),
    st.integers(0, 30),
    st.integers(0, 10),
    st.sampled_from([0.2, 0.7]),
)
def test_a_unit_keeps_its_mask_when_the_layer_is_padded(
    rows: int, units: int, more_units: int, more_rows: int, rate: float
) -> None:
    padded = mask(dropping(rate), rows + more_rows, units + more_units)
    assert torch.equal(mask(dropping(rate), rows, units), padded[:rows, :units])


def test_a_channel_keeps_its_mask_when_the_layer_is_padded() -> None:
    small = mask(dropping(0.5, per_channel=True), 8, 5, 4, 4)
    assert torch.equal(small, mask(dropping(0.5, per_channel=True), 8, 12, 4, 4)[:, :5])


def test_a_channel_is_dropped_as_a_whole_and_independently_of_others() -> None:
    kept = mask(dropping(0.5, per_channel=True), 64, 32, 3, 3)
    assert torch.equal(kept, kept[:, :, :1, :1].expand_as(kept))
    channels = kept[:, :, 0, 0]
    assert abs(channels.float().mean().item() - 0.5) < 0.05
    assert torch.equal(channels, mask(dropping(0.5), 64, 32))


def test_elements_of_a_map_are_dropped_one_by_one_without_per_channel() -> None:
    kept = mask(dropping(0.5), 8, 4, 6, 6)
    assert correlation(kept[..., 1:], kept[..., :-1]) < 0.15
    assert correlation(kept[..., 1:, :], kept[..., :-1, :]) < 0.15


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 0.75])
def test_what_is_kept_is_scaled_and_the_rest_is_zero(rate: float) -> None:
    inputs = numbers(32, 16)
    layer = dropping(rate)
    found, kept = layer(inputs), mask(layer, 32, 16)
    assert torch.equal(found[~kept], torch.zeros(int((~kept).sum())))
    torch.testing.assert_close(found[kept], inputs[kept] / (1 - rate))


def test_dropout_keeps_the_mean() -> None:
    found = dropping(0.3)(torch.ones(256, 256))
    assert found.mean().item() == pytest.approx(1.0, abs=0.01)


def test_gradients_pass_where_inputs_pass() -> None:
    inputs = numbers(6, 7).requires_grad_()
    layer = dropping(0.5)
    layer(inputs).sum().backward()
    assert inputs.grad is not None
    assert torch.equal(inputs.grad, mask(layer, 6, 7) * 2.0)


def test_evaluation_drops_nothing() -> None:
    inputs = numbers(5, 5)
    assert torch.equal(dropping(0.9).eval()(inputs), inputs)


def test_a_higher_rate_drops_what_a_lower_one_drops_and_more() -> None:
    little, much = mask(dropping(0.2), 40, 40), mask(dropping(0.6), 40, 40)
    assert bool((little | ~much).all())
    assert int(little.sum()) > int(much.sum())


def test_a_rate_of_zero_in_a_lane_drops_nothing() -> None:
    layer = dropping(0.0)
    inputs = numbers(9, 4)
    assert layer(inputs) is inputs
    layer.per_lane = True
    layer.prepare((9, 4), "cpu")
    assert torch.equal(layer(inputs), inputs)


def test_a_lane_computes_the_mask_that_a_trial_alone_has() -> None:
    alone, lane = dropping(0.3), dropping(0.0)
    lane.per_lane = True
    lane.prepare((16, 8), "cpu")
    lane.rate = torch.tensor(0.3)
    inputs = numbers(16, 8)
    assert torch.equal(alone(inputs), lane(inputs))


def test_another_batch_size_is_laid_out_anew() -> None:
    layer = dropping(0.5)
    assert torch.equal(mask(layer, 16, 8)[:5], mask(layer, 5, 8))
    assert torch.equal(mask(layer, 20, 8), mask(dropping(0.5), 20, 8))


def test_dropout_has_no_parameters_and_adds_nothing_to_a_state() -> None:
    layer = dropping(0.5)
    layer(torch.ones(2, 3))
    assert not list(layer.parameters())
    assert not layer.state_dict()


def test_no_layer_asks_a_device_for_random_numbers() -> None:
    before = torch.get_rng_state()
    dropping(0.5)(torch.ones(8, 8))
    assert torch.equal(torch.get_rng_state(), before)
    source = inspect.getsource(layers)
    for word in ("functional.dropout", "nn.Dropout", "torch.rand", "bernoulli", "Generator("):
        assert word not in source


# activations


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
@pytest.mark.parametrize("per_lane", [False, True])
def test_every_activation_maps_zero_to_zero(name: str, per_lane: bool) -> None:  # noqa: FBT001 - parametrised
    layer = Activation(name)
    layer.per_lane = per_lane
    assert torch.equal(layer(torch.zeros(3)), torch.zeros(3))


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_the_form_with_coefficients_equals_the_plain_function(name: str) -> None:
    inputs = torch.cat([torch.linspace(-12, 12, 4001), torch.tensor([-1e4, -100.0, 100.0, 1e4])])
    layer = Activation(name)
    plain = layer(inputs)
    assert torch.equal(plain, PLAIN[name](inputs))
    layer.per_lane = True
    torch.testing.assert_close(layer(inputs), plain, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_both_forms_have_the_same_gradient(name: str) -> None:
    gradients = []
    for per_lane in (False, True):
        layer = Activation(name)
        layer.per_lane = per_lane
        inputs = torch.linspace(-5, 5, 400).requires_grad_()
        layer(inputs).sum().backward()
        gradients.append(inputs.grad)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-5, atol=2e-6)


def test_lanes_can_have_an_activation_each() -> None:
    names = sorted(ACTIVATIONS)
    layer = Activation("relu")
    layer.per_lane = True
    inputs = numbers(len(names), 50)
    rows = torch.tensor([ACTIVATIONS[name] for name in names])

    def lane(coefficients: Tensor, row: Tensor) -> Tensor:
        return torch.func.functional_call(layer, {"coefficients": coefficients}, (row,))

    found = torch.func.vmap(lane)(rows, inputs)
    expected = torch.stack([PLAIN[name](row) for name, row in zip(names, inputs, strict=True)])
    torch.testing.assert_close(found, expected, rtol=2e-6, atol=2e-6)


def test_an_unknown_activation_is_a_clear_error() -> None:
    with pytest.raises(
        UsageError, match=r"unknown activation 'gleu'\. Did you mean 'gelu'\? Known: gelu, relu"
    ):
        Activation("gleu")


def test_an_activation_adds_nothing_to_a_state() -> None:
    assert not Activation("gelu").state_dict()


# convolution and pooling


@pytest.mark.parametrize("shape", [(2, 1, 8, 8), (3, 4, 5, 7), (1, 2, 1, 1), (2, 3, 2, 9)])
def test_both_forms_of_convolution_equal_conv2d(shape: tuple[int, ...]) -> None:
    layer = Convolution(shape[1], 6)
    inputs = numbers(*shape)
    expected = functional.conv2d(inputs, layer.weight, layer.bias, padding=1)
    assert torch.equal(layer(inputs), expected)
    layer.per_lane = True
    assert layer(inputs).shape == expected.shape
    torch.testing.assert_close(layer(inputs), expected, rtol=1e-5, atol=1e-6)


def test_both_forms_of_convolution_have_the_same_gradients() -> None:
    layer = Convolution(3, 5)
    inputs = numbers(4, 3, 6, 6).requires_grad_()
    weights = numbers(4, 5, 6, 6, seed=1)
    found = []
    for per_lane in (False, True):
        layer.per_lane = per_lane
        parameters = [inputs, layer.weight, layer.bias]
        found.append(torch.autograd.grad((layer(inputs) * weights).sum(), parameters))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_a_convolution_starts_like_torchs_own() -> None:
    torch.manual_seed(5)
    ours = Convolution(3, 4)
    torch.manual_seed(5)
    plain = nn.Conv2d(3, 4, kernel_size=3, padding=1)
    assert torch.equal(ours.weight, plain.weight)
    assert torch.equal(ours.bias, plain.bias)  # type: ignore[arg-type]
    assert [name for name, _ in ours.named_parameters()] == ["weight", "bias"]


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (1, 1, 7, 5), (4, 2, 2, 3)])
def test_pooling_equals_torchs_own(shape: tuple[int, ...]) -> None:
    inputs = numbers(*shape)
    assert torch.equal(MaxPool()(inputs), functional.max_pool2d(inputs, 2))


def test_pooling_has_torchs_gradient_where_maxima_are_single_and_shares_it_where_they_are_not() -> None:
    inputs = numbers(2, 2, 6, 6).requires_grad_()
    (ours,) = torch.autograd.grad((MaxPool()(inputs) ** 2).sum(), [inputs])
    (plain,) = torch.autograd.grad((functional.max_pool2d(inputs, 2) ** 2).sum(), [inputs])
    assert torch.equal(ours, plain)
    equal = torch.ones(1, 1, 2, 2, requires_grad=True)
    MaxPool()(equal).sum().backward()
    assert equal.grad is not None
    assert torch.equal(equal.grad, torch.full((1, 1, 2, 2), 0.25))
