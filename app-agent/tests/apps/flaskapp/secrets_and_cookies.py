"""What needs no taint: hashes, random numbers, cookies."""

import hashlib
import os
import random
import secrets

from flask import jsonify, make_response

from . import case


@case("weak-hash", True)
def hash_md5():
    return jsonify(hashlib.md5(b"password").hexdigest())


@case("weak-hash", True)
def hash_sha1_new():
    digest = hashlib.new("sha1")
    digest.update(b"password")
    return jsonify(digest.hexdigest())


@case("weak-hash", True)
def hash_named():
    algorithm = {"weak": "md5", "good": "sha256"}["weak"]
    return jsonify(hashlib.new(algorithm, b"password").hexdigest())


@case("weak-hash", False)
def hash_sha256():
    return jsonify(hashlib.sha256(b"password").hexdigest())


@case("weak-hash", False)
def hash_new_sha512():
    return jsonify(hashlib.new("sha512", b"password").hexdigest())


@case("weak-hash", False)
def hash_md5_not_for_security():
    return jsonify(hashlib.md5(b"cache key", usedforsecurity=False).hexdigest())


@case("weak-hash", False)
def hash_named_good():
    algorithm = {"weak": "md5", "good": "sha384"}["good"]
    return jsonify(hashlib.new(algorithm, b"password").hexdigest())


@case("weak-random", True)
def random_token():
    token = "".join(random.choice("0123456789abcdef") for _ in range(16))
    return jsonify(token)


@case("weak-random", True)
def random_remember_me():
    remember_me = str(random.random())[2:]
    return jsonify(remember_me)


@case("weak-random", True)
def random_reset_code():
    reset_code = random.randint(100000, 999999)
    return jsonify(reset_code)


@case("weak-random", True)
def random_session_bytes():
    session_key = random.getrandbits(64)
    return jsonify(session_key)


@case("weak-random", False)
def random_system():
    token = random.SystemRandom().randint(0, 99)
    return jsonify(token)


@case("weak-random", False)
def random_secrets():
    token = secrets.token_hex(8)
    return jsonify(token)


@case("weak-random", False)
def random_urandom():
    session_key = os.urandom(8).hex()
    return jsonify(session_key)


@case("weak-random", False)
def random_dice():
    dice = random.randint(1, 6)
    return jsonify(dice)


@case("insecure-cookie", True)
def cookie_default():
    answer = make_response("x")
    answer.set_cookie("a", "1")
    return answer


@case("insecure-cookie", True)
def cookie_not_secure():
    answer = make_response("x")
    answer.set_cookie("a", "1", secure=False, httponly=True, samesite="Lax")
    return answer


@case("insecure-cookie", True)
def cookie_keyword_dict():
    answer = make_response("x")
    options = {"httponly": True, "path": "/", "secure": 1 > 2}
    answer.set_cookie("a", "1", **options)
    return answer


@case("insecure-cookie", False)
def cookie_secure():
    answer = make_response("x")
    answer.set_cookie("a", "1", secure=True, httponly=True, samesite="Lax")
    return answer


@case("insecure-cookie", False)
def cookie_secure_positional():
    answer = make_response("x")
    answer.set_cookie("a", "1", 100, None, "/", None, True)
    return answer


@case("insecure-cookie", False)
def cookie_secure_expression():
    answer = make_response("x")
    answer.set_cookie("a", "1", secure=len("xy") == 2)
    return answer
