"""What the released checkpoints call our tensors: OpenAI's names and Hugging Face's (facts/jukebox.md §6.2-§6.4).

Pure functions on names. Every tensor of ours has exactly one name there; in the other direction a released file
has one tensor more where the output table is the input table (:data:`TIED`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from engine.codec.config import CodecConfig

Rule = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]


def _rules(*pairs: tuple[str, str | Callable[[re.Match[str]], str]]) -> tuple[Rule, ...]:
    return tuple((re.compile(pattern), replacement) for pattern, replacement in pairs)


def _translate(name: str, rules: Iterable[Rule]) -> str:
    for pattern, replacement in rules:
        match = pattern.fullmatch(name)
        if match:
            return match.expand(replacement) if isinstance(replacement, str) else replacement(match)
    raise KeyError(f"the tensor '{name}' has no name in the released files")


# ---- OpenAI -----------------------------------------------------------------------------------------------

_CONV = {"dilated": "1", "mix": "3"}  # places in the released residual unit: ReLU, conv, ReLU, conv


def openai_codec_name(name: str, config: CodecConfig) -> str:
    """OpenAI's name of a codec tensor. Raises KeyError for what is not saved there (training averages)."""

    def unit(place: str) -> Callable[[re.Match[str]], str]:
        return lambda m: place.format(*m.groups()[:4], _CONV[m[5]], m[6])

    def last(m: re.Match[str]) -> str:
        return f"encoders.{m[1]}.level_blocks.{m[2]}.model.{config.downs[int(m[2])]}.{m[3]}"

    def up(m: re.Match[str]) -> str:
        stack = f"decoders.{m[1]}.level_blocks.{m[2]}.model.{int(m[3]) + 1}"
        return f"{stack}.0.model.{m[4]}.model.{_CONV[m[5]]}.{m[6]}"

    encoder, decoder = r"levels\.(\d+)\.encoder\.blocks\.(\d+)", r"levels\.(\d+)\.decoder\.blocks\.(\d+)"
    residual = r"\.(\d+)\.(dilated|mix)\.(weight|bias)"
    return _translate(
        name,
        _rules(
            (r"levels\.(\d+)\.bottleneck\.codebook", r"bottleneck.level_blocks.\1.k"),
            (r"levels\.(\d+)\.decoder\.out\.(weight|bias)", r"decoders.\1.out.\2"),
            (encoder + r"\.project\.(weight|bias)", last),
            (encoder + r"\.steps\.(\d+)\.0\.(weight|bias)", r"encoders.\1.level_blocks.\2.model.\3.0.\4"),
            (
                encoder + r"\.steps\.(\d+)\.1" + residual,
                unit("encoders.{}.level_blocks.{}.model.{}.1.model.{}.model.{}.{}"),
            ),
            (decoder + r"\.project\.(weight|bias)", r"decoders.\1.level_blocks.\2.model.0.\3"),
            (decoder + r"\.steps\.(\d+)\.0" + residual, up),
            (
                decoder + r"\.steps\.(\d+)\.1\.(weight|bias)",
                lambda m: f"decoders.{m[1]}.level_blocks.{m[2]}.model.{int(m[3]) + 1}.1.{m[4]}",
            ),
        ),
    )


def _openai_linear(stem: str) -> tuple[tuple[str, str], ...]:
    """Rules of one transformer: linears end in ``w``/``b`` there, norms in ``weight``/``bias``."""
    ours = stem + r"transformer\.layers\.(\d+)\.((?:attn|mlp)\.\w+)\."
    prefix = "prime_prior" if stem else "prior"
    layer = prefix + r".transformer._attn_mods.\1"
    return (
        (ours + "weight", layer + r".\2.w"),
        (ours + "bias", layer + r".\2.b"),
        (stem + r"transformer\.layers\.(\d+)\.(ln_[01])\.(weight|bias)", layer + r".\2.\3"),
    )


_LYRICS = r"lyrics\."
_CONDITIONER = "conditioner_blocks.0"
_OPENAI_PRIOR = _rules(
    *_openai_linear(""),
    *_openai_linear(_LYRICS),
    ("embed", "prior.x_emb.weight"),
    ("position", "prior.pos_emb.pos_emb"),
    (r"out\.weight", "prior.x_out.weight"),
    ("start", "prior.start_token"),
    (r"labels\.artist", "y_emb.artist_emb.emb.weight"),
    (r"labels\.genre", "y_emb.bow_genre_emb.emb.weight"),
    (r"time\.total\.weight", "y_emb.total_length_emb.emb.weight"),
    (r"time\.(absolute|relative)\.weight", r"y_emb.\1_pos_emb.emb.weight"),
    (r"upper\.embed\.weight", _CONDITIONER + ".x_emb.weight"),
    (r"upper\.norm\.(weight|bias)", _CONDITIONER + r".ln.\1"),
    (r"upper\.up\.project\.(weight|bias)", _CONDITIONER + r".cond.model.0.\1"),
    (
        r"upper\.up\.steps\.(\d+)\.0\.(\d+)\.(dilated|mix)\.(weight|bias)",
        lambda m: f"{_CONDITIONER}.cond.model.{int(m[1]) + 1}.0.blocks.{m[2]}.model.{_CONV[m[3]]}.{m[4]}",
    ),
    (
        r"upper\.up\.steps\.(\d+)\.1\.(weight|bias)",
        lambda m: f"{_CONDITIONER}.cond.model.{int(m[1]) + 1}.1.{m[2]}",
    ),
    (r"lyrics\.start", "prime_prior.start_token"),
    (r"lyrics\.embed", "prime_prior.x_emb.weight"),
    (r"lyrics\.position", "prime_prior.pos_emb.pos_emb"),
    (r"lyrics\.project\.weight", "prime_state_proj.w"),
    (r"lyrics\.project\.bias", "prime_state_proj.b"),
    (r"lyrics\.norm\.(weight|bias)", r"prime_state_ln.\1"),
    (r"lyrics\.out\.weight", "prime_x_out.weight"),
)


