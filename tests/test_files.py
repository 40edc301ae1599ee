"""Files of numbers, pictures and sounds: shown as a viewer shows them, and refused in one line
where
  they cannot be.
"""

import io
import struct
import time
import zipfile
import zlib

import jax
import numpy as np
import pytest
import soundfile
from marks import slow_but
from PIL import Image
from refusals import assert_refused

import sample
import zoo
from sample.media.image_files import read_images
from train.data import Data
from train.kinds import load
from zoo.formats.arrays import cast, check_size, map_array, read_arrays
from zoo.formats.pictures import read_picture

GREY = np.arange(30, dtype=np.uint8).reshape(5, 6) * 8
COLOURS = np.stack([GREY, GREY + 1, GREY + 2], axis=-1)
L, RGB = Image.fromarray(GREY), Image.fromarray(COLOURS)
SIXTEEN = Image.fromarray(GREY.astype(np.uint16) * 257)


def saved(folder, image, suffix="png", **options):
    path = folder / f"a.{suffix}"
    image.save(path, **options)
    return path


def opaque(image):
    image = image.copy()
    image.putalpha(255)
    return image


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tiff", "webp"])
def test_pictures_are_turned_as_exif_says(orientation, suffix, tmp_path):
    turned = {
        2: np.fliplr,
        3: lambda x: np.rot90(x, 2),
        4: np.flipud,
        5: lambda x: x.swapaxes(0, 1),
    }
    turned |= {
        6: lambda x: np.rot90(x, -1),
        7: lambda x: np.rot90(x, 2).swapaxes(0, 1),
        8: np.rot90,
    }
    exif = Image.Exif()
    exif[0x112] = orientation
    options = {"lossless": True} if suffix == "webp" else {}
    mode, pixels = read_picture(saved(tmp_path, RGB, suffix, exif=exif, **options))
    assert mode == "RGB" and (pixels == turned.get(orientation, lambda x: x)(COLOURS)).all()


@pytest.mark.parametrize(
    ("image", "suffix", "options", "mode", "pixels"),
    [
        (L, "png", {"transparency": 9}, "L", GREY),
        (RGB, "png", {"transparency": (8, 9, 11)}, "RGB", COLOURS),
        (L.convert("P"), "png", {"transparency": 9}, "L", GREY),
        (L.convert("P"), "png", {}, "L", GREY),
        (L, "gif", {}, "L", GREY),
        (RGB.quantize(30), "png", {}, "RGB", np.asarray(RGB.quantize(30).convert("RGB"))),
        (RGB.quantize(30), "gif", {}, "RGB", np.asarray(RGB.quantize(30).convert("RGB"))),
        (opaque(L), "png", {}, "L", GREY),
        (opaque(RGB), "png", {}, "RGB", COLOURS),
        (SIXTEEN, "png", {}, "L", GREY),
        (SIXTEEN, "tiff", {}, "L", GREY),
        (SIXTEEN, "png", {"transparency": 9}, "L", GREY),
        (
            Image.fromarray(np.array([[0, 128, 129, 65535]], np.uint16)),
            "png",
            {},
            "L",
            [[0, 0, 1, 255]],
        ),
        (Image.fromarray(GREY > 99), "png", {}, "1", GREY > 99),
        (RGB.convert("YCbCr"), "tiff", {}, "RGB", np.asarray(RGB.convert("YCbCr").convert("RGB"))),
        (RGB, "mpo", {"save_all": True, "append_images": [RGB], "quality": 100}, "RGB", None),
    ],
)
def test_pictures_are_what_a_viewer_shows(image, suffix, options, mode, pixels, tmp_path):
    got, shown = read_picture(saved(tmp_path, image, suffix, **options))
    assert got == mode and shown.dtype == np.uint8 and (pixels is None or (shown == pixels).all())


FRAMES = {"save_all": True, "append_images": [L.transpose(Image.Transpose.ROTATE_180)]}


