"""Makes keys and tokens with PyJWT: python jwt_tokens.py FOLDER SECONDS

Writes rsa.pem, ec.pem, ed.pem, secret and jwks.json into the folder, and prints a JSON object of tokens by name.
`short` expires after SECONDS.
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import time

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

FOLDER, SHORT = sys.argv[1], int(sys.argv[2])
NOW = int(time.time())


def write(name, data):
    path = os.path.join(FOLDER, name)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(data)


def public(key):
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def jwk(algorithm, key, **more):
    return json.loads(jwt.get_algorithm_by_name(algorithm).to_jwk(key)) | more


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


keys = {
    "rsa": rsa.generate_private_key(65537, 2048),
    "ec": ec.generate_private_key(ec.SECP256R1()),
    "ed": ed25519.Ed25519PrivateKey.generate(),
    "set-rsa": rsa.generate_private_key(65537, 3072),
    "set-ec": ec.generate_private_key(ec.SECP256R1()),
    "set-ed": ed25519.Ed25519PrivateKey.generate(),
    "other": ec.generate_private_key(ec.SECP256R1()),
    "p384": ec.generate_private_key(ec.SECP384R1()),
}
secret = os.urandom(40).hex()
for name in ["rsa", "ec", "ed"]:
    write(f"{name}.pem", public(keys[name]))
write("secret", secret.encode() + b"\n")
jwks = [
    jwk("RS256", keys["set-rsa"].public_key(), kid="r", alg="RS256", use="sig"),
    jwk("ES256", keys["set-ec"].public_key(), kid="e", use="sig"),
    jwk("EdDSA", keys["set-ed"].public_key(), kid="d"),
    jwk("ES384", keys["p384"].public_key(), kid="x", use="sig"),
]
write("jwks.json", json.dumps({"keys": jwks}).encode())
write("jwks-without-ec.json", json.dumps({"keys": [key for key in jwks if key["kid"] != "e"]}).encode())

good = {"iss": "https://login.example.com", "aud": "plant", "sub": "anna", "exp": NOW + 600, "iat": NOW, "nbf": NOW - 5}


def token(key="rsa", algorithm="RS256", kid=None, without=(), **claims):
    claims = {name: value for name, value in (good | claims).items() if name not in without}
    return jwt.encode(claims, keys.get(key, secret), algorithm, headers={"kid": kid} if kid else None)


def forge(header, key):
    """Signed as HS256, whatever the header says."""
    message = ".".join(base64url(json.dumps(part).encode()) for part in (header, good))
    return f"{message}.{base64url(hmac.new(key, message.encode(), hashlib.sha256).digest())}"


valid = token()
head, body, signature = valid.split(".")
other = base64url(json.dumps(good | {"sub": "root"}).encode())
tokens = {
    "RS256": valid,
    "ES256": token("ec", "ES256"),
    "EdDSA": token("ed", "EdDSA"),
    "HS256": token("secret", "HS256"),
    "set RS256": token("set-rsa", "RS256", "r"),
    "set ES256": token("set-ec", "ES256", "e"),
    "set EdDSA": token("set-ed", "EdDSA", "d"),
    "audiences": token(aud=["other", "plant"]),
    "claims": token(roles=["operator"], scope="plant/+ home/anna"),
    "short": token(exp=NOW + SHORT),
    "short ES256": token("ec", "ES256", exp=NOW + SHORT),
    "expired": token(exp=NOW - 60),
    "not yet": token(nbf=NOW + 300),
    "no expiry": token(without=["exp"]),
    "issuer": token(iss="https://evil.example.com"),
    "no issuer": token(without=["iss"]),
    "audience": token(aud="other"),
    "no audience": token(without=["aud"]),
    "no user": token(without=["sub"]),
    "bad user": token(sub="a/#"),
    "other key": token("other", "ES256"),
    "other kid": token("set-ec", "ES256", "r"),
    "unknown kid": token("set-ec", "ES256", "unknown"),
    "ES384": token("p384", "ES384", "x"),
    "PS256": token("rsa", "PS256"),
    "HS512": token("secret", "HS512"),
    "none": f'{base64url(b"{}")}.{body}.',
    "alg none": jwt.encode(good, None, "none"),
    "confused": forge({"alg": "HS256", "typ": "JWT"}, public(keys["rsa"])),
    "confused set": forge({"alg": "HS256", "kid": "r"}, json.dumps(jwks[0]).encode()),
    "mislabelled": forge({"alg": "RS256"}, secret.encode()),
    "tampered": f"{head}.{other}.{signature}",
    "cut": f"{head}.{body}.{signature[:-6]}",
    "unsigned": f"{head}.{body}.",
}
print(json.dumps(tokens))
