"""Databases that a front cannot use: the reason, what to do, and never the password of the address."""

from __future__ import annotations

import re

import psycopg
import pytest

from bananastand.platform.errors import Conflict, PlatformError, Refused, StoreError
from bananastand.platform.fronts.membership import Membership
from bananastand.platform.fronts.register import Registration
from bananastand.platform.store.database import STEPS
from postgresql import PostgresServer

pytestmark = pytest.mark.needs("postgres")

OWN = Registration.new("front-1", "https://127.0.0.1:1", "0.1.0", len(STEPS))


async def refusal(url: str) -> PlatformError:
    """Open a front's membership, and return why that fails."""
    with pytest.raises(PlatformError) as refused:
        await Membership(url, OWN).open()
    return refused.value


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://u:hush-hush@h/db", "begins with postgresql://, not mysql://"),
        ("u:hush-hush@h/db", "must be a URL such as"),
        ("postgresql://u:hush-hush@h:no/db", "must be a URL such as .* write / as %2F"),
        ("postgresql://u:hush/hush-hush@h:99999/db", "a port above 65535|write / as %2F"),
        ("postgresql://u:hush-hush@h/a%00b", "NUL"),
        ("postgresql://u:hush-hush@127.0.0.1:1/db?nonsense=1", "invalid connection option"),
    ],
)
async def test_an_odd_address_is_refused_without_its_password(url: str, reason: str) -> None:
    error = await refusal(url)

    assert re.search(reason, str(error))
    assert "hush-hush" not in str(error)
    assert isinstance(error, Refused | StoreError)


async def test_a_database_that_does_not_fit_says_what_to_do(postgres_server: PostgresServer) -> None:
    with postgres_server.database() as url:
        name = url.rpartition("/")[2]
        postgres_server.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        assert "accepts no writes: name the primary server" in str(await refusal(url))
    with postgres_server.database() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("REVOKE ALL ON SCHEMA public FROM public")
            connection.execute("CREATE ROLE weak LOGIN PASSWORD 'hush-hush'")
        weak = re.sub("//stand:[^@]*@", "//weak:hush-hush@", url)
        assert "GRANT USAGE, CREATE ON SCHEMA public" in str(await refusal(weak))
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP ROLE weak")
    postgres_server.execute("CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0")
    error = await refusal(postgres_server.url("ascii"))
    assert isinstance(error, Conflict)
    assert "ENCODING 'UTF8'" in str(error)
