"""Preprocessed arrays: what nnU-Net writes is read to the bit, anything beyond plain numbers is refused."""

import io
import pickle
import struct
import zipfile
from pathlib import Path

import blosc2
import numpy as np
import pytest

from nnunetv2_hypersort.nnunet import plain_arrays
from nnunetv2_hypersort.nnunet.plain_arrays import read_b2nd, read_npy, read_npz

NOISE = np.random.default_rng(0).normal(size=(2, 20, 30, 31))
ARRAYS = {
    "image": NOISE.astype(np.float32),
    "doubles": NOISE,
    "halves": NOISE.astype(np.float16),
    "labels": (NOISE[:1] > 0).astype(np.int16) - 1,
    "zeros": np.zeros((1, 50, 60, 70), np.int8),
    "one value": np.full((1, 3, 4, 5), 7, np.float32),
    "one voxel": np.ones((1, 1, 1, 1), np.float32),
}
COMPRESSION = {
    "as nnU-Net": {"codec": blosc2.Codec.ZSTD, "clevel": 8, "filters": [blosc2.Filter.SHUFFLE]},
    "no filter": {"codec": blosc2.Codec.ZSTD, "filters": [blosc2.Filter.NOFILTER]},
    "bits": {"codec": blosc2.Codec.LZ4HC, "filters": [blosc2.Filter.BITSHUFFLE]},
    "zlib": {"codec": blosc2.Codec.ZLIB},
    "blosclz": {"codec": blosc2.Codec.BLOSCLZ},
    "stored": {"clevel": 0},
}


def write_b2nd(folder: Path, array: np.ndarray, **options) -> Path:
    blosc2.asarray(array, urlpath=str(folder / "x.b2nd"), **options)
    return folder / "x.b2nd"


def same(here: np.ndarray, there: np.ndarray) -> bool:
    return here.dtype == there.dtype and here.shape == there.shape and here.tobytes() == there.tobytes()


@pytest.mark.parametrize("compression", COMPRESSION)
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_are_read_to_the_bit(tmp_path, name, compression):
    array = ARRAYS[name]
    sides = {"chunks": (1, 10, 16, 16), "blocks": (1, 5, 8, 8)} if array.shape[1] >= 10 else {}
    path = write_b2nd(tmp_path, array, cparams=COMPRESSION[compression], **sides)
    assert same(read_b2nd(path), array)
    np.savez_compressed(tmp_path / "x.npz", data=array, seg=np.asfortranarray(array))
    assert same(read_npz(tmp_path / "x.npz", "data"), array)
    np.testing.assert_array_equal(read_npz(tmp_path / "x.npz", "seg"), array)
    np.save(tmp_path / "x.npy", array)
    assert same(read_npy(tmp_path / "x.npy"), array)


def test_metadata_beside_the_array_is_refused(tmp_path):
    # What Blosc2 keeps there makes `blosc2.open` follow files, addresses in the network, and expressions.
    for name in ("proxy-source", "LazyArray", "b2o", "anything"):
        (tmp_path / name).mkdir()
        path = write_b2nd(tmp_path / name, ARRAYS["image"], meta={name: {"urlpath": "/etc/passwd"}})
        with pytest.raises(ValueError, match="something else than a plain array"):
            read_b2nd(path)
    path = write_b2nd(tmp_path, ARRAYS["image"])
    array = blosc2.open(str(path), mode="a")
    array.schunk.vlmeta["expression"] = "1"
    with pytest.raises(ValueError, match="something else than a plain array"):
        read_b2nd(path)


def test_an_expression_is_refused(tmp_path):
    operand = write_b2nd(tmp_path, ARRAYS["image"])
    lazy = blosc2.lazyexpr("a + 1", {"a": blosc2.open(str(operand), mode="r")})
    lazy.save(urlpath=str(tmp_path / "lazy.b2nd"))
    with pytest.raises(ValueError, match="something else than a plain array"):
        read_b2nd(tmp_path / "lazy.b2nd")


def test_a_list_of_bytes_and_other_files_are_refused(tmp_path):
    blosc2.SChunk(data=bytes(1000), urlpath=str(tmp_path / "x.b2nd"))
    with pytest.raises(ValueError, match="something else than a plain array"):
        read_b2nd(tmp_path / "x.b2nd")
    for content in (b"", b"\x89PNG" * 100, pickle.dumps({}), bytes(1000)):
        (tmp_path / "y.b2nd").write_bytes(content)
        with pytest.raises(ValueError, match="no array of Blosc2, or cut short"):
            read_b2nd(tmp_path / "y.b2nd")


