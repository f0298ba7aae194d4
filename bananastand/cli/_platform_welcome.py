"""The first lines that `bananastand up` prints: addresses, isolation, and the first API key, once."""

from __future__ import annotations

from rich.console import Console

from bananastand.platform.build_packs import RestoringNodes
from bananastand.platform.platform import Platform
from bananastand.platform.replicas.isolation import describe_isolation
from bananastand.platform.replicas.local_machine import LocalMachine
from bananastand.platform.store.keys import FIRST, api_token, write_client_file

from ._platform_options import LOOPBACK

__all__ = ["print_welcome"]


def print_welcome(console: Console, platform: Platform, url: str, fronts: dict[int, str], mocks: bool) -> None:
    """Print where the platform is, and create and print its first key."""
    console.print(f"[bold]Bananastand[/bold] at {url}/   data in {platform.settings.data}")
    console.print(f"  Banana.dev            {url}/banana")
    console.print(f"  through LowCodeAPI    {url}/lowcodeapi/bananadev")
    console.print(f"  git push              {url}/git/PROJECT.git (a key is the password)")
    if mocks:
        console.print(f"  the other mocks       {url}/_stand/")
    console.print(
        f"  {describe_isolation(platform.settings.isolation, network=platform.settings.network)}", markup=False
    )
    nodes = platform.pool.nodes
    nodes = nodes.nodes if isinstance(nodes, RestoringNodes) else nodes
    problem = nodes.use_cgroups() if isinstance(nodes, LocalMachine) else None
    if problem is not None and platform.settings.memory_mb is not None:
        console.print(f"  memory: watched once a second, not bounded by the kernel ({problem})", markup=False)
    if names := sorted(platform.settings.secrets):
        console.print(f"  passed to every app   {', '.join(names)}", markup=False)
    for port, project in fronts.items():
        console.print(f"  {project:<20}  http://{LOOPBACK}:{port}/ (no key)", markup=False)
    if platform.keys.ids:
        write_client_file(platform.settings.data, url)
        console.print(f"  keys: {len(platform.keys.ids)} valid; new ones: bananastand keys create")
        return
    _, secret = platform.keys.create(FIRST)
    path = write_client_file(platform.settings.data, url, secret)
    if not console.is_terminal:  # a journal keeps what is printed, and others read it
        console.print(f"  key                   in {path}, for this user alone; not printed, as this is no terminal")
        console.print("  LowCodeAPI api_token  at_r and the key's 32 hexadecimal digits")
        return
    console.print(f"  key                   [bold]{secret}[/bold]  (shown once; this machine's commands read it in")
    console.print(f"                        {path})", markup=False)
    console.print(f"  LowCodeAPI api_token  {api_token(secret)}")
