"""Engines that translate: NLLB or M2M through CTranslate2 or transformers, and any OpenAI-compatible chat server.

    open_translator("nllb-600m")                  a known model, see hub.py
    open_translator("FOLDER")                     a model as the hub has it, or converted by CTranslate2
    open_translator("http://HOST:PORT/v1#MODEL")  a chat server; its key from the environment variable OPENAI_API_KEY

Weights are CTranslate2's own format or safetensors; nothing is unpickled.

Source: NLLB Team 2022; Fan et al. 2020 (M2M-100).
"""

import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lipsync.errors import CheckpointError, SpeechError
from lipsync.speech.hub import DEFAULTS, TRANSLATOR, model_folder
from lipsync.speech.translate import VERSIONS, Translator, Wish

TIMEOUT_S = 120
MOST_TOKENS = 256
ANSWER = "Answer with three versions, a line each, from the fullest to the shortest, and nothing else."
_LABEL = re.compile(r"^\s*(?:\(?\d{1,2}[.):]\s+|[-*•–]\s+)")
# The languages' codes in NLLB: the script belongs to them.
_NLLB = """
    af:afr_Latn am:amh_Ethi ar:arb_Arab az:azj_Latn be:bel_Cyrl bg:bul_Cyrl bn:ben_Beng bs:bos_Latn ca:cat_Latn
    cmn:zho_Hans cs:ces_Latn cy:cym_Latn da:dan_Latn de:deu_Latn el:ell_Grek en:eng_Latn es:spa_Latn et:est_Latn
    eu:eus_Latn fa:pes_Arab fi:fin_Latn fr:fra_Latn ga:gle_Latn gl:glg_Latn gu:guj_Gujr ha:hau_Latn he:heb_Hebr
    hi:hin_Deva hr:hrv_Latn hu:hun_Latn hy:hye_Armn id:ind_Latn is:isl_Latn it:ita_Latn ja:jpn_Jpan ka:kat_Geor
    kk:kaz_Cyrl km:khm_Khmr kn:kan_Knda ko:kor_Hang lo:lao_Laoo lt:lit_Latn lv:lvs_Latn mk:mkd_Cyrl ml:mal_Mlym
    mn:khk_Cyrl mr:mar_Deva ms:zsm_Latn mt:mlt_Latn my:mya_Mymr ne:npi_Deva nl:nld_Latn no:nob_Latn or:ory_Orya
    pa:pan_Guru pl:pol_Latn ps:pbt_Arab pt:por_Latn ro:ron_Latn ru:rus_Cyrl sd:snd_Arab si:sin_Sinh sk:slk_Latn
    sl:slv_Latn so:som_Latn sq:als_Latn sr:srp_Cyrl sv:swe_Latn sw:swh_Latn ta:tam_Taml te:tel_Telu th:tha_Thai
    tl:tgl_Latn tr:tur_Latn uk:ukr_Cyrl ur:urd_Arab uz:uzn_Latn vi:vie_Latn yue:yue_Hant zh:zho_Hans zu:zul_Latn
"""
NLLB_CODES = {row.partition(":")[0]: row.partition(":")[2] for row in _NLLB.split()}


def open_translator(name: str = "") -> Translator:
    """An engine by name; "" is the usual one. Raises CheckpointError when its model is not there, or is none."""
    if name.startswith(("http://", "https://")):
        address, _, model = name.partition("#")
        return ChatTranslator(address.rstrip("/"), model or "default", os.environ.get("OPENAI_API_KEY", ""))
    return ModelTranslator(model_folder(name or DEFAULTS[TRANSLATOR], TRANSLATOR))


