"""All settings together, and what must hold between them."""

from typing import final

from pydantic import InstanceOf, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from processor.adapters.proxies import Proxies
from processor.settings.connections import FullStorySection, KafkaSection, SchemaRegistrySection
from processor.settings.mapping import MappingSection
from processor.settings.memory import budget_for, largest_batch
from processor.settings.operation import (
    BatchSection,
    DeliverySection,
    HttpSection,
    LogSection,
    MemorySection,
    ReadySection,
    ShutdownSection,
)


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

    kafka: KafkaSection
    schema_registry: SchemaRegistrySection
    fullstory: FullStorySection
    delivery: DeliverySection = DeliverySection()
    log: LogSection = LogSection()
    ready: ReadySection = ReadySection()
    batch: BatchSection = BatchSection()
    memory: MemorySection = MemorySection()
    shutdown: ShutdownSection = ShutdownSection()
    http: HttpSection = HttpSection()
    mapping: MappingSection = MappingSection()
    proxies: InstanceOf[Proxies] = Proxies()
    """Of variables that have no prefix of ours (processor/settings/surroundings.py)."""

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
    def _holds_a_batch(cls, memory: MemorySection, info: ValidationInfo) -> MemorySection:
        batch: BatchSection | None = info.data.get("batch")
        if batch is not None and batch.max_bytes > largest_batch(memory.budget_bytes):
            raise ValueError(
                f"PROCESSOR_MEMORY__BUDGET_BYTES: {memory.budget_bytes} is too small for batches of {batch.max_bytes} "
                f"bytes: set it to {budget_for(batch.max_bytes)} or more, "
                f"or PROCESSOR_BATCH__MAX_BYTES to {largest_batch(memory.budget_bytes)} or less"
            )
        return memory
