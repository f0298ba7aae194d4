"""Every environment variable of this project, one class for each program, with defaults and descriptions.

`python -m tools.settings_page` renders docs/settings.md from these classes. The platform reads its variables here. The
command line reads those of its options by the same names, and the engine, an app and the mocks read theirs where they
need them, so that a replica starts without pydantic-settings; a test compares their names with this table.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = [
    "PROGRAMS",
    "AppVariables",
    "ClientVariables",
    "CommandVariables",
    "NodeVariables",
    "MocksVariables",
    "PlatformVariables",
    "ServingVariables",
]


class _Variables(BaseSettings):
    """Reads the process's environment; an empty variable counts as not set."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", case_sensitive=True)


class PlatformVariables(_Variables):
    """`bananastand up`, the platform."""

    # An empty CUDA_VISIBLE_DEVICES means no GPU, unlike one that is not set.
    model_config = SettingsConfigDict(env_ignore_empty=False, extra="ignore", case_sensitive=True)

    data: str | None = Field(
        default=None,
        validation_alias="BANANASTAND_DATA",
        description="The data directory: database, builds, logs and keys. Default: `bananastand` in `XDG_DATA_HOME`.",
    )
    data_home: str | None = Field(
        default=None,
        validation_alias="XDG_DATA_HOME",
        description="The user's data folder. Default: `~/.local/share`.",
    )
    database: SecretStr | None = Field(
        default=None,
        validation_alias="BANANASTAND_DATABASE",
        description="A PostgreSQL database, as `postgresql://user@host/name`. Default: SQLite in the data directory.",
    )
    blobs: SecretStr | None = Field(
        default=None,
        validation_alias="BANANASTAND_BLOBS",
        description="A store of large bodies, uploads and builds, as `s3://bucket/folder`. Default: the data folder.",
    )
    gpus: str | None = Field(
        default=None,
        validation_alias="CUDA_VISIBLE_DEVICES",
        description="The GPUs that replicas get, one each, separated by commas. Default: all NVIDIA GPUs.",
    )
    github_secret: SecretStr | None = Field(
        default=None,
        validation_alias="BANANASTAND_GITHUB_SECRET",
        description="The secret of GitHub's push webhook. Without one the webhook is off.",
    )

    @property
    def data_directory(self) -> Path:
        """The data directory, with its default."""
        if self.data:
            return Path(self.data)
        return Path(self.data_home or Path.home() / ".local" / "share") / "bananastand"

    @property
    def gpu_list(self) -> tuple[str, ...] | None:
        """The GPUs that are named; None if the variable is not set."""
        if self.gpus is None:
            return None
        return tuple(gpu.strip() for gpu in self.gpus.split(",") if gpu.strip() not in ("", "-1"))


class CommandVariables(_Variables):
    """`bananastand deploy`, `run` and the other commands that call a platform."""

    url: str | None = Field(
        default=None,
        validation_alias="BANANASTAND_URL",
        description="The platform's address. Default: that of the last `bananastand up` of this user.",
    )
    key: SecretStr | None = Field(
        default=None,
        validation_alias="BANANASTAND_KEY",
        description="An API key. Default: the one that `bananastand up` wrote for this user.",
    )
    demo_port: int = Field(
        default=8750, validation_alias="STAND_PORT", description="Where the platform of `bananastand demo` listens."
    )


class NodeVariables(_Variables):
    """`bananastand join`, which makes a machine a node of a cluster."""

    folder: Path | None = Field(
        default=None,
        validation_alias="BANANASTAND_NODE",
        description="The node's folder, for its credentials, builds and logs. Default: `bananastand-node` beside the "
        "data directory.",
    )
    join_token: SecretStr | None = Field(
        default=None,
        validation_alias="BANANASTAND_JOIN_TOKEN",
        description="The join token, needed the first time only.",
    )
    node_folder: Path | None = Field(
        default=None,
        validation_alias="BANANASTAND_NODE_FOLDER",
        description="The same folder for what runs in Ray on the node. `bananastand join` sets it.",
    )


class MocksVariables(_Variables):
    """`bananastand mocks`, the offline mocks."""

    vlm_url: str | None = Field(
        default=None,
        validation_alias="BANANASTAND_VLM_URL",
        description="An OpenAI-compatible API that plans PaperBanana's figures. Default: the built-in planner.",
    )
    vlm_key: SecretStr | None = Field(
        default=None,
        validation_alias="BANANASTAND_VLM_KEY",
        description="The key of that API; `BANANASTAND_VLM_KEY_KIE` is the one of the provider `kie`, and so on.",
    )
    vlm_model: str | None = Field(
        default=None,
        validation_alias="BANANASTAND_VLM_MODEL",
        description="The model where a request names none.",
    )
    paperbanana_admin_key: SecretStr | None = Field(
        default=None,
        validation_alias="PAPERBANANA_ADMIN_KEY",
        description="PaperBanana's admin key. Default: the one on the mocks' page.",
    )