def openai_prior_name(name: str) -> str:
    """OpenAI's name of a prior's tensor."""
    return _translate(name, _OPENAI_PRIOR)


_NO_CHECKPOINTING = re.compile(r"(conditioner_blocks\.0\.cond\.model\.\d+\.0)\.model\.")


def tidy_openai_name(name: str) -> str:
    """One spelling for all files: without the ``module.`` of a parallel run, and with the residual stacks of the
    conditioner under ``blocks``, as recomputing in training named them, even where that was off."""
    return _NO_CHECKPOINTING.sub(r"\1.blocks.", name.removeprefix("module."))


# ---- Hugging Face -----------------------------------------------------------------------------------------

_HF_CONV = {"dilated": "conv1d_1", "mix": "conv1d_2"}


def _hf_codec_rules() -> tuple[Rule, ...]:
    block = r"levels\.(\d+)\.(encoder|decoder)\.blocks\.(\d+)\."

    def place(m: re.Match[str]) -> str:
        return f"{m[2]}s.{m[1]}.level_blocks.{m[3]}."

    def project(m: re.Match[str]) -> str:
        return f"{place(m)}proj_{'out' if m[2] == 'encoder' else 'in'}.{m[4]}"

    def step(m: re.Match[str]) -> str:
        side = "down" if m[2] == "encoder" else "up"
        return f"{place(m)}{side}sample_block.{2 * int(m[4]) + int(m[5])}"

    return _rules(
        (r"levels\.(\d+)\.bottleneck\.codebook", r"bottleneck.level_blocks.\1.codebook"),
        (r"levels\.(\d+)\.decoder\.out\.(weight|bias)", r"decoders.\1.out.\2"),
        (block + r"project\.(weight|bias)", project),
        (block + r"steps\.(\d+)\.([01])\.(weight|bias)", lambda m: f"{step(m)}.{m[6]}"),
        (
            block + r"steps\.(\d+)\.([01])\.(\d+)\.(dilated|mix)\.(weight|bias)",
            lambda m: f"{step(m)}.resnet_block.{m[6]}.{_HF_CONV[m[7]]}.{m[8]}",
        ),
    )


_HF_CODEC = _hf_codec_rules()


def hf_codec_name(name: str) -> str:
    """Hugging Face's name of a codec tensor, below ``vqvae.``."""
    return _translate(name, _HF_CODEC)


def _hf_layers(stem: str, there: str) -> tuple[tuple[str, str], ...]:
    layer = there + r".transformer._attn_mods.\1"
    return (
        (stem + r"transformer\.layers\.(\d+)\.((?:attn|mlp)\.\w+\.(?:weight|bias))", layer + r".\2"),
        (
            stem + r"transformer\.layers\.(\d+)\.ln_([01])\.(weight|bias)",
            layer + r".layer_norm_\2.\3",
        ),
    )


_HF_PRIOR = _rules(
    *_hf_layers("", "prior"),
    *_hf_layers(_LYRICS, "encoder"),
    ("embed", "prior.embed_tokens.weight"),
    ("position", "prior.pos_emb.pos_emb"),
    (r"out\.weight", "prior.fc_proj_out.weight"),
    ("start", "prior.start_token"),
    (r"labels\.artist", "metadata_embedding.artist_emb.weight"),
    (r"labels\.genre", "metadata_embedding.bow_genre_emb.weight"),
    (r"time\.total\.weight", "metadata_embedding.total_length_emb.emb.weight"),
    (r"time\.(absolute|relative)\.weight", r"metadata_embedding.\1_pos_emb.emb.weight"),
    (r"upper\.embed\.weight", "conditioner_blocks.embed_tokens.weight"),
    (r"upper\.norm\.(weight|bias)", r"conditioner_blocks.layer_norm.\1"),
    (r"upper\.up\.project\.(weight|bias)", r"conditioner_blocks.upsampler.proj_in.\1"),
    (
        r"upper\.up\.steps\.(\d+)\.0\.(\d+)\.(dilated|mix)\.(weight|bias)",
        lambda m: (
            f"conditioner_blocks.upsampler.upsample_block.{2 * int(m[1])}.resnet_block.{m[2]}."
            f"{_HF_CONV[m[3]]}.{m[4]}"
        ),
    ),
    (
        r"upper\.up\.steps\.(\d+)\.1\.(weight|bias)",
        lambda m: f"conditioner_blocks.upsampler.upsample_block.{2 * int(m[1]) + 1}.{m[2]}",
    ),
    (r"lyrics\.start", "encoder.start_token"),
    (r"lyrics\.embed", "encoder.embed_tokens.weight"),
    (r"lyrics\.position", "encoder.pos_emb.pos_emb"),
    (r"lyrics\.project\.(weight|bias)", r"encoder.proj_in.\1"),
    (r"lyrics\.norm\.(weight|bias)", r"encoder.final_layer_norm.\1"),
    (r"lyrics\.out\.weight", "encoder.lm_head.weight"),
)


def hf_prior_name(name: str) -> str:
    """Hugging Face's name of a prior's tensor, below ``priors.N.``, N counted from the top."""
    return _translate(name, _HF_PRIOR)


# The output table of a prior that is not merged: saved a second time under the name that ``out.weight`` would
# have, and always equal to the input table.
TIED = {"openai": ("prior.x_out.weight", "prior.x_emb.weight")}
TIED["hf"] = ("prior.fc_proj_out.weight", "prior.embed_tokens.weight")
