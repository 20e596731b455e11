"""Owns the key that signs the journal's heads: an Ed25519 key in a file of its own that nobody else may read."""

from __future__ import annotations

import os
import stat
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from quarterdeck.domain.errors import ConfigError


class PublicKey(NamedTuple):
    """Who signed: 32 bytes, which everybody may have."""

    raw: bytes

    @property
    def key_id(self) -> str:
        """Its short name: the first 16 digits of its SHA-256."""
        return sha256(self.raw).hexdigest()[:16]

    def has_signed(self, message: bytes, signature: bytes) -> bool:
        """Whether a signature is this key's, of exactly this message. Anything that is no signature is not."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except (InvalidSignature, TypeError, ValueError):
            return False
        return True


class SigningKey:
    """A private key. It is made where there is none; `is_new` says so."""

    def __init__(self, key: Ed25519PrivateKey, *, is_new: bool) -> None:
        self._key = key
        self.public = PublicKey(key.public_key().public_bytes_raw())
        self.is_new = is_new

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read the key, or make one, which is on the disk when this returns.

        Raises:
            ConfigError: the file can't be read or written, others can read it, or it holds no such key.
        """
        try:
            try:
                return cls(_parse(path, _read(path)), is_new=False)
            except FileNotFoundError:
                key = Ed25519PrivateKey.generate()
                _write(path, key)
                return cls(key, is_new=True)
        except OSError as error:
            raise ConfigError(f"journal.signing_key: {path} can't be used: {error.strerror}") from error

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""
        return self._key.sign(message)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            raise ConfigError(
                f"journal.signing_key: {path} can be read or written by others (mode {mode:04o}): make it 0600, or "
                "remove it, if somebody may have it, and a new one is made and announced"
            )
        return file.read()


def _parse(path: Path, pem: bytes) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"journal.signing_key: {path} holds no key in PEM: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"journal.signing_key: the key in {path} is not Ed25519")
    return key


def _write(path: Path, key: Ed25519PrivateKey) -> None:
    """Whole or not at all: a crash leaves no half of a key."""
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    unfinished = path.with_name(f"{path.name}.part")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, pem)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    unfinished.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
