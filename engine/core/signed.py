"""Whether a device signed something, by the names that entries and answers use."""

from pockethive.core.canonical import from_text
from pockethive.core.errors import BadEncoding
from pockethive.core.ports import VerifySignature
from pockethive.core.task import DeviceId


def signed_by(device: DeviceId, message: bytes, signature: str, verify: VerifySignature) -> bool:
    """Whether `signature` (base64url) over `message` is `device`'s."""
    try:
        return verify(from_text(device, 32), message, from_text(signature, 64))
    except BadEncoding:
        return False
