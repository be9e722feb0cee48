"""From a provider's format to the caller's: one machine for a whole speech, fed piece by piece."""

from __future__ import annotations

from router.audio import decode, pcm
from router.audio.codecs import kept, legal
from router.audio.encode import ENCODERS, Encoder, exact
from router.audio.heads import HeadReader
from router.audio.integrity import Finding, Judge
from router.audio.tempo import Tempo
from router.contract.audio import AudioFormat

_HEAVY_S = 0.1
"""Audio from which on a compressed format is worth the 90 us of a thread (measured: 0.05 to 2
ms)."""
_HEAVY_BYTES = 131_072
"""The same for plain samples: a third of a millisecond."""
_HEAVY_CODED_BYTES = 2_048
"""The same for compressed bytes that come in: 0.13 s at 128 kbit/s."""


class Shaping:
    """What is done to the sound itself on its way: loudness, speed, pitch."""

    __slots__ = ("gain_db", "pitch", "speed")

    def __init__(self, gain_db: float = 0.0, speed: float = 1.0, pitch: float = 0.0) -> None:
        self.gain_db = gain_db
        self.speed = speed
        """A factor from 0.1 to 5."""
        self.pitch = pitch
        """Semitones from -12 to 12."""

    @property
    def stretches(self) -> bool:
        return self.speed != 1.0 or self.pitch != 0.0


class Pipeline:
    """`begin(native)` for each piece, `feed` its chunks, `end` it; `finish` the whole once.

    `format` is what comes out, with rate and channels as soon as they are known. `sounded` turns
    true with the first byte of sound, behind any container's header. With `through` a compressed
    body is only looked at, and passed on byte for byte.
    """

    def __init__(
        self,
        output: AudioFormat,
        *,
        through: bool = False,
        shaping: Shaping | None = None,
        judge: Judge | None = None,
    ) -> None:
        """`judge` hears what is decoded, before it is shaped; a body that passes through it
        cannot."""
        self.format = output
        self.findings: list[Finding] = []
        """What the judge found; whoever acts on a finding takes it out."""
        self._judge = None if through else judge
        self.sounded = False
        self.frames = 0
        """Frames of samples that went into the encoder."""
        self._through = through
        self._shaping = shaping or Shaping()
        self._encoder: Encoder | None = None
        self._decoder: decode.Decoder | None = None
        self._stretch: Tempo | None = None
        self._converter: pcm.Aligner | pcm.Converter | None = None
        self._head: HeadReader | None = None
        self._heavy_bytes = _HEAVY_BYTES
        self._source = (0, 0)

    def begin(self, native: AudioFormat) -> None:
        """A new piece begins, in this format."""
        self._stretch = self._converter = None
        if self._through:
            self._head = HeadReader(native)
            return
        self._decoder = decode.decoder(native)
        if native.encoding not in decode.BY_HAND:
            self._heavy_bytes = _HEAVY_CODED_BYTES
        elif self.format.encoding not in decode.BY_HAND or self._shaping.stretches:
            second = (native.sample_rate or 48_000) * (native.channels or 2) * pcm.SAMPLE_BYTES
            self._heavy_bytes = int(second * _HEAVY_S)

    @property
    def may_leave(self) -> bool:
        """Whether there is sound, and the judge has nothing against letting it go."""
        return self.sounded and (self._judge is None or self._judge.may_leave)

    def is_heavy(self, chunk: bytes) -> bool:
        """Whether feeding this chunk belongs in a thread."""
        return not self._through and len(chunk) > self._heavy_bytes

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
        assert self._decoder is not None
        return self._shaped(self._decoder.feed(chunk))

    def end(self) -> bytes:
        """The piece is at its end: what its decoder and filters still hold.

        Raises:
            Broken: it ended before its own framing says.
        """
        if self._decoder is None:
            return b""
        out = self._shaped(self._decoder.finish())
        if self._judge is not None and (finding := self._judge.finish()):
            self.findings.append(finding)
        if self._converter is None:
            return out
        if self._stretch is not None:
            out += self._encode(self._converter.feed(self._stretch.finish()))
        return out + self._encode(self._converter.finish())

    def finish(self) -> bytes:
        """The speech is at its end: the encoder's tail."""
        return self._encoder.finish() if self._encoder is not None else b""

    def exact(self, body: bytearray) -> None:
        """Give a body that is complete the header with its true sizes, in place."""
        if self._encoder is not None:
            exact(body, self.format, self.frames)

    @property
    def seconds(self) -> float | None:
        """Seconds of audio that went out; `None` for a body that passed through."""
        rate = self.format.sample_rate
        return self.frames / rate if self._encoder is not None and rate else None

    def _shaped(self, samples: bytes) -> bytes:
        if not samples:
            return b""
        if self._converter is None:
            self._open()
        assert self._converter is not None
        if self._judge is not None and (finding := self._judge.feed(samples, *self._source)):
            self.findings.append(finding)
        if self._shaping.gain_db:
            samples = pcm.louder(samples, self._shaping.gain_db)
        if self._stretch is not None:
            samples = self._stretch.feed(samples)
        return self._encode(self._converter.feed(samples))

    def _open(self) -> None:
        """The piece's own rate and channels are known: open what turns them into the output's."""
        assert self._decoder is not None
        native = self._decoder.format
        assert native is not None
        assert native.sample_rate is not None
        assert native.channels is not None
        source = native.sample_rate, native.channels
        if self._encoder is None:
            wanted = self.format
            settle = legal if wanted.sample_rate else kept
            rate, channels = settle(
                wanted.encoding, wanted.sample_rate or source[0], wanted.channels or source[1]
            )
            self.format = AudioFormat(wanted.encoding, rate, channels)
            self._encoder = ENCODERS[wanted.encoding](self.format)
        self._source = source
        if self._shaping.stretches:
            self._stretch = Tempo(*source, self._shaping.speed, self._shaping.pitch)
        assert self.format.sample_rate is not None
        assert self.format.channels is not None
        self._converter = pcm.converter(source, (self.format.sample_rate, self.format.channels))

    def _encode(self, samples: bytes) -> bytes:
        if not samples or self._encoder is None or self.format.channels is None:
            return b""
        self.sounded = True
        self.frames += len(samples) // (self.format.channels * pcm.SAMPLE_BYTES)
        return self._encoder.feed(samples)


def preload() -> None:
    """Import what converts and codes (0.2 s): in a thread, before the first `Pipeline` needs it."""
    pcm.preload()
    decode.preload()


def is_loaded(native: AudioFormat, output: AudioFormat, *, plain: bool) -> bool:
    """Whether a pipeline between these can run without a wait; `plain` says that nothing is shaped
    or judged."""
    if plain and {native.encoding, output.encoding} <= set(decode.BY_HAND):
        same = native.sample_rate == output.sample_rate and native.channels == output.channels
        return same or pcm.is_loaded()
    return pcm.is_loaded() and decode.is_loaded()


def silence(output: AudioFormat, seconds: float) -> tuple[AudioFormat, bytes]:
    """A whole body of silence: for a text in which there is nothing to say."""
    native = AudioFormat("pcm", output.sample_rate or 24_000, output.channels or 1)
    pipeline = Pipeline(output)
    pipeline.begin(native)
    assert native.sample_rate is not None
    assert native.channels is not None
    frames = int(native.sample_rate * seconds)
    body = bytearray(pipeline.feed(bytes(frames * native.channels * pcm.SAMPLE_BYTES)))
    body += pipeline.end() + pipeline.finish()
    pipeline.exact(body)
    return pipeline.format, bytes(body)
