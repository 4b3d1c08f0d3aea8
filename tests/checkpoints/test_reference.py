"""The authors' network, against an equal one written here in torch."""

import numpy as np
import pytest

from kerasmi.checkpoints import reference
from kerasmi.errors import CheckpointError

torch = pytest.importorskip("torch", reason="torch is the second opinion")


def block(inputs, width, stride):
    """A basic block as its parts; `conv1` ... name them in the file."""
    from torch import nn

    made = nn.Module()
    made.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
    made.bn1 = nn.BatchNorm2d(width)
    made.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
    made.bn2 = nn.BatchNorm2d(width)
    if stride != 1:
        made.downsample = nn.Sequential(
            nn.Conv2d(inputs, width, 1, stride, bias=False),
            nn.BatchNorm2d(width),
        )
    return made


def through(one, x):
    y = torch.relu(one.bn1(one.conv1(x)))
    shortcut = one.downsample(x) if hasattr(one, "downsample") else x
    return torch.relu(one.bn2(one.conv2(y)) + shortcut)


def network(outputs=4):
    """Stem, six stages of two blocks, and `fc1`."""
    from torch import nn

    torch.manual_seed(0)
    made = nn.Module()
    made.conv1 = nn.Conv2d(1, 8, 3, 1, 1, bias=False)
    made.bn1 = nn.BatchNorm2d(8)
    inputs = 8
    for stage, width in enumerate((8, 16, 32, 64, 128, 192), start=1):
        blocks = nn.Sequential(block(inputs, width, 2), block(width, width, 1))
        setattr(made, f"layer{stage}", blocks)
        inputs = width
    made.fc1 = nn.Linear(768, outputs)
    for part in made.modules():
        if isinstance(part, nn.BatchNorm2d):
            # every constant of the normalisation must matter
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, std=0.2)
            nn.init.normal_(part.running_mean, std=0.2)
            nn.init.uniform_(part.running_var, 0.5, 1.5)
    return made.eval()


def features(net, images):
    """Local features, the 768 as the authors flatten them, and scores."""
    x = torch.tensor(images.transpose(0, 3, 1, 2))
    with torch.no_grad():
        x = torch.relu(net.bn1(net.conv1(x)))
        for stage in range(1, 6):
            for one in getattr(net, f"layer{stage}"):
                x = through(one, x)
        local = x
        for one in net.layer6:
            x = through(one, x)
        whole = torch.flatten(torch.nn.functional.avg_pool2d(x, 2), 1)
        scores = torch.softmax(net.fc1(whole), 1)
    return local.numpy(), whole.numpy(), scores.numpy()


@pytest.fixture(scope="module")
def net():
    return network()


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((2, 256, 256, 1), np.float32)


@pytest.fixture(scope="module")
def expected(net, images):
    return features(net, images)


@pytest.fixture
def joint(tmp_path, net):
    """A file of the joint model, the text model beside the image model."""
    state = {f"image_model.{k}": v for k, v in net.state_dict().items()}
    state["text_model.bert.pooler.dense.bias"] = torch.zeros(4)
    torch.save(
        state,
        tmp_path / "pytorch_model_epoch300.bin",
        _use_new_zipfile_serialization=False,
    )
    return tmp_path / "pytorch_model_epoch300.bin"


def test_local_features_are_the_released_ones(joint, images, expected):
    encoder = reference.read_image_encoder(joint, "local")
    found = np.asarray(encoder(images)).reshape(2, 8, 8, 128)
    theirs = expected[0].transpose(0, 2, 3, 1)
    assert np.abs(found - theirs).max() <= 1e-4 * np.abs(theirs).max()


def test_global_features_are_the_released_ones_in_our_order(
    joint, images, expected
):
    encoder = reference.read_image_encoder(joint)
    found = np.asarray(encoder(images))[:, 0]
    theirs = expected[1][:, reference.flatten_order()]
    assert np.abs(found - theirs).max() <= 1e-4 * np.abs(theirs).max()
    # and not in theirs
    assert np.abs(found - expected[1]).max() > 0.1 * np.abs(theirs).max()


def test_the_classifier_gives_the_released_probabilities(
    tmp_path, net, images, expected
):
    torch.save(net.state_dict(), tmp_path / "a.bin")
    model = reference.read_classifier(tmp_path / "a.bin", ("Edema Severity",))
    np.testing.assert_allclose(model(images), expected[2], atol=1e-5)
    with pytest.raises(CheckpointError, match=r"fc1.weight \(4, 768\)"):
        reference.read_classifier(tmp_path / "a.bin", ("Edema", "Pneumonia"))


def test_the_order_is_that_of_a_channel_first_flattening():
    grid = np.arange(24).reshape(2, 3, 4)  # rows, columns, channels
    theirs = grid.transpose(2, 0, 1).ravel()
    order = reference.flatten_order(2, 3, 4)
    np.testing.assert_array_equal(theirs[order], grid.ravel())


def test_wrong_and_missing_tensors_are_named(tmp_path, net):
    state = dict(net.state_dict())
    del state["layer3.1.bn2.running_var"]
    state["layer7.0.conv1.weight"] = torch.zeros(1)
    state["layer1.0.conv1.weight"] = torch.zeros(8, 8, 5, 5)
    torch.save(state, tmp_path / "a.bin")
    with pytest.raises(CheckpointError) as caught:
        reference.read_image_encoder(tmp_path / "a.bin")
    for part in (
        "layer1.0.conv1.weight is (8, 8, 5, 5) instead of (8, 8, 3, 3)",
        "layer3.1.bn2.running_var is missing",
        "layer7.0.conv1.weight is unexpected",
    ):
        assert part in str(caught.value)


def test_a_foreign_file_is_refused(tmp_path, joint):
    torch.save({"weight": torch.zeros(2)}, tmp_path / "a.bin")
    with pytest.raises(CheckpointError, match=r"no tensor\s+image_model.conv1"):
        reference.read_image_encoder(tmp_path / "a.bin")
    first = {"conv1.weight": torch.zeros(8, 1, 3, 3)}
    torch.save(first, tmp_path / "b.bin")
    with pytest.raises(CheckpointError, match="no classifier"):
        reference.read_classifier(tmp_path / "b.bin", ("Edema",))
