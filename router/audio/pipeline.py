"""From a provider's format to the caller's: one machine for a whole speech, fed piece by piece."""

from __future__ import annotations

from router.audio import pcm
from router.audio.encode import ENCODERS, Encoder
from router.audio.heads import HeadReader
from router.audio.wav import WavReader
from router.contract.audio import AudioFormat, Encoding
from router.contract.errors import NotSpeech

DECODES: tuple[Encoding, ...] = ("pcm", "wav")
"""What can be taken apart here, cheapest first."""


class Pipeline:
    """`begin(native)` for each piece, `feed` its chunks, `end` it; `finish` the whole once.

    `format` is what comes out, with rate and channels as soon as they are known. `sounded` turns
    true with the first byte of sound, behind any container's header. `samples` counts frames that
    went out.
    """

    def __init__(self, output: AudioFormat) -> None:
        self.format = output
        self.sounded = False
        self.frames = 0
        self._encoder: Encoder | None = None
        self._wav: WavReader | None = None
        self._converter: pcm.Aligner | pcm.Converter | None = None
        self._head: HeadReader | None = None

    def begin(self, native: AudioFormat) -> None:
        """A new piece begins, in this format."""
        self._wav = WavReader() if native.encoding == "wav" else None
        self._converter = None
        if native.encoding not in DECODES:
            self._head = HeadReader(native)
        elif self._wav is None:
            self._open(native)

    def feed(self, chunk: bytes) -> bytes:
        """Bytes as the provider gave them in, bytes for the caller out.

        Raises:
            NotSpeech: what came is not in the format that was promised.
        """
        if self._head is not None:
            self._head.feed(chunk)
            if self._head.format is not None and not self.sounded:
                self.format, self.sounded = self._head.format, True
            return chunk
        if self._wav is not None:
            chunk = self._wav.feed(chunk)
            if self._converter is None and self._wav.format is not None:
                self._open(self._wav.format)
        return self._encode(self._converter.feed(chunk)) if self._converter and chunk else b""

    def end(self) -> bytes:
        """The piece is at its end: what the decoder and the resampler still hold.

        Raises:
            Broken: it ended before its own framing says.
        """
        if self._wav is not None:
            self._wav.finish()
        return self._encode(self._converter.finish()) if self._converter else b""

    def finish(self) -> bytes:
        """The speech is at its end: the encoder's tail."""
        return self._encoder.finish() if self._encoder is not None else b""

    @property
    def seconds(self) -> float | None:
        """Seconds of audio that went out; `None` for a body that passed through."""
        rate = self.format.sample_rate
        return self.frames / rate if self._encoder is not None and rate else None

    def _open(self, native: AudioFormat) -> None:
        if native.sample_rate is None or native.channels is None:
            raise NotSpeech("PCM came without its rate and channels")
        source = native.sample_rate, native.channels
        if self._encoder is None:
            wanted = self.format
            self.format = AudioFormat(
                wanted.encoding, wanted.sample_rate or source[0], wanted.channels or source[1]
            )
            self._encoder = ENCODERS[wanted.encoding](self.format)
        assert self.format.sample_rate is not None
        assert self.format.channels is not None
        target = self.format.sample_rate, self.format.channels
        self._converter = pcm.converter(source, target)

    def _encode(self, samples: bytes) -> bytes:
        if not samples or self._encoder is None or self.format.channels is None:
            return b""
        self.sounded = True
        self.frames += len(samples) // (self.format.channels * pcm.SAMPLE_BYTES)
        return self._encoder.feed(samples)


def silence(output: AudioFormat, seconds: float) -> tuple[AudioFormat, bytes]:
    """A whole body of silence: for a text in which there is nothing to say."""
    native = AudioFormat("pcm", output.sample_rate or 24_000, output.channels or 1)
    pipeline = Pipeline(output)
    pipeline.begin(native)
    assert native.sample_rate is not None
    assert native.channels is not None
    frames = int(native.sample_rate * seconds)
    body = pipeline.feed(bytes(frames * native.channels * pcm.SAMPLE_BYTES))
    return pipeline.format, body + pipeline.end() + pipeline.finish()
