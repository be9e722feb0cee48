"""Which addresses a webhook may go to: every private range, in every spelling, is refused."""

from __future__ import annotations

import pytest

from router.contract.errors import InvalidRequest
from router.jobs.webhooks.targets import checked, host_of, is_any, is_public

PRIVATE = [
    # IPv4: first and last address of each range
    *("0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255"),
    *("100.64.0.0", "100.100.100.200", "100.127.255.255"),
    *("127.0.0.0", "127.0.0.1", "127.255.255.255"),
    *("169.254.0.0", "169.254.169.254", "169.254.255.255"),
    *("172.16.0.0", "172.31.255.255", "192.0.0.0", "192.0.0.192", "192.0.0.255"),
    *("192.0.2.0", "192.0.2.255", "192.88.99.0", "192.88.99.255"),
    *("192.168.0.0", "192.168.255.255", "198.18.0.0", "198.19.255.255"),
    *("198.51.100.0", "198.51.100.255", "203.0.113.0", "203.0.113.255"),
    *("224.0.0.0", "239.255.255.255", "240.0.0.0", "255.255.255.254", "255.255.255.255"),
    "168.63.129.16",
    # IPv6: unspecified, loopback, link-local (with a zone), site-local, unique local, multicast
    *("::", "::1", "fe80::", "fe80::1%eth0", "febf:ffff::1", "fec0::1", "feff::1"),
    *("fc00::", "fd00:ec2::254", "fdff:ffff::1", "ff00::", "ff02::1", "ffff:ffff::1"),
    # IPv6 that holds an IPv4 address: compatible, mapped, translated, NAT64, 6to4, Teredo
    *("::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:8.8.8.8"),
    *("::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::8.8.8.8", "64:ff9b:1::1"),
    *("2002:7f00:1::", "2002:808:808::1", "2001:0:7f00:1::1", "2001::1"),
    # IPv6: discard, benchmarks, ORCHID, documentation, segment routing, not in use
    *("100::1", "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1", "3fff::1", "5f00::1"),
    *("1::1", "4000::1", "e000::1"),
]
PUBLIC = [
    *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0"),
    *("126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255"),
    *("172.32.0.0", "192.0.1.0", "192.167.255.255", "192.169.0.0", "198.17.255.255"),
    *("198.20.0.0", "223.255.255.255", "168.63.129.15"),
    *("2600::1", "2001:200::1", "2001:4860:4860::8888", "2a00:1450::1", "3ffe:ffff::1"),
]
NO_ADDRESS = [
    "",
    "localhost",
    "example.com",
    "2130706433",
    "0x7f.1",
    "0177.0.0.1",
    "127.1",
    "١٢٧.0.0.1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_known_as_such(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_one(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("word", NO_ADDRESS)
def test_what_is_no_address_in_plain_digits_is_none(word: str) -> None:
    assert not is_public(word)
    assert not is_any(word)


def written(address: str) -> str:
    """An address as it stands in a URL."""
    host = f"[{address.replace('%', '%25')}]" if ":" in address else address
    return f"http://{host}/hook"


@pytest.mark.parametrize(
    "url",
    [
        *map(written, PRIVATE),
        # other spellings of IPv4: decimal, hexadecimal, octal, short, mixed, full stops of others
        *("http://2130706433/", "http://0x7f000001/", "http://017700000001/", "http://0/"),
        *("http://0x7f.0.0.1/", "http://0177.0.0.1/", "http://127.1/", "http://127.0.1/"),
        *("http://0x7f.1/", "http://192.168.257/", "http://0xA9FEA9FE/", "http://2852039166/"),
        *("http://127.0.0.1./", "http://①②⑦.⓪.⓪.①/", "http://１２７.０.０.１/"),
        *("http://127。0。0。1/", "http://%31%32%37.0.0.1/", "http://0127.0.0.1/"),
        # names that mean this machine
        *("http://localhost/", "http://LOCALHOST./", "http://a.localhost:80/"),
    ],
)
def test_a_private_target_is_refused_at_submission_and_not_repeated(url: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^webhook_url ") as caught:
        checked(url, allow_private=False)
    assert caught.value.param == "webhook_url"
    assert url.split("/")[2] not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        *("", "example.com/hook", "//example.com/", "/hook", "https://", "https:///hook", "https:"),
        *("ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "javascript:1"),
        *(
            "http://me:word@example.com/",
            "http://me@example.com/",
            "http://:@127.0.0.1/",
            "http://:x@a/",
        ),
        *(
            "http://exa mple.com/",
            "http://example.com/\n",
            "http://example.com/\t",
            "http://a\x00b/",
        ),
        *("http://example.com\\@10.0.0.1/", "http://example.com:99999/", "http://example.com:x/"),
        *(
            "http://[::1/",
            "http://[1.1.1.1]/",
            f"http://{'a.' * 200}com/",
            "https://e.com/" + "a" * 2048,
        ),
        "http://example.com/\ud800",
    ],
)
@pytest.mark.parametrize("allow_private", [False, True])
def test_what_is_no_address_of_the_web_is_refused(url: str, allow_private: bool) -> None:
    with pytest.raises(InvalidRequest, match=r"^webhook_url "):
        checked(url, allow_private=allow_private)


@pytest.mark.parametrize("address", [a for a in PRIVATE if "%" not in a])
def test_whoever_allows_private_targets_may_have_them(address: str) -> None:
    assert checked(written(address), allow_private=True).host


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Example.COM/a?token=b", "example.com:443"),
        ("http://example.com:8080/", "example.com:8080"),
        ("https://bücher.example/", "xn--bcher-kva.example:443"),
        ("https://8.8.8.8/", "8.8.8.8:443"),
        ("https://[2600::1]:99/", "2600::1:99"),
        ("http://0xcafe.example/", "0xcafe.example:80"),
    ],
)
def test_a_public_target_is_known_by_its_host_and_port(url: str, host: str) -> None:
    assert host_of(checked(url, allow_private=False)) == host