def test_objects_are_refused(tmp_path):
    # Their bytes would be taken for addresses in memory.
    path = write_b2nd(tmp_path, ARRAYS["doubles"])
    content = path.read_bytes()
    assert content.count(b"<f8") == 1
    path.write_bytes(content.replace(b"<f8", b"|O8"))
    with pytest.raises(ValueError, match="something else than numbers"):
        read_b2nd(path)
    for dtype in (b"|S8", b"<U2", b"|V8", b"<M8", b"<c8"):
        path.write_bytes(content.replace(b"<f8", dtype))
        with pytest.raises(ValueError, match="something else than numbers"):
            read_b2nd(path)
    objects = np.array([{}], object)
    np.save(tmp_path / "x.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "x.npz", data=objects)
    for use in (lambda: read_npy(tmp_path / "x.npy"), lambda: read_npz(tmp_path / "x.npz", "data")):
        with pytest.raises(ValueError, match="something else than numbers"):
            use()


def places_of_codecs(content: bytes) -> dict[str, int]:
    """Where a frame says which codec is needed: for all, for the first chunk, and for the table of the chunks."""
    header, compressed = struct.unpack_from(">i", content, 0x0B)[0], struct.unpack_from(">q", content, 0x27)[0]
    return {"frame": 0x1B, "chunk": header + 2, "table": header + compressed + 2}


@pytest.mark.parametrize("place", ["frame", "chunk", "table"])
def test_a_codec_that_is_no_part_of_blosc2_is_refused(tmp_path, place):
    # c-blosc2 looks for such a codec by running `python -c "import ..."`, which imports from the current folder.
    path = write_b2nd(tmp_path, ARRAYS["image"], chunks=(1, 10, 16, 16), blocks=(1, 5, 8, 8))
    content = bytearray(path.read_bytes())
    where = places_of_codecs(content)[place]
    of_chunk = content[where] & 0x1F | 6 << 5
    content[where] = content[where] & 0xF0 | 6 if place == "frame" else of_chunk
    path.write_bytes(content)
    with pytest.raises(ValueError, match="codec that is no part of Blosc2"):
        read_b2nd(path)


@pytest.mark.parametrize("place", ["frame", "chunk", "table"])
def test_a_filter_that_is_no_part_of_blosc2_is_refused(tmp_path, place):
    path = write_b2nd(tmp_path, ARRAYS["image"], chunks=(1, 10, 16, 16), blocks=(1, 5, 8, 8))
    content = bytearray(path.read_bytes())
    content[0x47 if place == "frame" else places_of_codecs(content)[place] + 14] = 160
    path.write_bytes(content)
    with pytest.raises(ValueError, match="codec that is no part of Blosc2"):
        read_b2nd(path)


def test_sizes_are_compared_before_memory_is_asked_for(tmp_path, monkeypatch):
    zeros = np.zeros((1, 200, 300, 400), np.float32)
    path = write_b2nd(tmp_path, zeros)
    assert path.stat().st_size < zeros.nbytes / 10_000
    monkeypatch.setattr(plain_arrays, "FREE_BYTES", 10**6)
    with pytest.raises(ValueError, match=r"asks for 9[6-9]\d{6} bytes"):
        read_b2nd(path)
    # A header that states less than its shape does not help.
    content = bytearray(path.read_bytes())
    content[0x1E:0x26] = struct.pack(">q", 1000)
    (tmp_path / "less.b2nd").write_bytes(content)
    with pytest.raises(ValueError, match=r"asks for|damaged|states a shape"):
        read_b2nd(tmp_path / "less.b2nd")
    assert same(read_b2nd(path, most=2 * zeros.nbytes), zeros)
    np.savez_compressed(tmp_path / "x.npz", data=zeros)
    with pytest.raises(ValueError, match=r"data is 96000128 bytes out of \d+"):
        read_npz(tmp_path / "x.npz", "data")


@pytest.mark.parametrize("shape", [(2**40,), (1000, 1000, 1000, 10), (3,), (-4,), (2**40, 2**40, 0)])
def test_a_header_of_another_size_than_the_file_is_refused(tmp_path, shape):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    content = header.getvalue() + bytes(16)
    (tmp_path / "x.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("data.npy", content)
    for use in (lambda: read_npy(tmp_path / "x.npy"), lambda: read_npz(tmp_path / "x.npz", "data")):
        with pytest.raises(ValueError, match=r"an array of shape .* has -?\d+ bytes, and there are 16"):
            use()


def test_a_shape_beyond_the_chunks_is_refused(tmp_path):
    path = write_b2nd(tmp_path, ARRAYS["image"], chunks=(1, 10, 16, 16), blocks=(1, 5, 8, 8))
    content = path.read_bytes()
    # Big-endian, after a mark of the kind of number.
    shape = b"".join(b"\xd3" + struct.pack(">q", side) for side in ARRAYS["image"].shape)
    assert content.count(shape) == 1
    for larger in ((2, 20, 30, 3100), (2, 2**20, 30, 31), (2**62, 20, 30, 31), (2, 20, 30, -31)):
        path.write_bytes(content.replace(shape, b"".join(b"\xd3" + struct.pack(">q", side) for side in larger)))
        with pytest.raises(ValueError, match=r"states a shape|asks for|damaged"):
            read_b2nd(path)


def test_damaged_files_raise_nothing_but_value_errors(tmp_path):
    path = write_b2nd(tmp_path, ARRAYS["image"][:, :10], chunks=(1, 5, 16, 16), blocks=(1, 5, 8, 8))
    np.savez_compressed(tmp_path / "x.npz", data=ARRAYS["image"][:, :3])
    draw = np.random.default_rng(1)
    for file, read in ((path, read_b2nd), (tmp_path / "x.npz", lambda file: read_npz(file, "data"))):
        whole = file.read_bytes()
        refused = 0
        for _ in range(300):
            content = bytearray(whole)
            # Most of them in the header.
            content[int(len(whole) * draw.random() ** 6)] ^= 1 << int(draw.integers(8))
            file.write_bytes(content[: draw.integers(len(content)) if draw.random() < 0.1 else None])
            try:
                read(file)
            except ValueError:
                refused += 1
        assert refused > 30