@dataclass(frozen=True)
class ModelTranslator:
    """NLLB or M2M in a folder: CTranslate2's model.bin or transformers' model.safetensors, with its tokenizer."""

    folder: Path

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        try:
            return AutoTokenizer.from_pretrained(str(self.folder), local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            raise CheckpointError(f"{self.folder}: no tokenizer of NLLB or M2M in it: {error}") from error

    @cached_property
    def _converted(self) -> Any:
        """The CTranslate2 model, or None where the folder holds another form."""
        if not (self.folder / "model.bin").is_file():
            return None
        try:
            from ctranslate2 import Translator as Engine
        except ImportError as error:
            raise CheckpointError('ctranslate2 is not installed; get it with: pip install "lipsync[dub]"') from error
        try:
            return Engine(str(self.folder), device="auto", intra_threads=1)
        except (RuntimeError, ValueError) as error:
            raise CheckpointError(f"{self.folder}: the model in it cannot be loaded: {error}") from error

    @cached_property
    def _torch_model(self) -> Any:
        from transformers import AutoModelForSeq2SeqLM

        try:
            model = AutoModelForSeq2SeqLM.from_pretrained(str(self.folder), local_files_only=True, use_safetensors=True)
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"{self.folder}: no NLLB or M2M in safetensors or in CTranslate2's form in it ({str(error)[:200]}). "
                f"Convert it once: ct2-transformers-converter --model {self.folder} --output_dir {self.folder}-ct2 "
                "--copy_files tokenizer.json tokenizer_config.json special_tokens_map.json sentencepiece.bpe.model"
            ) from error
        return model.eval()

    def _code(self, language: str) -> tuple[str, str]:
        """The tokenizer's code and token of a language such as "hi". Raises SpeechError."""
        base = language.replace("_", "-").split("-")[0].lower()
        base, tokenizer = "zh" if base == "cmn" else base, self._tokenizer
        rows = [(code, code) for code in (NLLB_CODES.get(base, ""), language) if "_" in code]
        for code, token in [*rows, (base, f"__{base}__")]:
            if tokenizer.convert_tokens_to_ids(token) not in (None, tokenizer.unk_token_id):
                return code, token
        raise SpeechError(f"{self.name} does not know the language {language!r}")

    def translate(self, wishes: Sequence[Wish], source: str, target: str) -> list[list[str]]:
        """See Translator. Glossary terms are put into the source text, where these models mostly keep them."""
        tokenizer = self._tokenizer
        tokenizer.src_lang, token = self._code(source)[0], self._code(target)[1]
        texts = [_with_terms(wish) for wish in wishes]
        found = self._by_torch(texts, token) if self._converted is None else self._by_converted(texts, token)
        mark = tokenizer.convert_tokens_to_ids(token)  # M2M's tokenizer does not skip it
        return [
            [tokenizer.decode([i for i in ids if i != mark], skip_special_tokens=True) for ids in versions]
            for versions in found
        ]

    def _by_converted(self, texts: list[str], token: str) -> list[list[list[int]]]:
        tokenizer = self._tokenizer
        rows = [tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"]) for text in texts]
        answers = self._converted.translate_batch(
            rows,
            target_prefix=[[token]] * len(rows),
            beam_size=VERSIONS,
            num_hypotheses=VERSIONS,
            max_decoding_length=MOST_TOKENS,
            repetition_penalty=1.1,
        )
        return [[tokenizer.convert_tokens_to_ids(version[1:]) for version in answer.hypotheses] for answer in answers]

    def _by_torch(self, texts: list[str], token: str) -> list[list[list[int]]]:
        import torch

        tokenizer = self._tokenizer
        batch = tokenizer(texts, return_tensors="pt", padding=True)
        with torch.inference_mode():
            ids = self._torch_model.generate(
                **batch,
                forced_bos_token_id=tokenizer.convert_tokens_to_ids(token),
                num_beams=VERSIONS,
                num_return_sequences=VERSIONS,
                max_new_tokens=MOST_TOKENS,
                repetition_penalty=1.1,
            )
        rows = ids.tolist()
        return [rows[k : k + VERSIONS] for k in range(0, len(rows), VERSIONS)]

    def shorten(self, wish: Wish, version: str, spoken_s: float, source: str, target: str) -> list[str]:
        """These models cannot rephrase."""
        return []


def _with_terms(wish: Wish) -> str:
    text = wish.text
    for term, translation in wish.terms.items():
        text = re.sub(re.escape(term), lambda _, new=translation: new, text, flags=re.IGNORECASE)
    return text


@dataclass(frozen=True)
class ChatTranslator:
    """A server that speaks the OpenAI form: POST ADDRESS/chat/completions."""

    address: str
    model: str
    key: str = ""

    @property
    def name(self) -> str:
        """The model and where it runs."""
        return f"{self.model} at {self.address}"

    def translate(self, wishes: Sequence[Wish], source: str, target: str) -> list[list[str]]:
        """See Translator: the server is told how long each may take to say, and gives a few from full to short."""
        return [self._ask(_request(wish, source, target)) for wish in wishes]

    def shorten(self, wish: Wish, version: str, spoken_s: float, source: str, target: str) -> list[str]:
        """Asked to say it shorter, in the same language where source and target are one."""
        share = round(100 * min(0.95, wish.slot_s / spoken_s))
        if source == target:
            rows = [f"Say this line of a film shorter, in the same language ({target}), for dubbing:", version]
        else:
            rows = [_request(wish, source, target), f"Your answer was: {version}"]
        rows.append(f"That takes {spoken_s:.1f} s to say. Keep the meaning and use {share} % of its length. {ANSWER}")
        return self._ask("\n\n".join(rows))

    def _ask(self, request: str) -> list[str]:
        body = {"model": self.model, "temperature": 0, "messages": [{"role": "user", "content": request}]}
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {self.key}"} if self.key else {})}
        message = urllib.request.Request(
            f"{self.address}/chat/completions", json.dumps(body).encode("utf-8"), headers, method="POST"
        )
        try:
            with urllib.request.urlopen(message, timeout=TIMEOUT_S) as answer:
                text = json.load(answer)["choices"][0]["message"]["content"]
        except urllib.error.HTTPError as error:
            said = error.read(300).decode("utf-8", "replace")
            raise SpeechError(f"{self.address}: the translation server answered {error.code}: {said}") from error
        except OSError as error:
            raise SpeechError(f"{self.address}: the translation server does not answer ({error}); is it on?") from error
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise SpeechError(f"{self.address}: no answer in the OpenAI chat form came back ({error})") from error
        return _versions(str(text))


def _request(wish: Wish, source: str, target: str) -> str:
    rows = [
        f"Translate this line of a film from {source} to {target} for dubbing. It must take about {wish.slot_s:.1f} "
        f"seconds to say, no longer; prefer short words to long ones. {ANSWER}"
    ]
    rows += [f"Translate {term!r} as {translation!r}." for term, translation in wish.terms.items()]
    rows += [f"The line before it, for the context alone: {wish.before}"] if wish.before else []
    return "\n".join([*rows, "", wish.text])


def _versions(text: str) -> list[str]:
    """The lines of an answer, without the numbers, bullets and quotation marks that servers like to put around them."""
    rows = (_LABEL.sub("", row).strip() for row in text.splitlines())
    pairs = {'"': '"', "“": "”", "«": "»", "'": "'"}
    return [row[1:-1].strip() if len(row) > 1 and pairs.get(row[0]) == row[-1] else row for row in rows if row]
