"""Tiny models with real architectures, made on the spot and saved as the hub has them.

A planted decoder says what it is told: with every block's output at zero, its state is the layer norm of the last
token's embedding, and the head, which is not tied to the embeddings, answers with the token planted for it.
"""

from itertools import pairwise

import torch
from tokenizers import AddedToken, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

LANGUAGES = ["en", "zh", "de", "es", "ru", "ko", "fr", "ja", "pt", "tr", "pl", "ca", "nl", "ar", "sv", "it", "id", "hi"]
TIMES = [f"<|{k * 0.02:.2f}|>" for k in range(1501)]


def bytes_tokenizer(words, special):
    """Byte-level BPE whose merges make each of `words` one token, and special tokens."""
    alphabet = sorted(ByteLevel.alphabet())
    vocab = {letter: k for k, letter in enumerate(alphabet)}
    merges = []
    for word in words:
        letters = list("".join(piece for piece, _ in ByteLevel(add_prefix_space=False).pre_tokenize_str(word)))
        while len(letters) > 1:
            pair = (letters[0], letters[1])
            if pair not in merges:
                merges.append(pair)
                vocab.setdefault("".join(pair), len(vocab))
            letters[:2] = ["".join(pair)]
    tokenizer = Tokenizer(BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    return tokenizer


def plant_chains(decoder, head, chains):
    """Make a decoder answer each token of a chain with the next one."""
    torch.manual_seed(1)
    with torch.no_grad():
        for layer in decoder.layers:
            for linear in (layer.self_attn.out_proj, layer.encoder_attn.out_proj, layer.fc2):
                linear.weight.zero_()
                linear.bias.zero_()
        embedding, answers = decoder.embed_tokens.weight, head.weight
        assert embedding.data_ptr() != answers.data_ptr()
        embedding.normal_()
        answers.zero_()
        for chain in chains:
            for token, following in pairwise(chain):
                answers[following] += embedding[token] / 4
        if isinstance(getattr(decoder.embed_positions, "weight", None), torch.nn.Parameter):
            decoder.embed_positions.weight.zero_()


def tiny_whisper(folder, said):
    """A Whisper converted for CTranslate2 that hears `said` (words, as tokens) in every 30 s, from 0.00 to 2.00 s."""
    from ctranslate2.converters import TransformersConverter
    from transformers import (
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperTokenizerFast,
    )

    special = ["<|endoftext|>", "<|startoftranscript|>", *[f"<|{code}|>" for code in LANGUAGES]]
    special += ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>"]
    special += ["<|notimestamps|>", *TIMES]
    tokenizer = bytes_tokenizer(said, special)
    number = tokenizer.token_to_id
    config = WhisperConfig(
        vocab_size=tokenizer.get_vocab_size(),
        d_model=64,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_target_positions=448,
        pad_token_id=number("<|endoftext|>"),
        bos_token_id=number("<|endoftext|>"),
        eos_token_id=number("<|endoftext|>"),
        decoder_start_token_id=number("<|startoftranscript|>"),
        tie_word_embeddings=False,
        begin_suppress_tokens=[number("<|endoftext|>")],  # the usual ones lie beyond this vocabulary
    )
    torch.manual_seed(0)
    model = WhisperForConditionalGeneration(config).eval()
    words = [token for word in said for token in tokenizer.encode(word).ids]
    end, last = number("<|endoftext|>"), number("<|2.00|>")
    chains = [[number("<|startoftranscript|>"), number("<|en|>")], [number("<|transcribe|>"), number("<|0.00|>")]]
    chains += [[number(time), words[0]] for time in TIMES[:100]] + [[*words, last, end]]
    chains += [[number(time), end] for time in TIMES[101:]]
    plant_chains(model.model.decoder, model.proj_out, chains)
    source = folder.parent / f"{folder.name}-hub"
    model.generation_config.begin_suppress_tokens = config.begin_suppress_tokens
    model.generation_config.alignment_heads = [[0, 0], [0, 1]]
    model.save_pretrained(source)
    end = dict.fromkeys(("unk_token", "bos_token", "eos_token"), "<|endoftext|>")
    fast = WhisperTokenizerFast(tokenizer_object=tokenizer, **end)
    fast.save_pretrained(source)
    WhisperFeatureExtractor().save_pretrained(source)
    TransformersConverter(str(source), copy_files=["tokenizer.json", "preprocessor_config.json"]).convert(str(folder))
    return folder


def tiny_m2m_model(size, eos):
    """M2M-100's and NLLB's network, small, with a head of its own."""
    from transformers import M2M100Config, M2M100ForConditionalGeneration

    torch.manual_seed(0)
    config = M2M100Config(
        vocab_size=size,
        d_model=64,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=128,
        tie_word_embeddings=False,
        decoder_start_token_id=eos,
        eos_token_id=eos,
        scale_embedding=True,
    )
    return M2M100ForConditionalGeneration(config).eval()


def tiny_nllb(folder, answers):
    """An NLLB as the hub has it; `answers`: NLLB code → the words it says in that language, whatever it is asked."""
    from transformers import NllbTokenizer

    pieces = [f"▁{word}" for text in answers.values() for word in text.split()]
    letters = ["▁", *map(chr, range(33, 127))]
    vocab = {t: k for k, t in enumerate(["<s>", "<pad>", "</s>", "<unk>", *letters, *dict.fromkeys(pieces)])}
    codes = ["eng_Latn", *answers]
    tokenizer = NllbTokenizer(vocab=vocab, merges=[], extra_special_tokens=codes)
    model = tiny_m2m_model(len(tokenizer), 2)
    number = tokenizer.convert_tokens_to_ids
    plant_chains(
        model.model.decoder,
        model.lm_head,
        [[number(c), *[number(f"▁{w}") for w in text.split()], 2] for c, text in answers.items()],
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_m2m(folder, answers):
    """An M2M-100 as the hub has it, with a sentencepiece model made here; `answers`: language code → words."""
    import io
    import json

    import sentencepiece
    from transformers import M2M100Tokenizer

    text = ["the quick brown fox jumps over the lazy dog Good morning"] * 20 + [*answers.values()] * 20
    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text), model_writer=made, vocab_size=120, hard_vocab_limit=False, minloglevel=2
    )
    folder.mkdir(parents=True)
    (folder / "sentencepiece.bpe.model").write_bytes(made.getvalue())
    processor = sentencepiece.SentencePieceProcessor(model_proto=made.getvalue())
    pieces = [processor.id_to_piece(k) for k in range(3, processor.get_piece_size())]
    vocab = {token: k for k, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", *pieces])}
    (folder / "vocab.json").write_text(json.dumps(vocab))
    tokenizer = M2M100Tokenizer(str(folder / "vocab.json"), str(folder / "sentencepiece.bpe.model"))
    model = tiny_m2m_model(tokenizer.encoder_size + 108, 2)  # 100 languages and 8 made-up words follow
    chains = []
    for code, said in answers.items():
        ids = tokenizer.convert_tokens_to_ids(processor.encode(said, out_type=str))
        assert len(set(ids)) == len(ids)
        chains.append([tokenizer.get_lang_id(code), *ids, 2])
    plant_chains(model.model.decoder, model.lm_head, chains)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def convert(source, folder, files):
    """A hub folder into CTranslate2's own form, with its tokenizer's files."""
    from ctranslate2.converters import TransformersConverter

    TransformersConverter(str(source), copy_files=files).convert(str(folder))
    return folder


def tiny_demucs(folder):
    """An HTDemucs bag in the hub's form: a list of parts, each a .safetensors with its sizes in the header."""
    import json

    from demucs.htdemucs import HTDemucs
    from safetensors.torch import save_file

    torch.manual_seed(0)
    sizes = {"sources": ["drums", "bass", "other", "vocals"], "samplerate": 8000, "segment": 1}
    sizes |= {
        "channels": 4,
        "depth": 2,
        "t_layers": 1,
        "t_heads": 2,
        "nfft": 512,
        "bottom_channels": 0,
        "dconv_mode": 0,
    }
    state = {name: value.contiguous() for name, value in HTDemucs(**sizes).state_dict().items()}
    folder.mkdir(parents=True)
    sizes["segment"] = {"_type": "fraction", "numerator": 1, "denominator": 1}
    header = {"klass": "demucs.htdemucs.HTDemucs", "args": "[]", "kwargs": json.dumps(sizes)}
    save_file(state, folder / "abc.safetensors", metadata=header)
    (folder / "tiny.yaml").write_text("models: ['abc']\n")
    return folder