@pytest.mark.parametrize(
    ("image", "suffix", "options", "words"),
    [
        (L, "png", {"transparency": 8}, "mode L; .* transparent in places: put it on a background"),
        (RGB, "png", {"transparency": (8, 9, 10)}, "mode RGB; .* transparent"),
        (L.convert("P"), "png", {"transparency": 16}, "mode P; .* transparent"),
        (L.convert("P"), "png", {"transparency": bytes([255, 254])}, None),
        (L.convert("P"), "png", {"transparency": bytes([254])}, "mode P; .* transparent"),
        (Image.new("LA", (4, 4), (9, 254)), "png", {}, "mode LA; .* transparent"),
        (Image.new("RGBA", (4, 4), (9, 9, 9, 0)), "webp", {"lossless": True, "exact": True}, "mode RGBA; .* transparent"),
        (SIXTEEN, "png", {"transparency": 257 * 8}, "mode I;16; .* transparent"),
        (Image.fromarray(GREY > 99), "png", {"transparency": 255}, "mode 1; .* transparent"),
        (L, "gif", FRAMES, "several frames or pages"),
        (L, "png", FRAMES, "several frames or pages"),
        (L, "webp", FRAMES, "several frames or pages"),
        (L, "tiff", FRAMES, "several frames or pages"),
        (RGB.convert("CMYK"), "jpg", {}, "has the mode CMYK; expected 1 .bits., L"),
        (L.convert("F"), "tiff", {}, "has the mode F"),
        (L.convert("I"), "tiff", {}, "has the mode I;"),
    ],
)  # fmt: skip
def test_pictures_that_viewers_show_differently_are_refused(
    image, suffix, options, words, tmp_path
):
    path = saved(tmp_path, image, suffix, **options)
    if words is None:
        assert read_picture(path)[0] == "L", "the second colour of the palette is not there"
        return
    with pytest.raises(ValueError, match=f"a.{suffix} .*{words}") as caught:
        read_picture(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_transparent_greys_of_few_bits(bits, tmp_path):
    for hidden, there in ((0, False), (1, True)):
        row = b"\0\xff" if bits == 1 else b"\0\x55" if bits == 2 else b"\0\x11"
        (tmp_path / "a.png").write_bytes(png(8 // bits, 2, 2 * row, bits, hidden))
        if there:
            with pytest.raises(ValueError, match="transparent"):
                read_picture(tmp_path / "a.png")
        else:
            assert len(np.unique(read_picture(tmp_path / "a.png")[1])) == 1


def png(width, height, rows, bits=8, hidden=None):
    """A grey PNG of these rows, each behind a zero."""

    def chunk(name, content):
        return (
            struct.pack(">I", len(content))
            + name
            + content
            + struct.pack(">I", zlib.crc32(name + content))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0))
    alpha = b"" if hidden is None else chunk(b"tRNS", struct.pack(">H", hidden))
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + alpha
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [4097, 12_000, 30_000, 2**31 - 1])
def test_pictures_that_are_too_large_are_refused_by_their_header(size, tmp_path):
    (tmp_path / "a.png").write_bytes(png(size, size, b""))
    began = time.perf_counter()
    with pytest.raises(ValueError, match="a.png .*more than 16,777,216 pixels"):
        read_picture(tmp_path / "a.png")
    assert time.perf_counter() - began < 2
    assert_refused(Data("images", path=str(tmp_path)), "a.png", "16,777,216")


def test_damaged_pictures_end_in_one_line(tmp_path):
    whole = [
        saved(tmp_path, L, suffix).read_bytes()
        for suffix in ("png", "gif", "tiff", "bmp", "webp", "jpg")
    ]
    random = np.random.RandomState(0)
    for i in range(300):
        content = bytearray(whole[i % len(whole)])
        for place in random.randint(len(content), size=4):
            content[place] = random.randint(256)
        (tmp_path / "z.png").write_bytes(content)
        try:
            read_picture(tmp_path / "z.png")
        except ValueError as error:
            assert "z.png" in str(error) and "\n" not in str(error)


def header_of(shape):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    return file.getvalue()


@pytest.mark.parametrize(
    "shape", [(10**9, 28, 28), (2**62, 4), (2**63, 8), (10**30,), (-1, 4), (101,)]
)
def test_headers_that_lie_are_refused(shape, tmp_path):
    content = header_of(shape) + bytes(100)
    (tmp_path / "a.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("train.npy", content)
    assert_refused(
        Data("images", path=str(tmp_path / "a.npy")),
        "a.npy",
        "its header promises",
        "there are 100",
    )
    assert_refused(Data("images", path=str(tmp_path / "a.npz")), "a.npz", "its header promises")
    model = zoo.NADE((2, 2))
    with pytest.raises(ValueError, match="a.npy .*its header promises"):
        read_images(model, tmp_path / "a.npy")


def test_packed_arrays_are_measured_before_they_are_unpacked(tmp_path):
    archive = zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with archive, archive.open("train.npy", "w", force_zip64=True) as file:
        file.write(header_of((1200, 10**6)))
        for _ in range(300):
            file.write(bytes(4 * 10**6))
    assert (tmp_path / "a.npz").stat().st_size < 2e7
    began = time.perf_counter()
    assert_refused(
        Data("images", path=str(tmp_path / "a.npz")),
        "a.npz packs 1.1 GiB of `train.npy`",
        "100 times",
    )
    assert time.perf_counter() - began < 2
    with pytest.raises(ValueError, match="x takes 1,000,000.0 GiB .*a quarter of this machine's"):
        check_size(10**6 * 2**30, "x")


def test_arrays_of_all_kinds_are_read(tmp_path):
    x = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    for each in (x, np.asfortranarray(x), x.astype(">i4"), np.zeros((0, 3)), np.array(7)):
        np.save(tmp_path / "a.npy", each)
        got = read_arrays(tmp_path / "a.npy")["images"]
        assert got.dtype == each.dtype and (got == each).all()
    np.save(tmp_path / "a.npy", x)
    assert (map_array(tmp_path / "a.npy") == x).all()
    for pack in (np.savez, np.savez_compressed):
        pack(tmp_path / "a.npz", train=x, labels=np.arange(3))
        arrays = read_arrays(tmp_path / "a.npz")
        assert list(arrays) == ["train", "labels"] and (arrays["train"] == x).all()


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.int64])
def test_no_cast_changes_a_number(dtype):
    info = np.iinfo(dtype)
    ends = np.array([info.min, info.max], dtype)
    assert cast(ends, dtype, "x").dtype == dtype and (cast([0, 7], dtype, "x") == [0, 7]).all()
    for wrong in (info.min - 1, info.max + 1):
        array = (
            np.array([wrong], np.uint64 if wrong >= 2**63 else np.int64)
            if wrong >= -(2**63)
            else None
        )
        if array is not None:
            with pytest.raises(
                ValueError, match=f"x holds numbers from {wrong} to {wrong}; expected {info.min} to"
            ):
                cast(array, dtype, "x")
    with pytest.raises(ValueError, match="x holds float64; expected integers"):
        cast(np.zeros(2), dtype, "x")


