"""What a stage-2 network is made of: every size and choice that a checkpoint's metadata carries."""

from __future__ import annotations

from dataclasses import dataclass

from ..checkpoints.json_config import JsonConfig

TEMPORAL_NORMS = ("frame", "clip")
AUDIO_PROJECTIONS = ("learned", "none")
AUDIO_ABSENT = ("skip", "zeros")
PREDICTIONS = ("epsilon", "v_prediction", "sample")
BETA_SCHEDULES = ("linear", "scaled_linear")
SPACINGS = ("leading", "trailing", "linspace")
AUDIO_INSTANTS = ("centred", "half_frames")
MAP_DRAWINGS = ("emo2", "echomimic_v2")


@dataclass(frozen=True)
class VideoConfig(JsonConfig):
    """Sizes of the reference network and the backbone (EMO2 section 3.4). `paper()` has Stable Diffusion 1.5's widths.

    Picture and clip
      fps: frames a second. size: (H, W) pixels. clip_frames: new frames a clip. motion_frames: frames carried over from
      the clip before (0: the checkpoint knows none). vae_factor: pixels per latent. latent_channels. latent_scale: the
      network's latents are the VAE's times this.
    Networks
      widths: channels of each level. attention_levels: which levels have spatial attention. layers_per_block, heads,
      norm_groups: as in diffusers' UNets. reference_input: whether the reference's latents also reach the backbone's
      first features, at their own places: a small network keeps a still background better than attention alone lets it.
    Temporal modules
      temporal_norm: "frame" normalises every frame for itself (AnimateDiff's and EchoMimicV2's own code), "clip" all
      frames together (diffusers' modules). temporal_heads, temporal_attentions: self-attentions in a row.
      positions: length of the sinusoidal table. Clip frames always stand at motion_frames, motion_frames + 1, ...; the
      carried frames just before them.
    Audio
      audio_layers L and audio_dim D of the voice encoder's states; a frame hears audio_window = (2 audio_radius + 1) *
      audio_steps instants. audio_instants: where those lie: "centred" on the frame, or in "half_frames", the encoder's
      own states as EchoMimicV2 counts them (`AudioFeatures.half_frames`). audio_width: channels of the audio tokens.
      audio_projection: "learned" maps the L states of an instant to one token; "none" takes each state as a token (then
      audio_width = audio_dim). audio_scale: constant factor on the audio attention's output. audio_absent: what the
      absence of sound means: "skip" (the attention adds nothing) or "zeros" (it sees zeros, so that its output bias
      remains, as in EchoMimicV2's unconditional half). audio_interaction: channels in which sound and picture interact
      frame by frame (`interaction`), 0 for none.
    Face
      face_control: channels of the tokens of emotion, blink, identity and voice that a further attention after the
      audio attention reads (`face_control`), 0 for none. face_emotions: how many emotions it tells apart.
      face_identity: channels of the identity embedding, 512 in ArcFace's and AdaFace's networks.
    Maps
      map_drawing: "emo2" shows the MANO map and the keypoint map, "echomimic_v2" its own picture of the hands' points.
      map_channels: 3 of the MANO map and 3 of the keypoint map; 3 in all where there is one picture. guider_channels:
      widths of the guider, which halves the picture between them. hand_confidence: whether there is a confidence
      embedding. keypoint_maps: whether the body's keypoints are shown beside the hands, black pictures otherwise.
      face_maps: whether the keypoint maps also show head and lips where a motion knows them (motions from videos).
      head_mask: whether they show a head of one size, the same for everyone, in place of the driver's own.
      keypoint_median: frames (odd) of the median that steadies known keypoints before they are drawn, in training and
      after; 1 for none.
    Diffusion
      prediction_type, beta_schedule, beta_start, beta_end, train_steps, zero_terminal_snr, timestep_spacing: the noise
      schedule in the words of diffusers' schedulers. noise_limit: the noise that sampling begins with is kept within
      plus and minus this; 0 for no limit.
    """

    fps: float = 25.0
    size: tuple[int, int] = (704, 512)
    clip_frames: int = 24
    motion_frames: int = 12
    vae_factor: int = 8
    latent_channels: int = 4
    latent_scale: float = 0.18215
    widths: tuple[int, ...] = (320, 640, 1280, 1280)
    attention_levels: tuple[bool, ...] = (True, True, True, False)
    layers_per_block: int = 2
    heads: int = 8
    norm_groups: int = 32
    reference_input: bool = False
    temporal_norm: str = "frame"
    temporal_heads: int = 8
    temporal_attentions: int = 2
    positions: int = 36
    audio_dim: int = 768
    audio_layers: int = 13
    audio_radius: int = 2
    audio_steps: int = 1
    audio_width: int = 768
    audio_projection: str = "learned"
    audio_scale: float = 1.0
    audio_instants: str = "centred"
    audio_absent: str = "skip"
    audio_interaction: int = 0
    face_control: int = 0
    face_emotions: int = 8
    face_identity: int = 512
    map_drawing: str = "emo2"
    map_channels: int = 6
    guider_channels: tuple[int, ...] = (16, 32, 96, 256)
    hand_confidence: bool = True
    keypoint_maps: bool = True
    face_maps: bool = False
    head_mask: bool = False
    keypoint_median: int = 1
    prediction_type: str = "epsilon"
    beta_schedule: str = "scaled_linear"
    beta_start: float = 0.00085
    beta_end: float = 0.012
    train_steps: int = 1000
    zero_terminal_snr: bool = False
    timestep_spacing: str = "leading"
    noise_limit: float = 0.0

    def __post_init__(self) -> None:
        for name in ("size", "widths", "attention_levels", "guider_channels"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        self._choices()
        self._sizes()

    def _choices(self) -> None:
        allowed = {
            "temporal_norm": TEMPORAL_NORMS,
            "audio_projection": AUDIO_PROJECTIONS,
            "audio_absent": AUDIO_ABSENT,
            "audio_instants": AUDIO_INSTANTS,
            "map_drawing": MAP_DRAWINGS,
            "prediction_type": PREDICTIONS,
            "beta_schedule": BETA_SCHEDULES,
            "timestep_spacing": SPACINGS,
        }
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name} must be one of {', '.join(values)}, not {getattr(self, name)!r}")
        if self.zero_terminal_snr and self.prediction_type == "epsilon":
            raise ValueError("zero_terminal_snr needs prediction_type v_prediction or sample: pure noise hides epsilon")

    def _sizes(self) -> None:
        counts = "clip_frames vae_factor latent_channels layers_per_block heads norm_groups temporal_heads positions "
        counts += "temporal_attentions audio_dim audio_layers audio_steps audio_width map_channels train_steps "
        counts += "face_emotions face_identity"
        for name in counts.split():
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not self.fps > 0:
            raise ValueError(f"fps must be above 0, not {self.fps}")
        if len(self.size) != 2 or any(side % self.vae_factor or side < 1 for side in self.size):
            raise ValueError(f"size must be (height, width) in multiples of {self.vae_factor}, not {self.size}")
        if len(self.attention_levels) != len(self.widths):
            raise ValueError(f"attention_levels must have {len(self.widths)} entries, one for each of widths")
        for width in self.widths:
            for name in ("heads", "norm_groups", "temporal_heads"):
                if width % getattr(self, name):
                    raise ValueError(f"every one of widths must be a multiple of {name}, and {width} is not")
        if self.keypoint_median < 1 or self.keypoint_median % 2 == 0:
            raise ValueError(f"keypoint_median must be an odd number of frames, not {self.keypoint_median}")
        for name in ("motion_frames", "audio_radius", "audio_interaction", "face_control"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, and {getattr(self, name)} is")
        if self.face_control % self.heads:
            raise ValueError(f"face_control must be a multiple of heads, {self.heads}, and {self.face_control} is not")
        if self.positions < self.motion_frames + self.clip_frames:
            raise ValueError(f"positions must be at least motion_frames + clip_frames, not {self.positions}")
        if 2 ** (len(self.guider_channels) - 1) != self.vae_factor:
            raise ValueError(f"guider_channels must be 1 + log2({self.vae_factor}) widths, a halving between each two")
        if self.noise_limit < 0:
            raise ValueError(f"noise_limit must not be negative, and {self.noise_limit} is")
        if self.audio_instants == "half_frames" and self.audio_steps != 2:
            raise ValueError(f"audio_instants half_frames needs audio_steps 2, not {self.audio_steps}")
        if self.audio_projection == "none" and self.audio_width != self.audio_dim:
            raise ValueError("audio_width must equal audio_dim where audio_projection is none")

    @property
    def audio_window(self) -> int:
        """Instants of sound that one frame hears, K."""
        return (2 * self.audio_radius + 1) * self.audio_steps

    @property
    def audio_tokens(self) -> int:
        """Tokens of sound a frame, T."""
        return self.audio_window * (1 if self.audio_projection == "learned" else self.audio_layers)

    @property
    def latent_size(self) -> tuple[int, int]:
        """(h, w) of the latents of a picture of `size`."""
        return self.size[0] // self.vae_factor, self.size[1] // self.vae_factor

    @classmethod
    def paper(cls) -> VideoConfig:
        """EMO2's size: 704 x 512, 24 new frames on 12 motion frames, wav2vec 2.0 base, Stable Diffusion 1.5."""
        return cls(keypoint_median=9)

    @classmethod
    def tiny(cls) -> VideoConfig:
        """The shipped size: 128 x 96 cartoons on a CPU, the same classes with attention at every level."""
        return cls(
            size=(128, 96), latent_channels=12, latent_scale=1.0, widths=(64, 96, 128),
            attention_levels=(True, True, True), layers_per_block=1, heads=2, temporal_heads=2, reference_input=True,
            audio_dim=96, audio_layers=5, audio_width=96, guider_channels=(16, 24, 32, 64), keypoint_median=5,
            prediction_type="v_prediction", zero_terminal_snr=True, timestep_spacing="trailing",
        )  # fmt: skip

    @classmethod
    def echomimic_v2(cls) -> VideoConfig:
        """EchoMimicV2's public checkpoint: 768 x 768 at 24 fps, windows of 12, Whisper tiny, pictures of the hands."""
        return cls(
            fps=24.0, size=(768, 768), clip_frames=12, motion_frames=0, positions=32, audio_dim=384, audio_layers=5,
            audio_steps=2, audio_width=384, audio_projection="none", audio_scale=3.0, audio_instants="half_frames",
            audio_absent="zeros", map_drawing="echomimic_v2", map_channels=3, hand_confidence=False,
            keypoint_maps=False, prediction_type="v_prediction", beta_schedule="linear", zero_terminal_snr=True,
            timestep_spacing="trailing", noise_limit=1.5,
        )  # fmt: skip
