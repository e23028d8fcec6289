"""Content credentials: a signed statement inside the file that says it is synthetic and by what it was made.

The statement is a C2PA manifest (spec 2.1): the action `c2pa.created` with the source type
`compositeWithTrainedAlgorithmicMedia`, the models' names and hashes, and hashes of the file's bytes (of pictures and
sound a tree of them, a leaf for each MB), signed with ES256. One changed byte of these breaks it. It says what the file
is, not who is to be believed: its certificate is made by this user once, so other programs call it valid and its issuer
unknown; one from an authority can be put in its place as `chain.pem` and `key.pem`.

They lie in $LIPSYNC_CREDENTIALS, else in .credentials/ of $LIPSYNC_HOME or ./people, else in ~/.config/lipsync.
"""

import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lipsync import __version__
from lipsync.errors import MediaError

SYNTHETIC = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
DETAILS = "org.lipsync.render"
_YEARS = 10
_UNKNOWN_ISSUER = "signingCredential.untrusted"
_BY_PARTS = {  # else signing holds the file twice over: 60 MB more for one of 31 MB, 1 MB so
    "core": {"backing_store_memory_threshold_in_mb": 1, "merkle_tree_chunk_size_in_kb": 1024}
}


@dataclass(frozen=True)
class Credentials:
    """What a file says of itself.

    found: whether it carries content credentials. intact: nothing was changed since it was signed. synthetic: it says
    so. own: signed with this user's certificate. details: what the renderer stated, such as the base's hash.
    """

    path: str
    found: bool
    intact: bool = False
    synthetic: bool = False
    own: bool = False
    made_by: str = ""
    signed_at: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def __str__(self) -> str:
        if not self.found:
            return f"{self.path}: no content credentials; it does not say what it is"
        kind = "synthetic" if self.synthetic else "not said to be synthetic"
        state = "intact" if self.intact else f"CHANGED since it was signed ({', '.join(self.problems)})"
        whose = "this user's certificate" if self.own else "a certificate not known here"
        return f"{self.path}: {kind}, {state}; made by {self.made_by}, signed {self.signed_at} with {whose}"


def sign(source: Path, target: Path, details: dict[str, Any] | None = None, title: str = "") -> None:
    """Copy a video or picture with content credentials in it.

    Memory hardly grows with the file.

    Args:
        source: a finished file.
        target: another file; written whole or, on an error, not left behind.
        details: stated beside the source type; plain values.

    Raises:
        MediaError: the file's format carries no credentials, or signing failed.
    """
    folder = credentials_folder()
    chain, key = _own_certificate(folder)
    manifest = {
        "claim_generator_info": [{"name": "lipsync", "version": __version__}],
        "title": title or target.name,
        "assertions": [
            {
                "label": "c2pa.actions.v2",
                "data": {"actions": [{"action": "c2pa.created", "digitalSourceType": SYNTHETIC}]},
            },
            {"label": DETAILS, "data": details or {}},
        ],
    }
    try:
        signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo("es256", chain.encode(), key.encode(), None))
        parts = c2pa.Context.from_dict(_BY_PARTS)
        with parts, c2pa.Builder(json.dumps(manifest), context=parts) as builder:
            builder.sign_file(str(source), str(target), signer)
    except c2pa.C2paError as error:
        target.unlink(missing_ok=True)
        raise MediaError(
            f"{target}: content credentials could not be written ({error}); check the certificate in {folder}"
        ) from error


def seal(path: Path, title: str, details: dict[str, Any]) -> None:
    """Put content credentials into a finished file, in place. Raises MediaError: see `sign`."""
    signed = path.with_name(f"{path.stem}.signed{path.suffix}")
    try:
        sign(path, signed, {**details, "signed_at": datetime.now(UTC).isoformat(timespec="seconds")}, title)
        os.replace(signed, path)
    finally:
        signed.unlink(missing_ok=True)


def read_credentials(path: Path) -> Credentials:
    """What a file says of itself, checked against its bytes. Raises MediaError where there is no such file."""
    path = Path(path)
    if not path.is_file():
        raise MediaError(f"{path}: no such file; check the path")
    try:
        with c2pa.Reader(str(path)) as reader:
            told = json.loads(reader.json())
    except c2pa.C2paError as error:
        if "ManifestNotFound" in type(error).__name__ or "ManifestNotFound" in str(error):
            return Credentials(str(path), found=False)
        return Credentials(str(path), found=True, problems=[str(error)])
    manifest = told["manifests"][told["active_manifest"]]
    problems = [p["code"] for p in told.get("validation_status", []) if p["code"] != _UNKNOWN_ISSUER]
    stated = {a["label"]: a["data"] for a in manifest.get("assertions", [])}
    actions = next((data.get("actions", []) for label, data in stated.items() if label.startswith("c2pa.actions")), [])
    made_by = " ".join(str(manifest.get("claim_generator_info", [{}])[0].get(k, "")) for k in ("name", "version"))
    signature = manifest.get("signature_info", {})
    return Credentials(
        path=str(path),
        found=True,
        intact=told.get("validation_state") in ("Valid", "Trusted") and not problems,
        synthetic=any(action.get("digitalSourceType") == SYNTHETIC for action in actions),
        own=str(signature.get("cert_serial_number", "")) == _own_serial(),
        made_by=made_by.strip(),
        signed_at=str(signature.get("time") or stated.get(DETAILS, {}).get("signed_at", "")),
        details=stated.get(DETAILS, {}),
        problems=problems,
    )


def credentials_folder() -> Path:
    """Where the certificate and its key lie."""
    named = os.environ.get("LIPSYNC_CREDENTIALS")
    if named:
        return Path(named)
    home = os.environ.get("LIPSYNC_HOME") or "people"
    return Path(home) / ".credentials" if Path(home).is_dir() else Path.home() / ".config" / "lipsync"


def _own_serial() -> str:
    chain = credentials_folder() / "chain.pem"
    return str(x509.load_pem_x509_certificate(chain.read_bytes()).serial_number) if chain.is_file() else ""


def _own_certificate(folder: Path) -> tuple[str, str]:
    """The chain and key in PEM; made at first use, the key readable by its owner alone."""
    chain, key = folder / "chain.pem", folder / "key.pem"
    if not (chain.is_file() and key.is_file()):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        made_chain, made_key = make_certificate()
        for path, text, mode in ((key, made_key, 0o600), (chain, made_chain, 0o644)):
            part = folder / f"{path.name}.{secrets.token_hex(4)}.part"
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
                file.write(text)
            os.replace(part, path)
    return chain.read_text(), key.read_text()


def make_certificate() -> tuple[str, str]:
    """A certificate of this user's own, with the authority that it is signed by: (chain, private key) in PEM.

    C2PA refuses certificates that sign themselves, hence the two. The authority's key is forgotten at once.
    """
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    mark = secrets.token_hex(4)
    authority, name = (
        x509.Name(
            [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "lipsync"), x509.NameAttribute(NameOID.COMMON_NAME, n)]
        )
        for n in (f"self-made authority {mark}", f"self-made signer {mark}")
    )
    root = _certificate(authority, authority, authority_key, authority_key, authority=True)
    leaf = _certificate(name, authority, key, authority_key, authority=False)
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return (leaf.public_bytes(pem) + root.public_bytes(pem)).decode(), private.decode()


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    authority: bool,
) -> x509.Certificate:
    now = datetime.now(UTC)
    usage = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365 * _YEARS))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=not authority, key_cert_sign=authority, crl_sign=authority, **usage), True
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())