def labelled(tmp_path, labels):
    x = np.random.RandomState(0).randint(0, 256, (len(labels), 3, 3)).astype(np.uint8)
    np.savez(tmp_path / "a.npz", x=x, labels=labels)
    return Data("images", path=str(tmp_path / "a.npz"))


@pytest.mark.parametrize("high", [2**32, 2**63, 2**31, 10**6])
def test_labels_are_never_wrapped(high, tmp_path):
    labels = np.array([0, high] * 10, np.uint64)
    assert_refused(
        labelled(tmp_path, labels), f"go up to {high}", "np.unique(labels, return_inverse=True)[1]"
    )


def test_classes_without_images_are_said(tmp_path):
    assert_refused(
        labelled(tmp_path, np.array([0, 4] * 10)),
        "0..4 name 5 classes, but only 2 occur; number the classes",
    )
    dataset = load(labelled(tmp_path, np.array([0, 1, 3] * 10)))
    assert dataset.num_classes == 4 and dataset.notes == ("1 of 4 classes have no images",)
    assert not load(labelled(tmp_path, np.arange(20))).notes


@pytest.mark.parametrize("value", [-1, 2, 256, 2**32, -(2**32)])
def test_values_that_cannot_be_are_no_images(value):
    with pytest.raises(ValueError, match=f"MADE has levels 0..1; got values from .*{value}"):
        sample.as_images(zoo.MADE((2, 2)), np.array([[[0, 1], [1, value]]]))


