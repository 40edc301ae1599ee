import functools
import gzip
import hashlib
import http.server
import io
import lzma
import tarfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from refusals import assert_refused

from train.data import Data, DataError, pack_mnist
from train.data.dataset import bernoulli, generator
from train.data.sources import standard
from train.data.sources.published_files import CIFAR_BATCHES, FILES, File
from train.kinds import load

ORIGINALS = Path(__file__).parents[2] / "shared" / "data"


def originals(name):
    if not (ORIGINALS / name).is_dir():
        pytest.skip(reason=f"needs the original files of {name} in {ORIGINALS / name}")
    return ORIGINALS / name


def fake_mnist(tmp_path):
    """Small files of MNIST's format, and their `FILES` entry at an address where nobody listens."""
    folder, files = tmp_path / "originals", []
    folder.mkdir()
    rng = generator(7)
    for part, n in (("train", 30), ("t10k", 10)):
        for kind, rank, array in (
            ("images", 3, rng.integers(256, size=(n, 28, 28), dtype=np.uint8)),
            ("labels", 1, rng.integers(10, size=n, dtype=np.uint8)),
        ):
            header = bytes([0, 0, 8, rank]) + np.array(array.shape, ">u4").tobytes()
            content, name = (
                gzip.compress(header + array.tobytes(), mtime=0),
                f"{part}-{kind}-idx{rank}-ubyte.gz",
            )
            (folder / name).write_bytes(content)
            files.append(
                File(
                    f"http://127.0.0.1:9/{name}", len(content), hashlib.sha256(content).hexdigest()
                )
            )
    return folder, tuple(files)


def test_mnist_1bit_is_what_the_script_packs():
    images, labels = pack_mnist.read(originals("mnist"))
    with np.load(pack_mnist.TARGET, allow_pickle=False) as packed:
        bits = np.unpackbits(packed["images"], axis=1).reshape(-1, 28, 28)
        np.testing.assert_array_equal(bits, bernoulli(generator(pack_mnist.SEED), images))
        np.testing.assert_array_equal(packed["labels"], labels)
    assert bits[images == 255].all() and not bits[images == 0].any()


def test_packing_is_reproducible(tmp_path):
    sources, _ = fake_mnist(tmp_path)
    first = pack_mnist.pack(*pack_mnist.read(sources))
    for file in sources.glob("*.gz"):  # raw, as in the npm package
        file.with_suffix("").write_bytes(gzip.decompress(file.read_bytes()))
        file.unlink()
    assert pack_mnist.pack(*pack_mnist.read(sources)) == first
    with pytest.raises(DataError, match="no train-images"):
        pack_mnist.read(tmp_path)


@pytest.fixture
def fake(tmp_path, monkeypatch):
    folder, files = fake_mnist(tmp_path)
    monkeypatch.setitem(FILES, "mnist", files)
    monkeypatch.setenv("no_proxy", "*")
    return folder


def choice(tmp_path, manual_dir=None, **kwargs):
    manual_dir = None if manual_dir is None else str(manual_dir)
    return Data("mnist", valid=5, data_dir=str(tmp_path / "data"), manual_dir=manual_dir, **kwargs)


def assert_nothing_prepared(tmp_path):
    assert not list((tmp_path / "data").rglob("*.array_record*"))
    assert not list((tmp_path / "data").rglob("1.0.0*"))


def test_prepared_from_files(fake, tmp_path, capfd):
    images, labels = pack_mnist.read(fake)
    (fake / "t10k-images-idx3-ubyte.gz.xz").write_bytes(
        lzma.compress((fake / "t10k-images-idx3-ubyte.gz").read_bytes())
    )
    (fake / "t10k-images-idx3-ubyte.gz").unlink()
    first = load(choice(tmp_path, fake))
    assert capfd.readouterr() == ("", "")
    for dataset in (first, load(choice(tmp_path))):  # the second without the files
        assert dataset.description == "MNIST, 256 levels, test split of 10"
        for split, part in (
            (dataset.train, np.s_[:25]),
            (dataset.valid, np.s_[25:30]),
            (dataset.test, np.s_[30:]),
        ):
            np.testing.assert_array_equal(split.x, images[part])
            np.testing.assert_array_equal(split.context, labels[part])
    assert load(choice(tmp_path, binarise="dynamic")).dynamic


def test_another_process_may_prepare_the_same_set_first(tmp_path):
    class Builder:
        data_path = tmp_path / "1.0.0"

        def __init__(self, other):
            self.other = other

        def download_and_prepare(self, **_):
            if self.other:
                self.data_path.mkdir()
            raise FileExistsError("the destination already exists")

    with pytest.raises(FileExistsError):
        standard._prepare(Builder(other=False), None)
    standard._prepare(Builder(other=True), None)


def test_no_network(fake, tmp_path):
    start = time.monotonic()
    assert_refused(
        choice(tmp_path),
        "http://127.0.0.1:9/train-images",
        "no network",
        "--data.manual-dir",
        "mnist_1bit",
    )
    assert time.monotonic() - start < 10
    assert_nothing_prepared(tmp_path)


