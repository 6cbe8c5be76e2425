"""All settings together, and what must hold between them."""

from typing import final

from pydantic import ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from processor.settings.connections import FullStory, Kafka, SchemaRegistry
from processor.settings.mapping import Mapping
from processor.settings.memory import budget_for, largest_batch
from processor.settings.operation import Batch, Delivery, Http, Log, Memory, Ready, Shutdown


@final
class Settings(BaseSettings):
    """All of it. Holds what it is given and looks nowhere by itself; `load` knows the environment."""

    model_config = SettingsConfigDict(
        env_prefix="PROCESSOR_",
        env_nested_delimiter="__",
        enable_decoding=False,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    kafka: Kafka
    schema_registry: SchemaRegistry
    fullstory: FullStory
    delivery: Delivery = Delivery()
    log: Log = Log()
    ready: Ready = Ready()
    batch: Batch = Batch()
    memory: Memory = Memory()
    shutdown: Shutdown = Shutdown()
    http: Http = Http()
    mapping: Mapping = Mapping()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leave the environment to `load`, so that embedded settings (the demo's) cannot meet somebody's own."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @field_validator("memory")
    @classmethod
    def _holds_a_batch(cls, memory: Memory, info: ValidationInfo) -> Memory:
        batch: Batch | None = info.data.get("batch")
        if batch is not None and batch.max_bytes > largest_batch(memory.budget_bytes):
            raise ValueError(
                f"PROCESSOR_MEMORY__BUDGET_BYTES: {memory.budget_bytes} is too small for batches of {batch.max_bytes} "
                f"bytes: set it to {budget_for(batch.max_bytes)} or more, "
                f"or PROCESSOR_BATCH__MAX_BYTES to {largest_batch(memory.budget_bytes)} or less"
            )
        return memory