@pytest.mark.parametrize(
    "name", slow_but({"made", "nade_categorical"}, ["made", "nade_categorical", "pixel_cnn_pp"])
)
def test_under_jit_a_value_that_cannot_be_has_no_probability(name):
    model = zoo.CATALOGUE[name].tiny
    x, context = zoo.example(model, 2)
    x = np.array(x)
    variables = zoo.init(model, jax.random.key(0), x, context)
    log_prob = jax.jit(lambda x: zoo.log_prob(model, variables, x, context))
    assert np.isfinite(log_prob(x)).all()
    for value in (-1, model.head.num_values, 1000):
        wrong = x.copy()
        wrong[0].flat[3] = value
        assert np.isneginf(log_prob(wrong)[0]) and log_prob(wrong)[1] == log_prob(x)[1]


def test_under_jit_a_label_that_cannot_be_gives_no_number():
    model = zoo.CATALOGUE["gated_pixel_cnn"].tiny.clone(num_classes=3)
    x, labels = np.array(zoo.example(model, 2)[0]), np.array([0, 2])
    variables = zoo.init(model, jax.random.key(0), x, labels)
    log_prob = jax.jit(lambda labels: zoo.log_prob(model, variables, x, labels))
    assert np.isfinite(log_prob(labels)).all() and np.isnan(log_prob(np.array([3, -1]))).all()


WAVE = 0.5 * np.sin(np.arange(4000) / 5)


def test_floats_beyond_one_are_refused(tmp_path):
    for subtype in ("FLOAT", "DOUBLE"):
        soundfile.write(tmp_path / "a.wav", WAVE * 32767, 8000, subtype=subtype)
        with pytest.raises(
            ValueError,
            match=r"a.wav holds samples up to 16383.5; expected them in \[-1, 1\]: divide",
        ):
            zoo.read_wav(tmp_path / "a.wav", 8000)
        soundfile.write(tmp_path / "a.wav", WAVE, 8000, subtype=subtype)
        np.testing.assert_allclose(
            np.square(zoo.read_wav(tmp_path / "a.wav", 8000)).mean() ** 0.5, 0.354, atol=1e-3
        )


@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64"])
def test_sounds_that_are_cut_short_are_named(kind, tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, WAVE, 8000, format=kind, subtype="PCM_16")
    whole = path.read_bytes()
    assert len(zoo.read_wav(path, 8000)) == 4000
    path.write_bytes(whole + b"LIST\x04\0\0\0abcd")
    assert len(zoo.read_wav(path, 8000)) == 4000
    for missing in (1, 2, 777, 7999):
        path.write_bytes(whole[:-missing])
        with pytest.raises(
            ValueError, match=f"a.wav is cut short, its last {missing:,} bytes are missing"
        ):
            zoo.read_wav(path, 8000)


def test_sounds_written_into_a_pipe_have_no_length(tmp_path):
    soundfile.write(tmp_path / "a.wav", WAVE, 8000)
    whole = (tmp_path / "a.wav").read_bytes()
    place = whole.index(b"data") + 4
    (tmp_path / "a.wav").write_bytes(whole[:place] + b"\xff" * 4 + whole[place + 4 :])
    assert len(zoo.read_wav(tmp_path / "a.wav", 8000)) == 4000


@pytest.mark.parametrize("rate", [1, 99, 768_001, 2_147_483_629])
def test_rates_that_cannot_be_are_refused(rate, tmp_path):
    soundfile.write(tmp_path / "a.wav", WAVE, 8000)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[24:28] = struct.pack("<I", rate)
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(
        ValueError, match=f"a.wav has a rate of {rate:,} samples a second; expected 100 to 768,000"
    ):
        zoo.read_wav(tmp_path / "a.wav", 8000)


def test_recordings_cannot_be_filled_up_without_end(tmp_path):
    for seconds in (1e12, float("inf"), float("nan"), -1.0):
        assert_refused(
            Data("sounds", path=str(tmp_path), seconds=seconds), "--data.seconds must be 0, or"
        )