def test_download(fake, tmp_path, monkeypatch, capfd):
    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=fake)
    )
    files = [
        file._replace(url=f"http://127.0.0.1:{server.server_port}/{file.name}")
        for file in FILES["mnist"]
    ]
    monkeypatch.setitem(FILES, "mnist", files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    good, labels = (fake / files[3].name).read_bytes(), fake / files[3].name
    try:
        labels.write_bytes(good[:-1])
        assert_refused(choice(tmp_path), files[3].url, "not the original", files[3].sha256)
        labels.unlink()
        assert_refused(choice(tmp_path), files[3].url, "404")
        assert_nothing_prepared(tmp_path)
        labels.write_bytes(good)
        capfd.readouterr()
        dataset = load(choice(tmp_path))
        assert capfd.readouterr() == (
            "",
            f"mnist: downloading {files[3].url}\n",
        )  # the others were kept
    finally:
        server.shutdown()
        server.server_close()
    np.testing.assert_array_equal(dataset.test.x, pack_mnist.read(fake)[0][30:])
    (tmp_path / "data" / "zoo_mnist").rename(tmp_path / "away")
    np.testing.assert_array_equal(
        load(choice(tmp_path)).train.x, dataset.train.x
    )  # from the kept downloads


def test_corrupt_file(fake, tmp_path):
    file = fake / "t10k-labels-idx1-ubyte.gz"
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    assert_refused(
        choice(tmp_path, fake), str(file), hashlib.sha256(content).hexdigest(), "fetch it again"
    )
    file.unlink()
    assert_refused(
        choice(tmp_path, fake), "neither t10k-labels-idx1-ubyte.gz nor t10k-labels-idx1-ubyte.gz.xz"
    )
    file.with_name(file.name + ".xz").write_bytes(lzma.compress(content)[:-20])
    assert_refused(choice(tmp_path, fake), "not a whole .xz")
    assert_refused(choice(tmp_path, fake / "absent"), "absent is not a folder")
    assert_nothing_prepared(tmp_path)


def test_nothing_half_written(fake, tmp_path, monkeypatch):
    from train.data.sources import tfds_builders

    def interrupted(self, images, labels):
        yield 0, {"image": images[0], "label": labels[0]}
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tfds_builders.ZooMnist, "_generate_examples", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load(choice(tmp_path, fake))
    assert_nothing_prepared(tmp_path)
    assert len(load(choice(tmp_path, fake)).train.x) == 25


def test_cifar10_needs_its_test_batch(tmp_path):
    (tmp_path / "data_batch_1.bin").touch()
    assert_refused(
        Data("cifar10", data_dir=str(tmp_path), manual_dir=str(tmp_path)), "needs test_batch.bin"
    )


def test_cifar10_archive(tmp_path, monkeypatch):
    records = generator(0).integers(10, size=(6, 2, 3073), dtype=np.uint8)
    with tarfile.open(tmp_path / "cifar-10-binary.tar.gz", "w:gz") as archive:
        for name, batch in zip(CIFAR_BATCHES, records, strict=True):
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = batch.nbytes
            archive.addfile(member, io.BytesIO(batch.tobytes()))
    content = (tmp_path / "cifar-10-binary.tar.gz").read_bytes()
    file = FILES["cifar10"][0]._replace(
        size=len(content), sha256=hashlib.sha256(content).hexdigest()
    )
    monkeypatch.setitem(FILES, "cifar10", (file,))
    dataset = load(
        Data("cifar10", valid=2, data_dir=str(tmp_path / "data"), manual_dir=str(tmp_path))
    )
    assert dataset.description == "CIFAR-10, 256 levels, test split of 2"
    planes = records[:, :, 1:].reshape(12, 3, 32, 32)
    np.testing.assert_array_equal(dataset.train.x.transpose(0, 3, 1, 2), planes[:8])
    np.testing.assert_array_equal(dataset.test.x.transpose(0, 3, 1, 2), planes[10:])
    np.testing.assert_array_equal(dataset.valid.context, records[4, :, 0])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_original_idx_sets(name, tmp_path):
    images, labels = pack_mnist.read(originals(name))
    dataset = load(Data(name, data_dir=str(tmp_path), manual_dir=str(originals(name))))
    np.testing.assert_array_equal(
        np.concatenate([dataset.train.x, dataset.valid.x, dataset.test.x]), images
    )
    np.testing.assert_array_equal(
        np.concatenate([dataset.train.context, dataset.valid.context]), labels[:60000]
    )
    assert dataset.num_levels == 256 and dataset.num_classes == 10


@pytest.mark.slow
def test_original_binarized_mnist(tmp_path):
    dataset = load(
        Data(
            "binarized_mnist", data_dir=str(tmp_path), manual_dir=str(originals("binarized_mnist"))
        )
    )
    assert (
        dataset.description
        == "binarized MNIST (Larochelle's fixed binarisation), test split of 10,000"
    )
    assert [s.x.shape for s in (dataset.train, dataset.valid, dataset.test)] == [
        (n, 28, 28) for n in (50000, 10000, 10000)
    ]
    with lzma.open(originals("binarized_mnist") / "binarized_mnist_test.amat.xz", "rt") as lines:
        np.testing.assert_array_equal(
            np.loadtxt(lines, np.uint8, max_rows=100), dataset.test.x[:100].reshape(100, -1)
        )
    assert dataset.num_levels == 2 and dataset.train.x.max() == 1 and dataset.train.context is None


@pytest.mark.slow
def test_original_cifar10(tmp_path):
    folder = originals("cifar10")
    dataset = load(Data("cifar10", data_dir=str(tmp_path), manual_dir=str(folder)))
    assert (
        dataset.description
        == "CIFAR-10 (training batches 1 of 5), 256 levels, test split of 10,000"
    )
    assert dataset.train.x.shape == (5000, 32, 32, 3)
    record = lzma.decompress((folder / "test_batch.bin.xz").read_bytes())[:3073]
    assert dataset.test.context[0] == record[0]
    assert dataset.test.x[0, 2, 5].tolist() == [record[1 + 1024 * c + 2 * 32 + 5] for c in range(3)]
