"""Pipecat: speech through the router. It asks for 24 kHz mono PCM, which every provider can give.

Needs `pip install "pipecat-ai[openai]"`, version 0.0.108 or later.
"""

from pipecat.services.openai.tts import OpenAITTSService


def speech() -> OpenAITTSService:
    """The service for a pipeline; Pipecat knows OpenAI's voice names only."""
    return OpenAITTSService(
        base_url="http://127.0.0.1:8080/v1",
        api_key="none",
        settings=OpenAITTSService.Settings(model="tts-1", voice="alloy"),
    )