class ClientVariables(_Variables):
    """The clients and `bananastand call`."""

    banana_key: SecretStr | None = Field(
        default=None, validation_alias="BANANA_API_KEY", description="The key of Banana.dev's own API."
    )
    banana_url: str = Field(
        default="https://api.banana.dev",
        validation_alias="BANANA_BASE_URL",
        description="The address of Banana.dev's own API.",
    )
    lowcodeapi_token: SecretStr | None = Field(
        default=None,
        validation_alias="LOWCODEAPI_TOKEN",
        description="The token of LowCodeAPI, for Banana.dev and fal.ai behind it.",
    )
    lowcodeapi_url: str = Field(
        default="https://api.lowcodeapi.com",
        validation_alias="LOWCODEAPI_BASE_URL",
        description="The address of the gateway; the provider's name is added to it.",
    )
    fal_key: SecretStr | None = Field(
        default=None, validation_alias="FAL_KEY", description="The key of fal.ai's queue, and of its own API."
    )
    fal_url: str = Field(
        default="https://queue.fal.run", validation_alias="FAL_BASE_URL", description="The address of fal.ai's queue."
    )
    gobananas_key: SecretStr | None = Field(
        default=None, validation_alias="GOBANANAS_API_KEY", description="The key of Go Bananas!."
    )
    gobananas_url: str = Field(
        default="https://gobananasai.com",
        validation_alias="GOBANANAS_BASE_URL",
        description="The address of Go Bananas!.",
    )
    paperbanana_key: SecretStr | None = Field(
        default=None, validation_alias="PAPERBANANA_API_KEY", description="The API key of PaperBanana."
    )
    paperbanana_admin_key: SecretStr | None = Field(
        default=None, validation_alias="PAPERBANANA_ADMIN_KEY", description="The admin key of PaperBanana."
    )
    paperbanana_url: str = Field(
        default="https://api.paperbanana.me",
        validation_alias="PAPERBANANA_BASE_URL",
        description="The address of PaperBanana.",
    )


class ServingVariables(_Variables):
    """`bananastand serve`, which hosts an app."""

    host: str = Field(default="127.0.0.1", validation_alias="HOST", description="The address to listen on.")
    port: int = Field(default=8000, validation_alias="PORT", description="The port to listen on; 0 takes a free one.")
    allow_hosts: str | None = Field(
        default=None,
        validation_alias="BANANASTAND_ALLOW_HOSTS",
        description="Further Host names that are served, separated by commas; `*` for all.",
    )
    replica: str | None = Field(
        default=None,
        validation_alias="BANANASTAND_REPLICA",
        description="The id of the replica. The platform sets it; Host and Origin are not checked again then.",
    )


class AppVariables(_Variables):
    """`app.py`, the diffusion app, and `bananastand paint`."""

    model: str = Field(default="fruitstand", validation_alias="MODEL", description="The model: a name or a model file.")
    models: str | None = Field(
        default=None,
        validation_alias="BANANASTAND_MODELS",
        description="The folder of the model files. Default: the one of the package.",
    )
    mode: str | None = Field(
        default=None, validation_alias="BANANASTAND_MODE", description="The engine's mode; see docs/serving.md."
    )
    policy: str | None = Field(
        default=None,
        validation_alias="BANANASTAND_POLICY",
        description="How the engine orders requests; see docs/serving.md.",
    )
    rows: int | None = Field(
        default=None, validation_alias="BANANASTAND_ROWS", description="The engine's batch size, from 1 to 10000."
    )
    queue: int | None = Field(
        default=None, validation_alias="BANANASTAND_QUEUE", description="Requests that may wait, from 1 to 10000."
    )
    device: str | None = Field(
        default=None,
        validation_alias="BANANASTAND_DEVICE",
        description="The torch device. Default: `cuda`, `mps` or `cpu`, the first that is available.",
    )
    acceleration: str = Field(
        default="all",
        validation_alias="BANANASTAND_ACCELERATION",
        description="What speeds a GPU up: `all` lossless ways, `none`, or names separated by commas.",
    )
    allow_webhooks: str | None = Field(
        default=None,
        validation_alias="BANANASTAND_ALLOW_WEBHOOKS",
        description="Hosts, addresses and networks that webhooks may reach beside public ones, separated by commas.",
    )
    cpu: bool = Field(
        default=False,
        validation_alias="BANANASTAND_CPU",
        description="Whether torch's CUDA calls run on the CPU where there is no GPU; `deploy --cpu` sets it.",
    )


PROGRAMS: tuple[type[_Variables], ...] = (
    PlatformVariables,
    CommandVariables,
    NodeVariables,
    MocksVariables,
    ClientVariables,
    ServingVariables,
    AppVariables,
)
